//! Money: whole minor units and a currency, never a float.
//!
//! The number of decimals is Mercado Pago's, not ISO 4217's: Chilean and Colombian pesos are whole.

use std::fmt;

use serde_json::Value;

/// A currency that shops are paid in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Argentine peso.
    Ars,
    /// Brazilian real.
    Brl,
    /// Chilean peso (no decimals).
    Clp,
    /// Colombian peso (no decimals).
    Cop,
    /// Mexican peso.
    Mxn,
    /// Peruvian sol.
    Pen,
    /// United States dollar.
    Usd,
    /// Uruguayan peso.
    Uyu,
}

impl Currency {
    const ALL: [(&'static str, Self); 8] = [
        ("ARS", Self::Ars),
        ("BRL", Self::Brl),
        ("CLP", Self::Clp),
        ("COP", Self::Cop),
        ("MXN", Self::Mxn),
        ("PEN", Self::Pen),
        ("USD", Self::Usd),
        ("UYU", Self::Uyu),
    ];

    /// The code, as `ARS`.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, currency)| *currency == self).map_or("", |(code, _)| code)
    }

    /// Reads the code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == code).map(|(_, currency)| *currency)
    }

    /// Decimals of an amount.
    pub fn decimals(self) -> u32 {
        if matches!(self, Self::Clp | Self::Cop) { 0 } else { 2 }
    }
}

/// The rule for currency fields.
pub fn currency(value: &Value) -> Result<Currency, String> {
    let codes = || Currency::ALL.map(|(code, _)| code).join(", ");
    value.as_str().and_then(Currency::parse).ok_or_else(|| format!("must be one of {}", codes()))
}

/// An amount of a currency, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Centavos, or whole pesos where there are no decimals.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Reads a decimal string such as `1500.00`. Trailing zeros are taken beyond the currency's decimals.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, String> {
        let decimals = currency.decimals() as usize;
        let shape = || {
            let example = if decimals == 0 { "1500" } else { "1500.00" };
            format!(
                "must be a positive decimal string in {} with at most {decimals} decimals, as `{example}`",
                currency.as_str()
            )
        };
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(shape()),
            Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty()
            || leading_zero
            || !digits(whole)
            || !digits(fraction)
            || fraction.len() > decimals
        {
            return Err(shape());
        }
        if whole.len() + decimals > 12 {
            return Err("may have at most 12 digits".to_owned());
        }
        let padded = format!("{whole}{fraction:0<decimals$}");
        match padded.parse::<i64>() {
            Ok(minor) if minor > 0 => Ok(Self { minor, currency }),
            _ => Err(shape()),
        }
    }
}

impl fmt::Display for Money {
    /// The decimal string of the wire, with all of the currency's decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10i64.pow(self.currency.decimals());
        if scale == 1 {
            return write!(f, "{}", self.minor);
        }
        write!(f, "{}.{:02}", self.minor / scale, self.minor % scale)
    }
}

/// The rule for amount fields: a decimal string of the currency.
pub fn amount(currency: Currency) -> impl Fn(&Value) -> Result<Money, String> {
    move |value| match value {
        Value::String(text) => Money::parse(text, currency),
        Value::Number(_) => {
            Err("must be a decimal string as `\"1500.00\"`, not a number: numbers lose cents".to_owned())
        }
        other => Err(format!("must be a decimal string, not {}", crate::check::name_of(other))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn trailing_zeros_are_taken_and_other_decimals_refused() {
        assert_eq!(Money::parse("1500.0000", Currency::Ars).unwrap().minor, 150_000);
        assert_eq!(Money::parse("1500.00", Currency::Clp).unwrap().minor, 1_500);
        assert_eq!(Money::parse("0.5", Currency::Brl).unwrap().minor, 50);
        for wrong in
            ["", "0", "0.00", "-1", "+1", "1e3", "1,5", "1.", ".5", "01", "1.005", " 1", "12345678901.00"]
        {
            assert!(Money::parse(wrong, Currency::Ars).is_err(), "{wrong}");
        }
        assert!(Money::parse("1500.50", Currency::Cop).is_err());
        assert!(amount(Currency::Ars)(&serde_json::json!(1500)).unwrap_err().contains("string"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(minor in 1i64..1_000_000_000_000, code in 0usize..8) {
            let currency = Currency::ALL[code].1;
            let money = Money { minor, currency };
            prop_assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
        }
    }
}
