//! How the agent sees the hub, and its state in numbers.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use trastienda_protocol::clock::Clock;
use trastienda_protocol::heartbeat::{AgentStatus, HubState};

use crate::agent::Core;
use crate::buffer::{Buffer, StorageError};

/// The agent's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How the hub is seen: written by whoever talked to it last, logged when it changes.
#[derive(Debug, Clone)]
pub struct HubView {
    state: watch::Sender<HubState>,
    since: Arc<Mutex<DateTime<Utc>>>,
    version: Arc<Mutex<Option<String>>>,
}

impl HubView {
    /// Until it has answered, it counts as down.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            state: watch::Sender::new(HubState::Down),
            since: Arc::new(Mutex::new(now)),
            version: Arc::default(),
        }
    }

    /// Since when it is seen as it is.
    pub fn since(&self) -> DateTime<Utc> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is seen now.
    pub fn state(&self) -> HubState {
        *self.state.borrow()
    }

    /// The version that it last said.
    pub fn version(&self) -> Option<String> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It said this version.
    pub fn set_version(&self, version: String) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
    }

    /// It is seen so from now on.
    pub fn set(&self, state: HubState, now: DateTime<Utc>) {
        let changed = self.state.send_if_modified(|seen| std::mem::replace(seen, state) != state);
        if !changed {
            return;
        }
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = now;
        match state {
            HubState::Up => tracing::info!("the hub answers"),
            HubState::Down => {
                tracing::warn!("the hub cannot be reached: calls are kept until it answers");
            }
            HubState::Unauthorized => tracing::error!(
                "THE HUB REFUSES THE API KEY: nothing is forwarded, everything is kept; \
                 check TRASTIENDA_API_KEY and whether the project is active"
            ),
            HubState::ProjectMismatch => tracing::error!(
                "THE API KEY BELONGS TO ANOTHER PROJECT THAN THE BUFFER: nothing is forwarded, everything is kept; \
                 put the old key back, or give the new project its own TRASTIENDA_AGENT_DATA_DIR"
            ),
        }
    }

    /// Returns once it answers; at once when it does.
    pub async fn is_up(&self) {
        // The sender lives as long as self, so the wait cannot end early.
        let _ = self.state.subscribe().wait_for(|state| *state == HubState::Up).await;
    }
}

/// The agent's state in numbers.
///
/// # Errors
/// The buffer cannot be read.
pub async fn status(
    buffer: &Buffer,
    hub: &HubView,
    clock: &Arc<dyn Clock>,
) -> Result<AgentStatus, StorageError> {
    let totals = buffer.totals();
    let oldest = buffer.oldest().await?;
    let age = oldest.map_or(0, |oldest| (clock.now() - oldest).num_seconds().max(0));
    Ok(AgentStatus {
        hub: hub.state(),
        buffered: totals.rows,
        oldest_seconds: age.unsigned_abs(),
        dead_letters: totals.dead_letters,
        disk_bytes: buffer.disk_bytes(),
        version: VERSION.to_owned(),
    })
}

/// What the agent's own operator sees besides: `GET /agent/overview`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnStatus {
    /// What the hub hears too.
    #[serde(flatten)]
    pub agent: AgentStatus,
    /// Since when the hub is seen so.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub hub_since: DateTime<Utc>,
    /// Calls a second that were acknowledged during the last minute.
    pub accepted_per_second: f64,
    /// Calls a second that the hub took during the last minute.
    pub forwarded_per_second: f64,
    /// How full the buffer is, in hundredths of the limit that is nearest.
    pub full_percent: u64,
    /// Bytes that are free on its disk.
    pub disk_free_bytes: u64,
    /// Databases that were set aside as damaged and wait for `queue recover`.
    pub damaged_databases: usize,
}

/// The agent's state, for its operator.
///
/// # Errors
/// The buffer cannot be read.
pub(crate) async fn own(core: &Core) -> Result<OwnStatus, StorageError> {
    let (accepted, forwarded) =
        core.rates.per_second(core.metrics.accepted.get(), core.metrics.forwarded.get());
    Ok(OwnStatus {
        agent: status(&core.buffer, &core.hub_view, &core.clock).await?,
        hub_since: core.hub_view.since(),
        accepted_per_second: accepted,
        forwarded_per_second: forwarded,
        full_percent: core.buffer.percent(),
        disk_free_bytes: core.buffer.measure_disk(),
        damaged_databases: core.buffer.damaged_files().len(),
    })
}
