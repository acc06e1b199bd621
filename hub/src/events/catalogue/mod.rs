//! The event types that the hub knows, each with a JSON Schema (2020-12) of its `data`, a description and an example.
//!
//! A direct call whose `data` does not satisfy its type's schema is refused; a batch's event, which an agent has
//! acknowledged, is taken and flagged (`schema_errors`). What the hub itself emits satisfies its own schemas; tests hold
//! every emitter to that. Types that are not here are the shop's own, and nothing is asked of them.
//!
//! The schemas use a few plain keywords, and [`schema`] checks exactly those. A whole validator would bring some 25
//! crates and its own copies of every meta-schema into a program that is to stay small; the tests have one, and hold
//! both to the same verdicts.

mod routes;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use trastienda_protocol::ids::Id as _;
use trastienda_protocol::problem::FieldError;
use utoipa::ToSchema;

use self::schema::Rule;
use super::Event;

pub use routes::router;

/// The built-in types, one file each.
const FILES: [&str; 9] = [
    include_str!("types/order.created.json"),
    include_str!("types/order.paid.json"),
    include_str!("types/payment.paid.json"),
    include_str!("types/payment.failed.json"),
    include_str!("types/payment.refunded.json"),
    include_str!("types/payment.disputed.json"),
    include_str!("types/notification.sent.json"),
    include_str!("types/notification.failed.json"),
    include_str!("types/endpoint.disabled.json"),
];

/// An event type that the hub knows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    /// The type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Who reports it: `shop`, `hub` or `both`.
    pub source: String,
    /// What it says.
    pub description: String,
    /// The JSON Schema (2020-12) of its `data`.
    pub schema: Value,
    /// A `data` that satisfies it.
    pub example: Value,
}

struct Known {
    event_type: EventType,
    rule: Rule,
}

// Read and compiled once. A file that could not be read would be missing here; a test counts them.
static CATALOGUE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let read = |text: &&str| {
        let event_type: EventType = serde_json::from_str(text).ok()?;
        let rule = Rule::compile(&event_type.schema).ok()?;
        Some(Known { event_type, rule })
    };
    FILES.iter().filter_map(read).collect()
});

/// The types that the hub knows.
pub fn list() -> Vec<EventType> {
    CATALOGUE.iter().map(|known| known.event_type.clone()).collect()
}

/// What is wrong with the data of an event of a built-in type; nothing for others.
pub fn check(event_type: &str, data: &Map<String, Value>) -> Vec<FieldError> {
    match CATALOGUE.iter().find(|known| known.event_type.event_type == event_type) {
        Some(known) => known.rule.check_object(data, "/data"),
        None => Vec::new(),
    }
}

/// The errors as an event keeps them; nothing when there are none.
pub(super) fn to_json(errors: &[FieldError]) -> Option<Value> {
    if errors.is_empty() { None } else { serde_json::to_value(errors).ok() }
}

/// Flags an event that was just written with what its data has wrong. Nearly none has: then nothing is written.
pub(super) async fn flag(conn: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    let Some(errors) = &event.schema_errors else { return Ok(()) };
    sqlx::query!(
        "update events set schema_errors = $3 where project_id = $1 and id = $2",
        event.project_id.uuid(),
        event.id.uuid(),
        errors,
    )
    .execute(conn)
    .await?;
    metrics::counter!("trastienda_events_flagged_total", "type" => event.event_type.clone()).increment(1);
    Ok(())
}
