//! Secrets at rest: XChaCha20-Poly1305 under a master key that the database never holds.
//!
//! A sealed value is a version byte, the first four bytes of the key's digest (so that a rotation
//! can tell old from new), a random 24-byte nonce and the ciphertext. The value's purpose is
//! authenticated too: a sealed secret copied into another column does not open.
//!
//! While the master key is changed a hub holds two. It opens what either sealed, and seals with the one under which the
//! database keeps the hub's own secrets: a hub that has not been given the new key yet can open everything until
//! [`rotate`] has seen that there is no such hub, and no hub goes on with the old key after that. [`columns`] lists
//! what is sealed.

pub mod columns;
pub mod rotate;
pub(crate) mod store;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use trastienda_protocol::mac::hmac_sha256;

const VERSION: u8 = 1;
const ID_LENGTH: usize = 4;
const HEADER_LENGTH: usize = 1 + ID_LENGTH;
const NONCE_LENGTH: usize = 24;

/// Why a value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The master key is not 32 bytes in base64.
    #[error("the master key must be 32 bytes in base64, as `openssl rand -base64 32` prints it")]
    MasterKey,
    /// The old key and the new are one.
    #[error("the old master key is the new one: there is nothing to change")]
    SameKey,
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

/// What tells master keys apart, and stands in every sealed value: four bytes of a digest, which say nothing else
/// about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; ID_LENGTH]);

impl KeyId {
    /// The bytes as they stand in a sealed value.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

struct MasterKey {
    cipher: XChaCha20Poly1305,
    id: KeyId,
}

impl MasterKey {
    fn new(base64: &SecretString) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(base64.expose_secret().trim()).map_err(|_| SealError::MasterKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SealError::MasterKey)?;
        let digest = hmac_sha256(&bytes, &[b"trastienda key id"]);
        let id = KeyId([digest[0], digest[1], digest[2], digest[3]]);
        Ok(Self { cipher: XChaCha20Poly1305::new(&Key::from(bytes)), id })
    }

    fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0u8; NONCE_LENGTH];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: secret, aad: purpose.as_bytes() };
        let ciphertext =
            self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Damaged)?;
        Ok([&[VERSION][..], &self.id.0, &nonce, &ciphertext].concat())
    }
}

/// Seals and opens. Clones are one: they change over to the new key together. Does not print the keys.
#[derive(Clone)]
pub struct Sealer(Arc<Keys>);

struct Keys {
    new: MasterKey,
    old: Option<MasterKey>,
    /// Whether the database's own secrets are still under the old one.
    seals_with_old: AtomicBool,
}

impl Sealer {
    /// A sealer for a master key in base64.
    pub fn new(master_key: &SecretString) -> Result<Self, SealError> {
        Self::changing(master_key, None)
    }

    /// The same while the key is changed: `old` opens too.
    pub fn changing(master_key: &SecretString, old: Option<&SecretString>) -> Result<Self, SealError> {
        let new = MasterKey::new(master_key)?;
        let old = old.map(MasterKey::new).transpose()?;
        if old.as_ref().is_some_and(|old| old.id == new.id) {
            return Err(SealError::SameKey);
        }
        Ok(Self(Arc::new(Keys { new, old, seals_with_old: AtomicBool::new(false) })))
    }

