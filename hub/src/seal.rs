//! Secrets at rest: XChaCha20-Poly1305 under a master key that the database never holds.
//!
//! A sealed value is a version byte, the first four bytes of the key's digest (so that a rotation
//! can tell old from new), a random 24-byte nonce and the ciphertext. The value's purpose is
//! authenticated too: a sealed secret copied into another column does not open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use trastienda_protocol::mac::hmac_sha256;

const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 1 + 4;
const NONCE_LENGTH: usize = 24;

/// Why a value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The master key is not 32 bytes in base64.
    #[error("the master key must be 32 bytes in base64, as `openssl rand -base64 32` prints it")]
    MasterKey,
    /// Sealed under another master key.
    #[error("the value was sealed with another master key")]
    OtherKey,
    /// Not a sealed value, or one of another purpose.
    #[error("the sealed value is damaged or belongs elsewhere")]
    Damaged,
    /// The operating system's random generator failed.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Seals and opens with one master key. Does not print it.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: [u8; 4],
}

impl Sealer {
    /// A sealer for a master key in base64.
    pub fn new(master_key: &SecretString) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(master_key.expose_secret().trim()).map_err(|_| SealError::MasterKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SealError::MasterKey)?;
        let digest = hmac_sha256(&bytes, &[b"trastienda key id"]);
        let cipher = XChaCha20Poly1305::new(&Key::from(bytes));
        Ok(Self { cipher, key_id: [digest[0], digest[1], digest[2], digest[3]] })
    }

    /// A new master key in base64.
    pub fn generate_master_key() -> Result<SecretString, SealError> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)?;
        Ok(SecretString::from(STANDARD.encode(bytes)))
    }

    /// Seals a secret for a purpose, such as `webhook_endpoints.secret`.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0u8; NONCE_LENGTH];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: secret, aad: purpose.as_bytes() };
        let ciphertext =
            self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Damaged)?;
        Ok([&[VERSION][..], &self.key_id, &nonce, &ciphertext].concat())
    }

    /// Opens what was sealed for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (header, rest) = sealed.split_at_checked(HEADER_LENGTH).ok_or(SealError::Damaged)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LENGTH).ok_or(SealError::Damaged)?;
        if header[0] != VERSION {
            return Err(SealError::Damaged);
        }
        if header[1..] != self.key_id {
            return Err(SealError::OtherKey);
        }
        let nonce = XNonce::try_from(nonce).map_err(|_| SealError::Damaged)?;
        let payload = Payload { msg: ciphertext, aad: purpose.as_bytes() };
        self.cipher.decrypt(&nonce, payload).map_err(|_| SealError::Damaged)
    }

    /// Opens a secret that is text.
    pub fn open_text(&self, purpose: &str, sealed: &[u8]) -> Result<SecretString, SealError> {
        let bytes = self.open(purpose, sealed)?;
        String::from_utf8(bytes).map(SecretString::from).map_err(|_| SealError::Damaged)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer(key {})", hex::encode(self.key_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&Sealer::generate_master_key().unwrap()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_purpose_only() {
        let sealer_one = sealer();
        let sealed = sealer_one.seal("a.secret", b"whsec_x").unwrap();
        assert_eq!(sealer_one.open("a.secret", &sealed).unwrap(), b"whsec_x");
        assert!(matches!(sealer_one.open("b.secret", &sealed), Err(SealError::Damaged)));
        assert!(matches!(sealer().open("a.secret", &sealed), Err(SealError::OtherKey)));
        assert!(!sealed.windows(7).any(|window| window == b"whsec_x"));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let sealer = sealer();
        let sealed = sealer.seal("p", b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open("p", &changed).is_err());
        }
        assert!(sealer.open("p", &sealed[..10]).is_err());
    }

    #[test]
    fn a_master_key_of_another_length_is_refused() {
        assert!(matches!(Sealer::new(&SecretString::from("c2hvcnQ=")), Err(SealError::MasterKey)));
    }
}
