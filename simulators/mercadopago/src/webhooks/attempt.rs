//! The record of one delivery, for whoever wonders what arrived.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// One attempt to deliver a notice and how it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) notice_id: i64,
    pub(crate) request_id: String,
    pub(crate) topic: &'static str,
    pub(crate) data_id: String,
    pub(crate) url: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) retry: usize,
    pub(crate) forged: bool,
    pub(crate) duration_ms: u64,
    pub(crate) answer: Answer,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(u16),
    Failed(String),
    /// Never sent, by a fault.
    Dropped,
}

impl Attempt {
    pub(crate) fn is_delivered(&self) -> bool {
        matches!(self.answer, Answer::Status(200..=299))
    }

    pub(crate) fn json(&self) -> Value {
        let (status, error) = match &self.answer {
            Answer::Status(status) => (json!(status), Value::Null),
            Answer::Failed(error) => (Value::Null, json!(error)),
            Answer::Dropped => (Value::Null, json!("dropped by a fault")),
        };
        json!({
            "notice_id": self.notice_id,
            "request_id": self.request_id,
            "topic": self.topic,
            "data_id": self.data_id,
            "url": self.url,
            "at": self.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "retry": self.retry,
            "forged": self.forged,
            "duration_ms": self.duration_ms,
            "delivered": self.is_delivered(),
            "status": status,
            "error": error,
        })
    }
}
