//! The signature vectors that PHP reads too: both sides must agree on every case.

use chrono::{DateTime, TimeDelta};
use serde::Deserialize;
use trastienda_protocol::webhook::{Headers, Secret, verify};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    payload: String,
    id: Option<String>,
    timestamp: Option<String>,
    secrets: Vec<String>,
    expected_signature: Option<String>,
    signature: Option<String>,
    now: i64,
    tolerance_seconds: i64,
    valid: bool,
}

#[test]
fn every_shared_vector_verifies_as_it_says() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../tests/vectors/webhook_signatures.json")).unwrap();
    assert!(vectors.cases.len() >= 20);
    for case in vectors.cases {
        let secrets: Vec<Secret> =
            case.secrets.iter().filter_map(|secret| Secret::parse(secret).ok()).collect();
        let headers = Headers {
            id: case.id.as_deref(),
            timestamp: case.timestamp.as_deref(),
            signature: case.signature.as_deref(),
        };
        let now = DateTime::from_timestamp(case.now, 0).unwrap();
        let result = verify(
            headers,
            case.payload.as_bytes(),
            &secrets,
            now,
            TimeDelta::seconds(case.tolerance_seconds),
        );
        assert_eq!(result.is_ok(), case.valid, "{}: {result:?}", case.name);
        if let (true, Some(expected), Some(id), Some(timestamp)) =
            (case.valid, case.expected_signature, case.id, case.timestamp)
        {
            let timestamp = timestamp.parse().unwrap();
            let made: Vec<String> =
                secrets.iter().map(|secret| secret.sign(&id, timestamp, case.payload.as_bytes())).collect();
            assert!(made.contains(&expected), "{}", case.name);
        }
    }
}
