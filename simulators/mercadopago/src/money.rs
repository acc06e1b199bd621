//! Amounts: integers of the currency's smallest unit inside, JSON numbers in major units outside.
//!
//! No arithmetic is ever done on a float. A JSON number is read and written through its shortest decimal
//! text, which is exact up to fifteen digits; anything longer is refused.

use serde_json::{Number, Value};

/// The most digits an amount may have, so that its JSON number is always exact.
const MAX_DIGITS: usize = 14;

/// An amount in the smallest unit of a currency with that many decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money {
    pub(crate) minor: i64,
    pub(crate) decimals: u32,
}

impl Money {
    pub(crate) fn zero(decimals: u32) -> Self {
        Self { minor: 0, decimals }
    }

    pub(crate) fn with(self, minor: i64) -> Self {
        Self { minor, ..self }
    }

    /// Reads a JSON number. `None` when it is not one, is negative or too long, or has more decimals than
    /// the currency.
    pub(crate) fn read(value: &Value, decimals: u32) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        Self::parse(&number.to_string(), decimals)
    }

    fn parse(text: &str, decimals: u32) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        let missing = usize::try_from(decimals).ok()?.checked_sub(fraction.len())?;
        let digits = format!("{whole}{fraction}{}", "0".repeat(missing));
        let plain = !whole.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain || digits.len() > MAX_DIGITS {
            return None;
        }
        Some(Self { minor: digits.parse().ok()?, decimals })
    }

    /// The number Mercado Pago would write: `58`, `58.8`, never `58.80`.
    pub(crate) fn json(self) -> Value {
        let text = self.text();
        let trimmed =
            if self.decimals == 0 { text.as_str() } else { text.trim_end_matches('0').trim_end_matches('.') };
        trimmed
            .parse::<i64>()
            .ok()
            .map(Number::from)
            .or_else(|| trimmed.parse::<f64>().ok().and_then(Number::from_f64))
            .map_or(Value::Null, Value::Number)
    }

    /// The amount with all its decimals, for people.
    pub(crate) fn text(self) -> String {
        if self.decimals == 0 {
            return self.minor.to_string();
        }
        let scale = 10_i64.pow(self.decimals);
        let width = usize::try_from(self.decimals).unwrap_or(2);
        format!("{}.{:0width$}", self.minor / scale, self.minor % scale)
    }

    pub(crate) fn times(self, count: i64) -> Option<Self> {
        self.minor.checked_mul(count).map(|minor| self.with(minor))
    }

    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        self.minor.checked_add(other.minor).map(|minor| self.with(minor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_the_currency_allows() {
        let minor = |value: Value, decimals| Money::read(&value, decimals).map(|money| money.minor);
        assert_eq!(minor(json!(100.5), 2), Some(10_050));
        assert_eq!(minor(json!(0.01), 2), Some(1));
        assert_eq!(minor(json!(58), 2), Some(5_800));
        assert_eq!(minor(json!(1500.0), 0), Some(1_500));
        assert_eq!(minor(json!(1500.5), 0), None);
        assert_eq!(minor(json!(0.001), 2), None);
        assert_eq!(minor(json!(-1), 2), None);
        assert_eq!(minor(json!("1.00"), 2), None);
        assert_eq!(minor(json!(1e20), 2), None);
        assert_eq!(minor(json!(1e-7), 2), None);
    }

    #[test]
    fn writes_whole_amounts_without_decimals() {
        let written = |minor| Money { minor, decimals: 2 }.json().to_string();
        assert_eq!(written(5_800), "58");
        assert_eq!(written(5_880), "58.8");
        assert_eq!(written(5_885), "58.85");
        assert_eq!(written(5), "0.05");
        assert_eq!(written(0), "0");
        assert_eq!(Money { minor: 1_500, decimals: 0 }.json().to_string(), "1500");
    }

    proptest! {
        #[test]
        fn survives_the_wire_to_the_last_cent(minor in 0_i64..100_000_000_000_000) {
            let money = Money { minor, decimals: 2 };
            let wire = money.json().to_string();
            let back: Value = serde_json::from_str(&wire).unwrap();
            prop_assert_eq!(Money::read(&back, 2), Some(money));
        }
    }
}
