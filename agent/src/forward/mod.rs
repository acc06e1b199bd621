//! Hands over what was acknowledged: claim, batch, hub, settle.
//!
//! Several lanes send at the same time, each a batch of its own: payments and mail before events, and
//! events that came just now beside a backlog of older ones. Per order, the order is kept across lanes
//! ([`crate::buffer`] chooses the rows so). A [`supervisor`](work) decides whether they may send: while
//! the hub does not answer, it is probed with growing pauses; while it refuses the key, or the key
//! belongs to another project than the buffer, everything is kept.
//!
//! Rows are deleted only after the hub's answer is known; a crash between the two sends the same ids
//! again, and the same id at the hub is the same thing. What the hub refuses for good goes to the dead
//! letters and never blocks what is behind it. What each answer means is decided in [`verdict`], without I/O.

pub(crate) mod backoff;
mod batch;
mod lane;
mod memory;
pub(crate) mod project;
mod settle;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trastienda_protocol::heartbeat::HubState;

use crate::agent::Core;
use crate::config::Pace;
use backoff::Backoff;
use lane::{Kind, Worker};
use memory::Memory;

const LANES: [Kind; 4] = [Kind::Urgent, Kind::Fresh, Kind::Backlog, Kind::SecondBacklog];

/// What to do after a step.
#[derive(Debug)]
enum Next {
    /// There may be more to send.
    Again,
    /// Nothing to send until something changes, or until the postponed is due.
    Idle(Option<Duration>),
    /// The hub cannot be talked to; ask again after a pause, which is the one that it asks for if it does.
    Pause(Trouble),
}

/// Why nobody may send for a while.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    state: HubState,
    /// How long the hub asks to be left alone.
    at_least: Option<Duration>,
}

/// Runs until told to stop; then what waits has the grace time to be handed over.
pub(crate) async fn run(core: Arc<Core>, pace: Pace, stop: CancellationToken) {
    let gate = watch::Sender::new(false);
    let (report, mut reports) = mpsc::channel(LANES.len());
    let memory = Arc::new(Memory::default());
    let mut lanes = JoinSet::new();
    for kind in LANES {
        let worker = Worker::new(kind, pace, (Arc::clone(&core), Arc::clone(&memory)), gate.clone());
        lanes.spawn(worker.run(report.clone(), stop.clone()));
    }
    drop(report);
    work(&core, pace, &gate, &mut reports, &stop).await;
    let drained = async { while lanes.join_next().await.is_some() {} };
    if tokio::time::timeout(pace.grace, drained).await.is_err() {
        tracing::warn!("not everything was handed over in the grace time; the rest is kept");
    }
}

/// Opens and closes the gate of the lanes, until told to stop.
async fn work(
    core: &Core,
    pace: Pace,
    gate: &watch::Sender<bool>,
    reports: &mut mpsc::Receiver<Trouble>,
    stop: &CancellationToken,
) {
    let mut backoff = Backoff::new(pace.backoff_first, pace.backoff_max);
    let mut verified = false;
    while !stop.is_cancelled() {
        let trouble = if verified {
            // What was said before the gate was closed is about the time before.
            while reports.try_recv().is_ok() {}
            gate.send_replace(true);
            let batches = core.metrics.batches.get();
            let trouble = tokio::select! {
                () = stop.cancelled() => return,
                report = reports.recv() => match report {
                    Some(trouble) => trouble,
                    None => return,
                },
                () = core.hub_lost.notified() => {
                    gate.send_replace(false);
                    verified = false;
                    continue;
                }
            };
            gate.send_replace(false);
            if core.metrics.batches.get() > batches {
                backoff.reset();
            }
            trouble
        } else {
            let verifying = tokio::select! {
                () = stop.cancelled() => return,
                next = project::verify(core) => next,
            };
            let Err(trouble) = verifying else {
                core.hub_view.set(HubState::Up, core.clock.now());
                verified = true;
                continue;
            };
            trouble
        };
        core.hub_view.set(trouble.state, core.clock.now());
        // Before anything is sent again, the key and its project are looked at again.
        verified &= trouble.state == HubState::Up;
        let own = backoff.next();
        // The hub knows better when to come back, but never at once.
        let pause = trouble.at_least.map_or(own, |asked| asked.max(pace.backoff_first));
        tracing::debug!(pause_ms = pause.as_millis(), "the forwarder pauses");
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = core.hub_seen.notified(), if trouble.state == HubState::Down => {}
            // New settings: perhaps another key or another hub.
            () = core.reloaded.notified() => verified = false,
        }
    }
}
