//! API keys: `tk_live_` or `tk_test_`, a key id, `_`, a secret and a checksum.
//!
//! The key id (12 characters) is public and finds the key; the secret is 32 random bytes in 43
//! base62 characters, left-padded; the last 6 characters are the CRC-32 of everything before them,
//! so a typo is told from a wrong key without asking anybody. The alphabet is `0-9A-Za-z`.

use std::fmt;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const KEY_ID_LENGTH: usize = 12;
const SECRET_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;

/// Whether a project handles real money or the provider's test accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Mode {
    /// Real money.
    Live,
    /// The provider's test accounts only.
    Test,
}

impl Mode {
    /// The word used in JSON, SQL and the key's prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Test].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Why a text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Not of the form `tk_live_…` or `tk_test_…` with the right lengths and alphabet.
    #[error("an API key starts with `tk_live_` or `tk_test_` and has 70 characters")]
    Malformed,
    /// The checksum does not fit: mistyped or cut.
    #[error("the API key's checksum does not fit: it was mistyped or cut")]
    Checksum,
}

/// An API key in the clear. Does not print its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
    mode: Mode,
}

impl ApiKey {
    /// A new key.
    ///
    /// # Errors
    /// The operating system's random generator is not available.
    pub fn generate(mode: Mode) -> Result<Self, getrandom::Error> {
        let mut id = [0u8; 16];
        let mut secret = [0u8; 32];
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        let key_id = &base62(&id, 22)[22 - KEY_ID_LENGTH..];
        Ok(Self::assemble(mode, key_id, &base62(&secret, SECRET_LENGTH)))
    }

    fn assemble(mode: Mode, key_id: &str, secret: &str) -> Self {
        let mut text = format!("tk_{}_{key_id}_{secret}", mode.as_str());
        let checksum = base62(&crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECKSUM_LENGTH);
        text.push_str(&checksum);
        Self { text, mode }
    }

    /// Reads a key and checks its shape and checksum; whether it is *known* only the hub can say.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let (mode, rest) = [Mode::Live, Mode::Test]
            .into_iter()
            .find_map(|mode| {
                Some((mode, text.strip_prefix("tk_")?.strip_prefix(mode.as_str())?.strip_prefix('_')?))
            })
            .ok_or(ApiKeyError::Malformed)?;
        let (key_id, tail) = rest.split_once('_').ok_or(ApiKeyError::Malformed)?;
        let base62 = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric());
        let lengths = key_id.len() == KEY_ID_LENGTH && tail.len() == SECRET_LENGTH + CHECKSUM_LENGTH;
        if !lengths || !base62(key_id) || !base62(tail) {
            return Err(ApiKeyError::Malformed);
        }
        let key = Self::assemble(mode, key_id, &tail[..SECRET_LENGTH]);
        if key.text == text { Ok(key) } else { Err(ApiKeyError::Checksum) }
    }

    /// Live or test.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The public part by which the key is found.
    pub fn key_id(&self) -> &str {
        let start = "tk_live_".len();
        &self.text[start..start + KEY_ID_LENGTH]
    }

    /// The secret part, the input of the hash.
    pub fn secret(&self) -> &str {
        let end = self.text.len() - CHECKSUM_LENGTH;
        &self.text[end - SECRET_LENGTH..end]
    }

    /// The last four characters, which may be shown.
    pub fn last_four(&self) -> &str {
        &self.text[self.text.len() - 4..]
    }

    /// The whole key, to be shown once or sent to the hub.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…{})", self.key_id(), self.last_four())
    }
}

/// Big-endian bytes as base62 digits, left-padded with `0` to `width`.
fn base62(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in &mut number {
            let value = remainder << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_has_the_published_shape_and_reads_back() {
        for mode in [Mode::Live, Mode::Test] {
            let key = ApiKey::generate(mode).unwrap();
            assert_eq!(key.expose().len(), 8 + 12 + 1 + 43 + 6);
            assert_eq!(ApiKey::parse(key.expose()), Ok(key.clone()));
            assert_eq!((key.mode(), key.key_id().len(), key.secret().len()), (mode, 12, 43));
            assert!(!format!("{key:?}").contains(key.secret()));
        }
    }

    #[test]
    fn a_single_wrong_character_is_caught_by_the_checksum() {
        let key = ApiKey::generate(Mode::Live).unwrap();
        for position in 8..key.expose().len() {
            let mut bytes = key.expose().as_bytes().to_vec();
            if bytes[position] == b'_' {
                continue;
            }
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            assert_eq!(ApiKey::parse(std::str::from_utf8(&bytes).unwrap()), Err(ApiKeyError::Checksum));
        }
    }

    #[test]
    fn other_shapes_are_malformed() {
        for text in ["", "tk_live_", "sk_live_abc", "tk_prod_0123456789AB_x", "tk_live_0123456789AB_é"] {
            assert_eq!(ApiKey::parse(text), Err(ApiKeyError::Malformed), "{text}");
        }
    }

    #[test]
    fn base62_is_a_big_endian_number_padded_on_the_left() {
        assert_eq!(base62(&[0, 0, 0, 61], 6), "00000z");
        assert_eq!(base62(&[1, 0], 3), "048");
        assert_eq!(base62(&[255; 32], 43).len(), 43);
    }
}
