//! Whose buffer this is: asked of the hub before anything is sent.

use trastienda_protocol::heartbeat::HubState;

use super::{Next, verdict};
use crate::agent::Core;

/// Asks for the key's project. The first answer makes the buffer that project's; a later one must be the same.
pub(super) async fn verify(core: &Core, verified: &mut bool) -> Next {
    if core.hub_view.state() == HubState::Down && !core.hub.answers().await {
        return Next::Pause(HubState::Down, None);
    }
    let project = match core.hub.project(core.clock.as_ref()).await {
        Ok(project) => project.to_string(),
        Err(error) => {
            tracing::debug!(error = %error, "the hub did not say which project the key belongs to");
            return verdict::pause(&error);
        }
    };
    match core.buffer.project() {
        Some(owner) if owner != project => {
            tracing::debug!(buffer.project = owner, key.project = project, "another project's key");
            return Next::Pause(HubState::ProjectMismatch, None);
        }
        Some(_) => {}
        None => {
            if let Err(error) = core.buffer.set_project(project.clone()).await {
                tracing::error!(error = %error, "the buffer's project could not be saved");
                return Next::Pause(HubState::Up, None);
            }
            tracing::info!(project.id = project, "the buffer belongs to this project from now on");
        }
    }
    *verified = true;
    Next::Again
}
