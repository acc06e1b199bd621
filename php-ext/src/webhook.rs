//! Verifying a webhook that the hub sent to the shop.

use chrono::TimeDelta;
use ext_php_rs::convert::FromZval;
use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendHashTable, Zval};
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::webhook::{self, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Headers, Secret};

use crate::convert::{self, ArrayResult};
use crate::error::Error;

/// A parameter declared `string|array`: one secret, or several while one is being rotated.
#[derive(Debug)]
pub(crate) struct Secrets<'a>(&'a Zval);

impl<'a> FromZval<'a> for Secrets<'a> {
    const TYPE: DataType = DataType::Mixed;

    fn from_zval(zval: &'a Zval) -> Option<Self> {
        let zval = zval.dereference();
        (zval.is_string() || zval.is_array()).then_some(Self(zval))
    }
}

impl Secrets<'_> {
    /// Reads them. A secret that is not one is a mistake in the shop's settings, not a forged webhook.
    fn parse(&self) -> Result<Vec<Secret>, Error> {
        let one = |value: &Zval| {
            let text =
                value.dereference().str().ok_or_else(|| Error::invalid("/secret", "must be a string"))?;
            Secret::parse(text).map_err(|error| Error::invalid("/secret", format!("is not usable: {error}")))
        };
        let secrets = match self.0.array() {
            Some(list) => list.values().map(one).collect::<Result<Vec<_>, _>>()?,
            None => vec![one(self.0)?],
        };
        if secrets.is_empty() {
            Err(Error::invalid("/secret", "must hold at least one secret"))
        } else {
            Ok(secrets)
        }
    }
}

/// Checks the signature and gives the decoded body.
pub(crate) fn verify(
    payload: &[u8],
    headers: &ZendHashTable,
    secrets: &Secrets<'_>,
    tolerance: i64,
) -> Result<ArrayResult, Error> {
    let secrets = secrets.parse()?;
    let tolerance = u32::try_from(tolerance)
        .map_err(|_| Error::invalid("/tolerance", "must be a number of seconds, at least 0"))?;
    let (id, timestamp) = (single(headers, HEADER_ID), single(headers, HEADER_TIMESTAMP));
    // A header that came twice is one list of signatures (RFC 9110, section 5.2; the separator is ours).
    let signature = Some(find(headers, HEADER_SIGNATURE).join(" ")).filter(|value| !value.is_empty());
    let signed =
        Headers { id: id.as_deref(), timestamp: timestamp.as_deref(), signature: signature.as_deref() };
    let tolerance = TimeDelta::seconds(i64::from(tolerance));
    webhook::verify(signed, payload, &secrets, SystemClock.now(), tolerance)
        .map_err(|error| Error::Signature(error.to_string()))?;
    match convert::decode(payload)? {
        Ok(body) if body.is_array() => Ok(ArrayResult(body)),
        _ => Err(Error::invalid("/payload", "is signed, and is not a JSON object")),
    }
}

/// The value of a header that may come once; a second, different one makes it unusable.
fn single(headers: &ZendHashTable, name: &str) -> Option<String> {
    let mut values = find(headers, name);
    values.dedup();
    if values.len() == 1 { values.pop() } else { None }
}

fn find(headers: &ZendHashTable, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in headers {
        if key.to_string().eq_ignore_ascii_case(name) {
            let value = value.dereference();
            match value.array() {
                Some(list) => found.extend(list.values().filter_map(scalar)),
                None => found.extend(scalar(value)),
            }
        }
    }
    found
}

/// A header's value; frameworks give the time stamp as an integer now and then.
fn scalar(value: &Zval) -> Option<String> {
    let value = value.dereference();
    value.string().or_else(|| value.long().map(|number| number.to_string()))
}
