//! Writing a batch: the callers' bytes inside the envelope, compressed as they are written.

use std::io::Write as _;

use chrono::DateTime;
use serde_json::value::RawValue;
use trastienda_protocol::batch::OutgoingOperation;

use crate::buffer::Pending;

/// Fast, and already a fifth of the size for typical events.
const LEVEL: i32 = 1;

/// The compressed body of `POST /v1/batch`.
///
/// # Errors
/// A stored body is not JSON any more: the disk changed it.
pub(super) fn write(operations: &[Pending]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.write_all(br#"{"operations":["#)?;
    for (index, operation) in operations.iter().enumerate() {
        if index > 0 {
            encoder.write_all(b",")?;
        }
        let body: &RawValue = serde_json::from_slice(&operation.body)?;
        let outgoing = OutgoingOperation {
            kind: operation.kind,
            id: &operation.public_id(),
            idempotency_key: operation.idempotency_key.as_deref(),
            accepted_at: DateTime::from_timestamp_millis(operation.accepted_at).unwrap_or_default(),
            body,
        };
        serde_json::to_writer(&mut encoder, &outgoing)?;
    }
    encoder.write_all(b"]}")?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use trastienda_protocol::batch::{Kind, Operation};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_callers_bytes_arrive_as_they_came() {
        let body = r#"{ "type":"a.b",  "data":{"big":123456789012345678901234567890.10,"á":"\u00e1"} }"#;
        let pending = Pending {
            seq: 1,
            kind: Kind::Event,
            id: Uuid::from_u128(7),
            idempotency_key: Some("k".to_owned()),
            accepted_at: 1_795_000_000_123,
            body: body.as_bytes().to_vec(),
        };
        let written = zstd::decode_all(write(&[pending.clone(), pending]).unwrap().as_slice()).unwrap();
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text.matches(body).count(), 2);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let operation = Operation::parse(&value["operations"][1]).unwrap();
        assert_eq!(operation.id, "evt_00000000000000000000000000000007");
        assert_eq!(operation.idempotency_key.as_deref(), Some("k"));
        assert_eq!(operation.accepted_at.timestamp_millis(), 1_795_000_000_123);
    }
}
