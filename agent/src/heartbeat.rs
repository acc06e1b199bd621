//! Tells the hub once a minute that the agent lives, and how much it keeps.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trastienda_protocol::heartbeat::{Heartbeat, HubState};

use crate::agent::Core;
use crate::features;
use crate::forward::project::learn_version;
use crate::hub::HubError;
use crate::status::status;

/// Runs until told to stop. Nothing depends on a heartbeat that is lost.
pub(crate) async fn run(core: Arc<Core>, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = beat(&core, every) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

async fn beat(core: &Core, every: Duration) {
    // The first one waits for the hub; afterwards it also notices that an idle agent's hub is gone.
    core.hub_view.is_up().await;
    if core.pulled.is_within(every) {
        // A poll is a heartbeat.
        learn_version(core).await;
        features::ask(core).await;
        return;
    }
    let status = match status(&core.buffer, &core.hub_view, &core.clock).await {
        Ok(status) => status,
        Err(error) => {
            tracing::warn!(error = %error, "no heartbeat: the buffer cannot be read");
            return;
        }
    };
    let heartbeat = Heartbeat { agent_id: core.buffer.agent_id(), status };
    match core.hub().heartbeat(&heartbeat, core.clock.as_ref()).await {
        // Behind one address, hubs change one by one and the connection may never break.
        Ok(()) => {
            learn_version(core).await;
            features::ask(core).await;
        }
        Err(error @ (HubError::Unreachable(_) | HubError::TimedOut)) => {
            tracing::debug!(error = %error, "the heartbeat was not answered");
            core.hub_view.set(HubState::Down, core.clock.now());
            core.hub_lost.notify_one();
        }
        Err(HubError::Refused { status: 401 | 403, .. }) => {
            core.hub_view.set(HubState::Unauthorized, core.clock.now());
            core.hub_lost.notify_one();
        }
        Err(error) => tracing::debug!(error = %error, "the heartbeat was refused"),
    }
}
