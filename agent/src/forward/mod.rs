//! Hands over what was acknowledged: claim, batch, hub, settle.
//!
//! Rows are deleted only after the hub's answer is known; a crash between the two sends the same ids
//! again, and the same id at the hub is the same thing. While the hub does not answer, it is probed
//! with growing pauses; while it refuses the key, or the key belongs to another project than the
//! buffer, everything is kept. What the hub refuses for good goes to the dead letters and never blocks
//! what is behind it. What each answer means is decided in [`verdict`], without I/O.

pub(crate) mod backoff;
mod batch;
mod lane;
pub(crate) mod project;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trastienda_protocol::heartbeat::HubState;

use crate::agent::Core;
use crate::config::Pace;
use backoff::Backoff;
use lane::Lane;

/// What to do after a step.
#[derive(Debug)]
enum Next {
    /// There may be more to send.
    Again,
    /// Nothing to send until something is added, or until the postponed is due.
    Idle(Option<Duration>),
    /// The hub cannot be talked to; ask again after a pause, which is the one that it asks for if it does.
    Pause(HubState, Option<Duration>),
}

/// Runs until told to stop; then the batch in flight has the grace time to end.
pub(crate) async fn run(core: Arc<Core>, pace: Pace, stop: CancellationToken) {
    let working = work(&core, pace, &stop);
    tokio::pin!(working);
    tokio::select! {
        () = &mut working => return,
        () = stop.cancelled() => {}
    }
    if tokio::time::timeout(pace.grace, working).await.is_err() {
        tracing::warn!(
            "the batch in flight was not answered in the grace time; it is sent again after the start"
        );
    }
}

async fn work(core: &Core, pace: Pace, stop: &CancellationToken) {
    let mut backoff = Backoff::new(pace.backoff_first, pace.backoff_max);
    let mut lane = Lane::new(pace);
    let mut verified = false;
    while !stop.is_cancelled() {
        let next = if verified { lane.step(core).await } else { project::verify(core, &mut verified).await };
        match next {
            Next::Again => {
                core.hub_view.set(HubState::Up);
                backoff.reset();
            }
            Next::Idle(due) => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = core.buffer.added() => {}
                    () = sleep_or_forever(due) => {}
                    () = core.hub_lost.notified() => verified = false,
                }
            }
            Next::Pause(state, at_least) => {
                core.hub_view.set(state);
                // Before anything is sent again, the key and its project are looked at again.
                verified &= state == HubState::Up;
                let own = backoff.next();
                // The hub knows better when to come back, but never at once.
                let pause = at_least.map_or(own, |asked| asked.max(pace.backoff_first));
                tracing::debug!(pause_ms = pause.as_millis(), "the forwarder pauses");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                    () = core.hub_seen.notified(), if state == HubState::Down => {}
                }
            }
        }
    }
}

async fn sleep_or_forever(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
