//! `POST /v1/batch`: how an agent hands over what it acknowledged.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::check::{self, Errors, Fields};
use crate::limits::is_idempotency_key;
use crate::problem::FieldError;

/// What an operation creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Kind {
    /// As `POST /v1/events`.
    Event,
    /// As `POST /v1/notifications`.
    Notification,
    /// As `POST /v1/payments`, not waited for.
    Payment,
}

impl Kind {
    /// The words and what they mean.
    pub const CHOICES: &'static [(&'static str, Self)] =
        &[("event", Self::Event), ("notification", Self::Notification), ("payment", Self::Payment)];

    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::CHOICES.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind)
    }
}

/// One operation as the agent writes it: the caller's bytes verbatim.
#[derive(Debug, Serialize)]
pub struct OutgoingOperation<'a> {
    /// What it creates.
    pub kind: Kind,
    /// The id under which it was acknowledged.
    pub id: &'a str,
    /// The caller's `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<&'a str>,
    /// When the agent acknowledged it.
    #[serde(serialize_with = "crate::time::serialize")]
    pub accepted_at: DateTime<Utc>,
    /// The caller's body.
    pub body: &'a RawValue,
}

/// One operation as the hub reads it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// What it creates.
    pub kind: Kind,
    /// The id under which it was acknowledged, not yet read as an id of the kind.
    pub id: String,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// When the agent acknowledged it.
    pub accepted_at: DateTime<Utc>,
    /// The caller's body.
    pub body: Value,
}

impl Operation {
    /// Reads one operation; its body is checked later, by the parser of its kind.
    ///
    /// # Errors
    /// Every field of the envelope that is missing, wrong or unknown.
    pub fn parse(value: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let operation = Fields::of(value, &mut errors).and_then(|mut fields| {
            let kind = fields.required("kind", check::one_of(Kind::CHOICES));
            let id = fields.required("id", check::line(1, 64));
            let idempotency_key = fields.optional("idempotency_key", |value| {
                let key = value.as_str().filter(|key| is_idempotency_key(key));
                key.map(str::to_owned).ok_or_else(|| "must be 1 to 255 printable ASCII characters".to_owned())
            });
            let accepted_at = fields.required("accepted_at", check::timestamp);
            let body = fields.required("body", |value| Ok(value.clone()));
            fields.finish();
            Some(Self { kind: kind?, id: id?, idempotency_key, accepted_at: accepted_at?, body: body? })
        });
        errors.finish(operation)
    }
}

/// What became of one operation: what the single call would have answered.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationResult {
    /// The HTTP status.
    pub status: u16,
    /// The answer's body.
    pub body: Value,
}

/// The answer to a batch: one result per operation, in order.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResults {
    /// In the order of the operations.
    pub results: Vec<OperationResult>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_writes_the_hub_reads() {
        let body =
            RawValue::from_string(r#"{"type":"order.created","data":{"order_id":"1"}}"#.to_owned()).unwrap();
        let accepted_at = crate::time::parse("2026-11-24T10:00:00.123Z").unwrap();
        let outgoing = OutgoingOperation {
            kind: Kind::Event,
            id: "evt_x",
            idempotency_key: None,
            accepted_at,
            body: &body,
        };
        let read = Operation::parse(&serde_json::to_value(&outgoing).unwrap()).unwrap();
        assert_eq!((read.kind, read.id.as_str(), read.accepted_at), (Kind::Event, "evt_x", accepted_at));
        assert_eq!(read.body["type"], "order.created");
    }
}
