//! Whose buffer this is, and which hub it talks to: asked before anything is sent.

use trastienda_protocol::heartbeat::HubState;

use super::{Trouble, verdict};
use crate::agent::Core;
use crate::features;

/// Asks for the hub's version; another one than before may know the fields that the former refused.
pub(crate) async fn learn_version(core: &Core) {
    let Some(version) = core.hub().version().await else { return };
    if core.hub_view.version().as_ref() == Some(&version) {
        return;
    }
    match core.buffer.revive_for_version(version.clone()).await {
        Ok(0) => {}
        Ok(calls) => tracing::info!(
            hub.version = version,
            calls,
            "another version of the hub: calls with fields that it did not know are tried again"
        ),
        Err(error) => {
            tracing::warn!(error = %error, "calls with fields that the hub did not know could not be put back");
            return;
        }
    }
    core.hub_view.set_version(version);
}

/// Asks for the key's project. The first answer makes the buffer that project's; a later one must be the same.
pub(super) async fn verify(core: &Core) -> Result<(), Trouble> {
    let trouble = |state| Err(Trouble { state, at_least: None });
    if core.hub_view.state() == HubState::Down && !core.hub().answers().await {
        return trouble(HubState::Down);
    }
    let said;
    let project = match core.hub().project(core.clock.as_ref()).await {
        Ok((project, answer)) => {
            said = answer;
            project.to_string()
        }
        Err(error) => {
            tracing::debug!(error = %error, "the hub did not say which project the key belongs to");
            return Err(verdict::pause(&error));
        }
    };
    match core.buffer.project() {
        Some(owner) if owner != project => {
            tracing::debug!(buffer.project = owner, key.project = project, "another project's key");
            return trouble(HubState::ProjectMismatch);
        }
        Some(_) => {}
        None => {
            if let Err(error) = core.buffer.set_project(project.clone()).await {
                tracing::error!(error = %error, "the buffer's project could not be saved");
                return trouble(HubState::Up);
            }
            tracing::info!(project.id = project, "the buffer belongs to this project from now on");
        }
    }
    crate::project::learn(core, said).await;
    learn_version(core).await;
    features::ask(core).await;
    Ok(())
}
