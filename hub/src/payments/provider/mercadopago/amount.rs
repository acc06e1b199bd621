//! Amounts on Mercado Pago's wire: JSON numbers in major units, here never a float.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use trastienda_protocol::money::{Currency, Money};

/// Money as it is sent: the decimal text itself, as a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount(pub(super) Money);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// A number as it was received: its text. Some fields carry it in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal(String);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get().trim_matches('"');
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(D::Error::custom("not an amount"))
        }
    }
}

impl Decimal {
    /// In minor units; `None` if it has other decimals than the currency, or is no plain number.
    pub(super) fn minor(&self, currency: Currency) -> Option<i64> {
        let decimals = currency.decimals() as usize;
        let (whole, fraction) = self.0.split_once('.').unwrap_or((&self.0, ""));
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > decimals || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        format!("{whole}{fraction:0<decimals$}").parse().ok()
    }

    /// As money; `None` also for zero.
    pub(super) fn money(&self, currency: Currency) -> Option<Money> {
        self.minor(currency).filter(|minor| *minor > 0).map(|minor| Money { minor, currency })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(minor: i64, currency: Currency) -> String {
        serde_json::to_string(&Amount(Money { minor, currency })).unwrap()
    }

    fn read(json: &str, currency: Currency) -> Option<i64> {
        serde_json::from_str::<Decimal>(json).unwrap().minor(currency)
    }

    #[test]
    fn cents_are_neither_lost_nor_made() {
        assert_eq!(sent(150_010, Currency::Ars), "1500.10");
        assert_eq!(sent(999_999_999_999, Currency::Ars), "9999999999.99");
        assert_eq!(sent(7, Currency::Brl), "0.07");
        assert_eq!(sent(1_500, Currency::Clp), "1500");
    }

    #[test]
    fn numbers_are_read_however_they_are_spelled() {
        assert_eq!(read("58", Currency::Ars), Some(5_800));
        assert_eq!(read("58.8", Currency::Ars), Some(5_880));
        assert_eq!(read("\"58.80\"", Currency::Ars), Some(5_880));
        assert_eq!(read("58.805", Currency::Ars), None);
        assert_eq!(read("1500.0", Currency::Clp), Some(1_500));
        assert_eq!(read("1500.5", Currency::Cop), None);
        assert_eq!(read("1e3", Currency::Ars), None);
        assert!(serde_json::from_str::<Decimal>("null").is_err());
    }

    proptest! {
        #[test]
        fn what_is_sent_reads_back(minor in 1i64..1_000_000_000_000, whole in proptest::bool::ANY) {
            let currency = if whole { Currency::Clp } else { Currency::Ars };
            prop_assert_eq!(read(&sent(minor, currency), currency), Some(minor));
        }
    }
}
