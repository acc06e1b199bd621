//! The signature of a notice: `x-signature: ts=<digits>,v1=<64 hex>` over `id:…;request-id:…;ts:…;`.
//!
//! What is known of the sender's habits is honoured: the id is tried as it came and in lower case, `ts` counts
//! seconds or milliseconds, and what the request does not carry is left out of the text with its label.

use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq as _;
use trastienda_protocol::mac::hmac_sha256;

/// How far `ts` may be from the hub's clock when the notice arrives.
const TOLERANCE: TimeDelta = TimeDelta::minutes(10);

/// Why a notice is not believed. Each is a label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// No `ts` or no `v1` in the header.
    Malformed,
    /// `ts` is too old or ahead.
    Stale,
    /// Another secret signed it, or it was changed on its way.
    Mismatch,
}

impl Distrust {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
        }
    }
}

/// What was signed, as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// `data.id` of the query.
    pub(crate) data_id: Option<&'a str>,
    /// `x-request-id`.
    pub(crate) request_id: Option<&'a str>,
    /// `x-signature`.
    pub(crate) signature: &'a str,
}

/// Whether one of the secrets signed it, recently.
pub(crate) fn verify(signed: Signed<'_>, secrets: &[&[u8]], now: DateTime<Utc>) -> Result<(), Distrust> {
    let (ts, v1) = parse(signed.signature).ok_or(Distrust::Malformed)?;
    let at = instant(ts).ok_or(Distrust::Malformed)?;
    let mut genuine = false;
    for secret in secrets {
        for id in spellings(signed.data_id) {
            let text = manifest(id.as_deref(), signed.request_id, ts);
            let expected = hmac_sha256(secret, &[text.as_bytes()]);
            genuine |= bool::from(expected.ct_eq(&v1));
        }
    }
    if !genuine {
        return Err(Distrust::Mismatch);
    }
    if (now - at).abs() > TOLERANCE { Err(Distrust::Stale) } else { Ok(()) }
}

fn parse(header: &str) -> Option<(&str, [u8; 32])> {
    let (mut ts, mut v1) = (None, None);
    for part in header.split(',') {
        let Some((name, value)) = part.split_once('=') else { continue };
        match name.trim() {
            "ts" => ts = Some(value.trim()),
            "v1" => v1 = Some(value.trim()),
            _ => {}
        }
    }
    let mut digest = [0u8; 32];
    hex::decode_to_slice(v1?, &mut digest).ok()?;
    ts.filter(|ts| (1..=16).contains(&ts.len()) && ts.bytes().all(|b| b.is_ascii_digit()))
        .map(|ts| (ts, digest))
}

fn instant(ts: &str) -> Option<DateTime<Utc>> {
    let number: i64 = ts.parse().ok()?;
    if ts.len() >= 13 { DateTime::from_timestamp_millis(number) } else { DateTime::from_timestamp(number, 0) }
}

fn spellings(data_id: Option<&str>) -> Vec<Option<String>> {
    let Some(id) = data_id else { return vec![None] };
    let lower = id.to_lowercase();
    let mut spellings = vec![Some(id.to_owned())];
    if lower != id {
        spellings.push(Some(lower));
    }
    spellings
}