    /// A new master key in base64.
    pub fn generate_master_key() -> Result<SecretString, SealError> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)?;
        Ok(SecretString::from(STANDARD.encode(bytes)))
    }

    /// The master key; the new one, while it is changed.
    pub fn new_key(&self) -> KeyId {
        self.0.new.id
    }

    /// The old master key, while it is changed.
    pub fn old_key(&self) -> Option<KeyId> {
        self.0.old.as_ref().map(|old| old.id)
    }

    /// What opens, the one that seals first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        let sealing = self.sealing();
        let all = [Some(&self.0.new), self.0.old.as_ref()].into_iter().flatten();
        std::iter::once(sealing.id).chain(all.map(|key| key.id).filter(|id| *id != sealing.id)).collect()
    }

    /// Seals from now on with the key that sealed this, one of the database's own secrets. True if that is another
    /// than before.
    pub fn follow(&self, own_secret: &[u8]) -> bool {
        let is_old = self.old_key().is_some() && key_of(own_secret) == self.old_key();
        self.0.seals_with_old.swap(is_old, Ordering::SeqCst) != is_old
    }

    /// Seals a secret for a purpose, such as `webhook_endpoints.secret`.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        self.sealing().seal(purpose, secret)
    }

    /// Seals with one of its keys.
    pub fn seal_with(&self, key: KeyId, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        self.find(key).ok_or(SealError::OtherKey)?.seal(purpose, secret)
    }

    /// Opens what was sealed for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let id = key_of(sealed).ok_or(SealError::Damaged)?;
        let key = self.find(id).ok_or(SealError::OtherKey)?;
        let (nonce, ciphertext) = sealed
            .get(HEADER_LENGTH..)
            .and_then(|rest| rest.split_at_checked(NONCE_LENGTH))
            .ok_or(SealError::Damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| SealError::Damaged)?;
        let payload = Payload { msg: ciphertext, aad: purpose.as_bytes() };
        key.cipher.decrypt(&nonce, payload).map_err(|_| SealError::Damaged)
    }

    /// Opens a secret that is text.
    pub fn open_text(&self, purpose: &str, sealed: &[u8]) -> Result<SecretString, SealError> {
        let bytes = self.open(purpose, sealed)?;
        String::from_utf8(bytes).map(SecretString::from).map_err(|_| SealError::Damaged)
    }

    fn find(&self, id: KeyId) -> Option<&MasterKey> {
        [Some(&self.0.new), self.0.old.as_ref()].into_iter().flatten().find(|key| key.id == id)
    }

    fn sealing(&self) -> &MasterKey {
        match &self.0.old {
            Some(old) if self.0.seals_with_old.load(Ordering::SeqCst) => old,
            _ => &self.0.new,
        }
    }
}

/// Which key sealed a value; `None` if it is no sealed value.
pub fn key_of(sealed: &[u8]) -> Option<KeyId> {
    let (version, rest) = sealed.split_first()?;
    let id = rest.first_chunk::<ID_LENGTH>()?;
    (*version == VERSION).then_some(KeyId(*id))
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.key_ids().iter().map(ToString::to_string).collect();
        write!(f, "Sealer(keys {})", ids.join(", "))
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
    fn while_the_key_is_changed_both_open_and_the_database_s_own_key_seals() {
        let keys = [Sealer::generate_master_key().unwrap(), Sealer::generate_master_key().unwrap()];
        let [old, new] = [Sealer::new(&keys[0]).unwrap(), Sealer::new(&keys[1]).unwrap()];
        let both = Sealer::changing(&keys[1], Some(&keys[0])).unwrap();
        for sealer in [&old, &new] {
            assert_eq!(both.open("p", &sealer.seal("p", b"x").unwrap()).unwrap(), b"x");
        }
        assert!(both.follow(&old.seal("hub_secrets.a", b"x").unwrap()));
        assert!(old.open("p", &both.seal("p", b"x").unwrap()).is_ok());
        assert_eq!(both.key_ids(), [old.new_key(), new.new_key()]);
        assert!(both.clone().follow(&new.seal("hub_secrets.a", b"x").unwrap()), "clones are one");
        assert!(new.open("p", &both.seal("p", b"x").unwrap()).is_ok());
        assert!(matches!(Sealer::changing(&keys[0], Some(&keys[0])), Err(SealError::SameKey)));
        assert!(matches!(both.seal_with(sealer().new_key(), "p", b"x"), Err(SealError::OtherKey)));
    }

    #[test]
    fn a_master_key_of_another_length_is_refused() {
        assert!(matches!(Sealer::new(&SecretString::from("c2hvcnQ=")), Err(SealError::MasterKey)));
    }
}
