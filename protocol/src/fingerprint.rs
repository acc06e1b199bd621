//! Whether two bodies are the same call: a keyed digest, so that a stolen database does not even
//! confirm a guess at what was sent.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::mac::hmac_sha256;

/// HMAC-SHA256 of a body. Key order, spacing, absent versus null and the call's own `id` do not
/// matter: a client that repeats a call through another door sends the same call.
pub fn fingerprint(key: &[u8], body: &Value) -> [u8; 32] {
    // Names and values of parsed JSON: nothing in it can fail to be written.
    let canonical = serde_json::to_vec(&Canonical(body)).unwrap_or_default();
    hmac_sha256(key, &[&canonical])
}

/// A body without what does not matter.
struct Canonical<'a>(&'a Value);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                serializer.collect_map(map.iter().filter(|(name, value)| *name != "id" && !value.is_null()))
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_id_and_the_spelling_may_differ() {
        let one = fingerprint(b"k", &json!({"id": "evt_1", "type": "a.b", "data": {"x": 1, "y": 2}}));
        let other: Value = serde_json::from_str(r#"{ "data": {"y":2, "x":1}, "type":"a.b" }"#).unwrap();
        assert_eq!(one, fingerprint(b"k", &other));
        assert_ne!(one, fingerprint(b"k", &json!({"type": "a.b", "data": {"x": 1, "y": 3}})));
        assert_ne!(one, fingerprint(b"other", &other));
    }
}
