//! Webhook signatures as the Standard Webhooks specification defines them (version `v1`).
//!
//! The signature is the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`, keyed with the bytes
//! that the secret's base64 (after `whsec_`) stands for. A header may hold several signatures,
//! separated by spaces, while a secret is being rotated.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq as _;

use crate::mac::hmac_sha256;

/// The event's id, the same in every retry.
pub const HEADER_ID: &str = "webhook-id";
/// When this attempt was signed, in seconds since 1970.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// The signatures.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

const PREFIX: &str = "whsec_";

/// Why a secret is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct SecretError;

/// A signing secret. Does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new secret of 32 random bytes.
    ///
    /// # Errors
    /// The operating system's random generator is not available.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = vec![0u8; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads `whsec_…`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes =
            STANDARD.decode(text.trim().strip_prefix(PREFIX).ok_or(SecretError)?).map_err(|_| SecretError)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(SecretError) }
    }

    /// The text to show once to whoever receives the webhooks.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// One `v1,…` signature.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(id, timestamp, body)))
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.0, &[format!("{id}.{timestamp}.").as_bytes(), body])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a webhook is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// One of the three headers is missing or unreadable.
    #[error("the header `{0}` is missing or unreadable")]
    Header(&'static str),
    /// Signed too long ago (or too far ahead): a replay, or a clock that is off.
    #[error("the webhook was signed {0} seconds from now, more than is tolerated")]
    Timestamp(i64),
    /// None of the signatures was made with any of the secrets.
    #[error("no signature matches: the body was changed or the secret is another")]
    Signature,
}

/// The three headers of a webhook, as received.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
}

/// Checks that one of `secrets` signed this body no longer than `tolerance` ago.
///
/// # Errors
/// [`VerifyError`] says which header, or that the time or the signature is off.
pub fn verify(
    headers: Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
    now: DateTime<Utc>,
    tolerance: TimeDelta,
) -> Result<(), VerifyError> {
    let id = headers.id.filter(|id| !id.is_empty()).ok_or(VerifyError::Header(HEADER_ID))?;
    let timestamp: i64 =
        headers.timestamp.and_then(|text| text.parse().ok()).ok_or(VerifyError::Header(HEADER_TIMESTAMP))?;
    let signatures = headers.signature.ok_or(VerifyError::Header(HEADER_SIGNATURE))?;
    let distance = now.timestamp().saturating_sub(timestamp);
    if distance.saturating_abs() > tolerance.num_seconds() {
        return Err(VerifyError::Timestamp(distance));
    }
    let given: Vec<Vec<u8>> = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .filter_map(|encoded| STANDARD.decode(encoded).ok())
        .collect();
    let matches = secrets.iter().any(|secret| {
        let expected = secret.mac(id, timestamp, body);
        given.iter().any(|given| bool::from(given.as_slice().ct_eq(&expected)))
    });
    if matches { Ok(()) } else { Err(VerifyError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn it_signs_like_the_specification_s_example() {
        // The example of the Standard Webhooks reference libraries' tests.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn either_secret_is_enough_while_rotating() {
        let (old, new) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let both = format!("{} {}", old.sign("evt_1", 100, b"{}"), new.sign("evt_1", 100, b"{}"));
        let headers = Headers { id: Some("evt_1"), timestamp: Some("100"), signature: Some(&both) };
        for secret in [old, new] {
            assert_eq!(verify(headers, b"{}", &[secret], at(400), TimeDelta::seconds(300)), Ok(()));
        }
    }

    #[test]
    fn changed_bodies_old_times_and_missing_headers_are_refused() {
        let secret = Secret::generate().unwrap();
        let signature = secret.sign("evt_1", 100, b"{}");
        let headers = Headers { id: Some("evt_1"), timestamp: Some("100"), signature: Some(&signature) };
        let check = |headers, body: &[u8], now| {
            verify(headers, body, std::slice::from_ref(&secret), at(now), TimeDelta::seconds(300))
        };
        assert_eq!(check(headers, b"{ }", 100), Err(VerifyError::Signature));
        assert_eq!(check(headers, b"{}", 401), Err(VerifyError::Timestamp(301)));
        assert_eq!(check(headers, b"{}", -201), Err(VerifyError::Timestamp(-301)));
        assert_eq!(check(Headers { id: None, ..headers }, b"{}", 100), Err(VerifyError::Header(HEADER_ID)));
        assert_eq!(
            check(Headers { timestamp: Some("soon"), ..headers }, b"{}", 100),
            Err(VerifyError::Header(HEADER_TIMESTAMP))
        );
    }

    #[test]
    fn secrets_of_the_wrong_length_are_refused() {
        assert_eq!(Secret::parse(&format!("whsec_{}", STANDARD.encode([1u8; 23]))), Err(SecretError));
        assert_eq!(Secret::parse(&STANDARD.encode([1u8; 32])), Err(SecretError));
    }
}
