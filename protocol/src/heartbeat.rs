//! What an agent tells the hub about itself, and its own operator at `GET /agent/status`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::{self, Errors, Fields};
use crate::problem::FieldError;

/// How the agent sees the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum HubState {
    /// The last call was answered.
    Up,
    /// Not reached, or it answers with 5xx.
    Down,
    /// It refuses the agent's key.
    Unauthorized,
    /// The key belongs to another project than the buffer.
    ProjectMismatch,
}

/// The agent's state in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentStatus {
    /// How the agent sees the hub.
    pub hub: HubState,
    /// Calls that are safe on the agent's disk and not yet at the hub.
    pub buffered: u64,
    /// Age of the oldest of them, in seconds.
    pub oldest_seconds: u64,
    /// Calls that the hub refused for good.
    pub dead_letters: u64,
    /// Bytes that the buffer takes on disk.
    pub disk_bytes: u64,
    /// The agent's version.
    pub version: String,
}

/// What an agent sends to `POST /v1/agent/heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    /// The agent's name for itself, kept in its buffer.
    pub agent_id: String,
    /// Its state.
    pub status: AgentStatus,
}

impl Heartbeat {
    /// Reads a heartbeat. Unknown fields of `status` are ignored: a newer agent may say more.
    ///
    /// # Errors
    /// Every field that is missing or wrong.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let heartbeat = Fields::of(body, &mut errors).and_then(|mut fields| {
            let agent_id = fields.required("agent_id", check::line(1, 128));
            let status = fields.required("status", |value| {
                serde_json::from_value(value.clone())
                    .map_err(|error| format!("must be an agent's status: {error}"))
            });
            fields.finish();
            Some(Self { agent_id: agent_id?, status: status? })
        });
        errors.finish(heartbeat)
    }
}
