//! What goes over the wire: the body and the headers of Standard Webhooks.

use serde::Serialize;
use serde_json::{Map, Value};
use trastienda_protocol::ids::{EventId, ProjectId};
use trastienda_protocol::webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret};

/// The body.
#[derive(Serialize)]
pub(crate) struct Payload<'a> {
    pub(crate) id: EventId,
    #[serde(rename = "type")]
    pub(crate) event_type: &'a str,
    /// When it happened, or was stored.
    pub(crate) timestamp: String,
    pub(crate) project: ProjectId,
    pub(crate) data: &'a Map<String, Value>,
}

/// The headers that say what it is and who says so: one signature per secret.
pub(crate) fn signed_headers(
    event: EventId,
    timestamp: i64,
    body: &[u8],
    secrets: &[Secret],
) -> [(&'static str, String); 4] {
    let id = event.to_string();
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(&id, timestamp, body)).collect();
    [
        ("content-type", "application/json".to_owned()),
        (HEADER_TIMESTAMP, timestamp.to_string()),
        (HEADER_SIGNATURE, signatures.join(" ")),
        (HEADER_ID, id),
    ]
}