fn manifest(data_id: Option<&str>, request_id: Option<&str>, ts: &str) -> String {
    let part =
        |label: &str, value: Option<&str>| value.map(|value| format!("{label}:{value};")).unwrap_or_default();
    part("id", data_id) + &part("request-id", request_id) + &part("ts", Some(ts))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"test_secret_key_0123456789";
    const REQUEST: &str = "2066ca19-c6f1-498a-be75-1923005edd06";

    fn check(data_id: Option<&str>, request_id: Option<&str>, ts: &str, v1: &str) -> Result<(), Distrust> {
        let signature = format!("v1={v1}, ts={ts}");
        let signed = Signed { data_id, request_id, signature: &signature };
        verify(signed, &[b"another", SECRET], instant(ts).unwrap())
    }

    #[test]
    fn agrees_with_the_known_vectors() {
        let order = "ORD01JQ4S4KY8HWQ6NA5PXB65B3D3";
        let lower = "ord01jq4s4ky8hwq6na5pxb65b3d3";
        let seconds = "1704908010";
        let millis = "1742505638683";
        let vectors = [
            (
                Some("999999999"),
                Some(REQUEST),
                seconds,
                "68ffd21cdc0ef2842062506077aa5f8ab5b0d788f1fa369c9624ee743dc3ea5a",
            ),
            (
                Some(lower),
                Some(REQUEST),
                millis,
                "f8c7c5cc98e9c6d3c0a83360ffd950f291e0e5f2931d0bc3e6ee9f2ff18c6af9",
            ),
            // Signed over the lower-cased id, sent as it is.
            (
                Some(order),
                Some(REQUEST),
                millis,
                "f8c7c5cc98e9c6d3c0a83360ffd950f291e0e5f2931d0bc3e6ee9f2ff18c6af9",
            ),
            (
                Some(order),
                Some(REQUEST),
                millis,
                "2760932f5ed6f33f0679faa5d6b3667b07ee235093c723dfa205cb9c0ceda61a",
            ),
            (
                None,
                Some(REQUEST),
                seconds,
                "c79da93e7a8941198fc6966518b282581767d647dd03c1d61f6ff2bc7774eb0c",
            ),
            (
                Some("999999999"),
                None,
                seconds,
                "16ba76a84c999511be1bec5860fd6f7628a46925cea4415a822133a2a2a77e3f",
            ),
        ];
        for (data_id, request_id, ts, v1) in vectors {
            assert_eq!(check(data_id, request_id, ts, v1), Ok(()), "{data_id:?}");
            assert_eq!(check(Some("1"), request_id, ts, v1), Err(Distrust::Mismatch));
        }
    }

    #[test]
    fn what_is_old_or_torn_is_not_believed() {
        let v1 = "68ffd21cdc0ef2842062506077aa5f8ab5b0d788f1fa369c9624ee743dc3ea5a";
        let signature = format!("ts=1704908010,v1={v1}");
        let signed = Signed { data_id: Some("999999999"), request_id: Some(REQUEST), signature: &signature };
        let sent = instant("1704908010").unwrap();
        assert_eq!(verify(signed, &[SECRET], sent + TOLERANCE), Ok(()));
        assert_eq!(verify(signed, &[SECRET], sent + TOLERANCE + TimeDelta::seconds(1)), Err(Distrust::Stale));
        assert_eq!(verify(signed, &[], sent), Err(Distrust::Mismatch));
        for torn in ["", "ts=1", "ts=1,v1=00", "v1=", "ts=abc,v1=00", &format!("ts=,v1={v1}")] {
            assert_eq!(
                verify(Signed { signature: torn, ..signed }, &[SECRET], sent),
                Err(Distrust::Malformed),
                "{torn}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_it(header in ".{0,120}", id in ".{0,40}") {
            let signed = Signed { data_id: Some(&id), request_id: None, signature: &header };
            prop_assert!(verify(signed, &[SECRET], DateTime::UNIX_EPOCH).is_err());
        }

        #[test]
        fn a_true_one_is_believed_however_it_is_written_and_not_once_it_is_changed(
            id in proptest::option::of("[A-Za-z0-9]{1,30}"),
            request_id in proptest::option::of("[a-z0-9-]{1,40}"),
            seconds in 1_000_000_000i64..9_999_999_999,
            in_millis in proptest::bool::ANY,
            lowered in proptest::bool::ANY,
            space in " {0,3}",
            others in "(,[a-z]{1,4}=[a-z0-9=]{0,9}){0,2}",
            (at, bit) in (0usize..64, 0u8..4),
        ) {
            let ts = if in_millis { (seconds * 1_000 + 7).to_string() } else { seconds.to_string() };
            let signed_id = id.clone().map(|id| if lowered { id.to_lowercase() } else { id });
            let text = manifest(signed_id.as_deref(), request_id.as_deref(), &ts);
            let v1 = hex::encode(hmac_sha256(SECRET, &[text.as_bytes()]));
            let believed = |v1: &str, ts: &str, now: DateTime<Utc>| {
                let signature = format!("v1={space}{v1}{space},{space}ts={ts}{others}");
                let (data_id, request_id) = (id.as_deref(), request_id.as_deref());
                verify(Signed { data_id, request_id, signature: &signature }, &[b"older", SECRET], now)
            };
            let now = instant(&ts).unwrap();
            // What repeats a name counts; then it is another header.
            prop_assume!(!others.contains(",ts=") && !others.contains(",v1="));
            prop_assert_eq!(believed(&v1, &ts, now), Ok(()));
            prop_assert_eq!(believed(&v1.to_uppercase(), &ts, now), Ok(()));
            let mut digits: Vec<u8> = hex::decode(&v1).unwrap();
            digits[at / 2] ^= 1 << (bit + 4 * u8::from(at % 2 == 0));
            prop_assert_eq!(believed(&hex::encode(digits), &ts, now), Err(Distrust::Mismatch));
            prop_assert_eq!(believed(&v1[..at], &ts, now), Err(Distrust::Malformed));
            let later = if in_millis { (seconds * 1_000 + 8).to_string() } else { (seconds + 1).to_string() };
            prop_assert_eq!(believed(&v1, &later, now), Err(Distrust::Mismatch));
        }
    }
}
