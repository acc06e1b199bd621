//! An event as it is stored and shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use trastienda_protocol::ids::{EventId, ProjectId};
use utoipa::ToSchema;

/// Who reported an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The shop.
    Shop,
    /// The hub itself.
    Hub,
}

impl Source {
    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Hub => "hub",
        }
    }
}

/// An event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its project.
    #[serde(skip)]
    pub project_id: ProjectId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Who reported it.
    pub source: Source,
    /// `accepted`, or `rejected` when a batch's event was refused after an agent had acknowledged it.
    pub status: &'static str,
    /// The order that it is about.
    pub order_id: Option<String>,
    /// What it says.
    pub data: Map<String, Value>,
    /// When it happened, by the caller's clock.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub occurred_at: Option<DateTime<Utc>>,
    /// When the hub stored it.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
    /// The `order.paid` that it repeats; then it was handed to nobody.
    pub duplicate_of: Option<EventId>,
    /// Why it was rejected.
    pub problem: Option<Value>,
    /// What its data has wrong, by its type's schema; only in events that an agent had acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_errors: Option<Value>,
    /// When its payload's retention was over; `data` is empty since.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "trastienda_protocol::time::serialize_option"
    )]
    pub blanked_at: Option<DateTime<Utc>>,
}

/// The answer to an accepted event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventAccepted {
    /// The event's id.
    pub id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When the hub stored it.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
    /// The `order.paid` that it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<EventId>,
}

impl From<&Event> for EventAccepted {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id,
            event_type: event.event_type.clone(),
            created_at: event.created_at,
            duplicate_of: event.duplicate_of,
        }
    }
}

/// How one of an event's deliveries stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryState {
    /// The delivery's id.
    pub id: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// `pending`, `sent` or `failed`.
    pub status: String,
    /// Attempts so far.
    pub attempt_count: i32,
}

/// An event with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventDetail {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryState>,
}
