//! Whether two bodies are the same call: a keyed digest, so that a stolen database does not even
//! confirm a guess at what was sent.

use serde_json::{Map, Value};

use crate::mac::hmac_sha256;

/// HMAC-SHA256 of a body. Key order, spacing, absent versus null and the call's own `id` do not
/// matter: a client that repeats a call through another door sends the same call.
pub fn fingerprint(key: &[u8], body: &Value) -> [u8; 32] {
    let mut canonical = Vec::with_capacity(1_024);
    match body {
        Value::Object(map) => {
            write_members(map, |name, value| name != "id" && !value.is_null(), &mut canonical);
        }
        other => write(other, &mut canonical),
    }
    hmac_sha256(key, &[&canonical])
}

/// JSON as short as can be, members in their order: byte for byte what `serde_json` writes, in a fraction of its time.
fn write(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::String(text) => write_text(text, into),
        Value::Array(items) => {
            into.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    into.push(b',');
                }
                write(item, into);
            }
            into.push(b']');
        }
        Value::Object(map) => write_members(map, |_, _| true, into),
        Value::Null | Value::Bool(_) | Value::Number(_) => write_any(value, into),
    }
}

fn write_members(map: &Map<String, Value>, counts: impl Fn(&str, &Value) -> bool, into: &mut Vec<u8>) {
    into.push(b'{');
    let mut is_first = true;
    for (name, value) in map.iter().filter(|(name, value)| counts(name, value)) {
        if !is_first {
            into.push(b',');
        }
        is_first = false;
        write_text(name, into);
        into.push(b':');
        write(value, into);
    }
    into.push(b'}');
}

fn write_text(text: &str, into: &mut Vec<u8>) {
    // Without an early end, so that many bytes are looked at in one step.
    let is_special = |byte| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
    if text.bytes().fold(0, |found, byte| found | is_special(byte)) != 0 {
        return write_any(text, into);
    }
    into.push(b'"');
    into.extend_from_slice(text.as_bytes());
    into.push(b'"');
}

fn write_any(value: &(impl serde::Serialize + ?Sized), into: &mut Vec<u8>) {
    // Texts, numbers and the like: nothing in them can fail to be written to memory.
    let written = serde_json::to_writer(into, value);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~\"\\\\\u{0}-\u{1f}]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        // What agents and hubs have kept of earlier calls was made of what `serde_json` writes.
        #[test]
        fn it_is_of_what_serde_json_writes(value in any_json()) {
            let mut written = Vec::new();
            write(&value, &mut written);
            prop_assert_eq!(written, serde_json::to_vec(&value).unwrap());
        }
    }

    #[test]
    fn only_the_id_and_the_spelling_may_differ() {
        let one = fingerprint(b"k", &json!({"id": "evt_1", "type": "a.b", "data": {"x": 1, "y": 2}}));
        let other: Value = serde_json::from_str(r#"{ "data": {"y":2, "x":1}, "type":"a.b" }"#).unwrap();
        assert_eq!(one, fingerprint(b"k", &other));
        assert_ne!(one, fingerprint(b"k", &json!({"type": "a.b", "data": {"x": 1, "y": 3}})));
        assert_ne!(one, fingerprint(b"other", &other));
    }
}
