//! Amounts as people read them: `{{ total | money(currency) }}` is `$ 1.500,00` in Buenos Aires and `$1,500.00` in Mexico.

use trastienda_protocol::money::Currency;

/// How a locale writes amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    thousands: char,
    decimal: char,
    space: &'static str,
}

const COMMA: Style = Style { thousands: '.', decimal: ',', space: "\u{a0}" };
const POINT: Style = Style { thousands: ',', decimal: '.', space: "" };

impl Style {
    /// The locale's: a decimal point in English and in the Spanish of Mexico, Peru and Central America.
    pub(super) fn of(locale: &str) -> Self {
        let (language, region) = locale.split_once('-').unwrap_or((locale, ""));
        let point = match language {
            "en" => true,
            "es" => matches!(region, "MX" | "PE" | "US" | "PR" | "DO" | "GT" | "HN" | "NI" | "PA" | "SV"),
            _ => false,
        };
        if point { POINT } else { COMMA }
    }

    /// An amount with its currency; what is not a number is shown as it came.
    pub(super) fn format(self, amount: &minijinja::Value, currency: &str) -> String {
        let text = amount.to_string();
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return text;
        }
        let decimals = Currency::parse(currency).map_or(2, Currency::decimals) as usize;
        let kept = fraction.trim_end_matches('0');
        let fraction = if kept.len() > decimals { kept.to_owned() } else { format!("{kept:0<decimals$}") };
        let mut number = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                number.push(self.thousands);
            }
            number.push(digit);
        }
        if !fraction.is_empty() {
            number.push(self.decimal);
            number.push_str(&fraction);
        }
        match symbol(currency) {
            Some(symbol) => format!("{sign}{symbol}{}{number}", self.space),
            None => format!("{sign}{number}\u{a0}{currency}"),
        }
    }
}

fn symbol(currency: &str) -> Option<&'static str> {
    Some(match Currency::parse(currency)? {
        Currency::Brl => "R$",
        Currency::Pen => "S/",
        Currency::Usd => "US$",
        Currency::Uyu => "$U",
        Currency::Ars | Currency::Clp | Currency::Cop | Currency::Mxn => "$",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(locale: &str, amount: &str, currency: &str) -> String {
        Style::of(locale).format(&minijinja::Value::from(amount), currency).replace('\u{a0}', " ")
    }

    #[test]
    fn amounts_follow_locale_and_currency() {
        assert_eq!(shown("es-AR", "1500.00", "ARS"), "$ 1.500,00");
        assert_eq!(shown("es", "1234567.5", "UYU"), "$U 1.234.567,50");
        assert_eq!(shown("es-MX", "1500", "MXN"), "$1,500.00");
        assert_eq!(shown("pt-BR", "999.9", "BRL"), "R$ 999,90");
        assert_eq!(shown("es-CL", "15000.00", "CLP"), "$ 15.000");
        assert_eq!(shown("en", "-10.00", "EUR"), "-10.00 EUR");
    }

    #[test]
    fn what_is_no_number_is_shown_as_it_came() {
        assert_eq!(shown("es", "gratis", "ARS"), "gratis");
        assert_eq!(shown("es", "1.2.3", "ARS"), "1.2.3");
        assert_eq!(Style::of("es").format(&minijinja::Value::from(1500.5), "ARS"), "$\u{a0}1.500,50");
    }
}
