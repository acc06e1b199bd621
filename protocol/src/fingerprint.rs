//! Whether two bodies are the same call: a keyed digest, so that a stolen database does not even
//! confirm a guess at what was sent.

use serde_json::Value;

use crate::mac::hmac_sha256;

/// HMAC-SHA256 of a body. Key order, spacing, absent versus null and the call's own `id` do not
/// matter: a client that repeats a call through another door sends the same call.
pub fn fingerprint(key: &[u8], body: &Value) -> [u8; 32] {
    let canonical = match body {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, value)| *name != "id" && !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect()).to_string()
        }
        other => other.to_string(),
    };
    hmac_sha256(key, &[canonical.as_bytes()])
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
