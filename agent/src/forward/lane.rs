//! One lane of batches: what is claimed and sent, and how large batches may be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trastienda_protocol::heartbeat::HubState;
use trastienda_protocol::limits::BATCH_OPERATIONS_MAX;

use super::memory::Memory;
use super::{Next, Trouble, batch, settle};
use crate::agent::Core;
use crate::buffer::{Claim, Lane, StorageError, Wanted};
use crate::config::Pace;
use crate::hub::HubError;

/// Bodies in one batch, in bytes: bounds the agent's memory while it drains. One larger call goes alone.
const BATCH_BYTES: usize = 512 * 1024;
/// Batches that are not full leave a lane at most this often: under load they gather.
const LINGER: Duration = Duration::from_millis(10);
/// After walking over much that cannot go, a lane looks again at most this often.
const FRUITLESS: Duration = Duration::from_millis(100);
/// After the buffer could not be read or written.
const BUFFER_PAUSE: Duration = Duration::from_secs(1);

/// Which rows a worker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Payments and mail.
    Urgent,
    /// Events that came while older ones wait.
    Fresh,
    /// Events, oldest first.
    Backlog,
    /// The same beside it, while there is more than a batch: the next is written while the hub works on one.
    SecondBacklog,
}

/// A lane at work.
#[derive(Debug)]
pub(super) struct Worker {
    kind: Kind,
    pub(super) pace: Pace,
    pub(super) core: Arc<Core>,
    pub(super) memory: Arc<Memory>,
    /// Operations in the next batch at most: shrinks when a batch fails for what may be in it.
    pub(super) size: usize,
    /// Batches in a row that failed for what may be in them.
    pub(super) suspicions: u32,
    /// Before this the lane does not look for something to send.
    rests_until: Option<Instant>,
    /// Open while the lanes may send.
    gate: watch::Sender<bool>,
}

impl Worker {
    pub(super) fn new(
        kind: Kind,
        pace: Pace,
        (core, memory): (Arc<Core>, Arc<Memory>),
        gate: watch::Sender<bool>,
    ) -> Self {
        Self { kind, pace, core, memory, size: BATCH_OPERATIONS_MAX, suspicions: 0, rests_until: None, gate }
    }

    /// Nobody sends any more, from before this lane's rows are free for the others.
    pub(super) fn pause(&self, trouble: Trouble) -> Next {
        self.gate.send_replace(false);
        Next::Pause(trouble)
    }

    /// Sends while the gate is open. Told to stop, it goes on until nothing is left that can go.
    pub(super) async fn run(mut self, report: mpsc::Sender<Trouble>, stop: CancellationToken) {
        let mut gate = self.gate.subscribe();
        let mut changes = self.core.buffer.changes();
        loop {
            tokio::select! {
                open = gate.wait_for(|open| *open) => if open.is_err() { return },
                () = stop.cancelled(), if !*gate.borrow() => return,
            }
            if let Some(until) = self.rests_until.take()
                && !stop.is_cancelled()
            {
                tokio::time::sleep_until(until).await;
            }
            // Before looking: what comes afterwards is a change.
            changes.mark_unchanged();
            match self.step().await {
                Ok(Next::Again) => {}
                Ok(Next::Idle(due)) => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        changed = changes.changed() => if changed.is_err() { return },
                        () = sleep_or_forever(due) => {}
                    }
                }
                Ok(Next::Pause(trouble)) => {
                    if stop.is_cancelled() || report.send(trouble).await.is_err() {
                        return;
                    }
                    // The gate is closed; the supervisor opens it again.
                }
                Err(error) => {
                    tracing::error!(error = %error, "the forwarder could not use the buffer; everything is kept");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(BUFFER_PAUSE.min(self.pace.backoff_max)) => {}
                    }
                }
            }
        }
    }

    /// Sends one batch, if there is something to send.
    async fn step(&mut self) -> Result<Next, StorageError> {
        let now = self.core.clock.now();
        let Some(mut claim) = self.claim(now.timestamp_millis()).await? else { return Ok(Next::Idle(None)) };
        if !*self.gate.borrow() {
            // Closed while this lane looked: another one had these rows, and trouble with them.
            return Ok(Next::Again);
        }
        if !claim.expired.is_empty() {
            settle::expire(&self.core, &claim).await?;
        }
        if claim.operations.is_empty() {
            if self.core.buffer.totals().rows == 0 {
                // Nothing waits, so whatever failed before has been settled.
                self.memory.lock().failures.clear();
            }
            if !claim.expired.is_empty() {
                return Ok(Next::Again);
            }
            if claim.more {
                self.rests_until = Some(Instant::now() + FRUITLESS);
            }
            let due = claim.next_run_at.map(|at| at.saturating_sub(now.timestamp_millis()).unsigned_abs());
            return Ok(Next::Idle(due.map(Duration::from_millis)));
        }
        if !(claim.more || claim.behind) {
            self.rests_until = Some(Instant::now() + LINGER);
        }
        // Compressing takes milliseconds, which the runtime's threads are not to wait for. Once it is done, the bodies
        // are not needed any more.
        let mut operations = std::mem::take(&mut claim.operations);
        let compressing = tokio::task::spawn_blocking(move || {
            let written = batch::write(&operations);
            for operation in &mut operations {
                operation.body = Vec::new();
            }
            (operations, written)
        });
        let Ok((operations, written)) = compressing.await else {
            return Ok(self.pause(Trouble { state: HubState::Up, at_least: None }));
        };
        let body = match written {
            Ok(body) => body,
            Err(error) => return self.unreadable(&operations, &error).await,
        };
        let hub = self.core.hub();
        match hub.batch(body, self.core.clock.as_ref()).await {
            Ok(results) if results.len() == operations.len() => self.settle(&operations, results).await,
            Ok(results) => {
                let text = format!("{} results for {} operations", results.len(), operations.len());
                self.failed(&operations, HubError::Malformed(text)).await
            }
            Err(error) => self.failed(&operations, error).await,
        }
        // The claim lives until here: its rows are in no other one until they are settled.
    }

    /// What to send next. `None`: nothing is this lane's at present.
    async fn claim(&self, now: i64) -> Result<Option<Claim>, StorageError> {
        let buffer = &self.core.buffer;
        let lane = match self.kind {
            Kind::Urgent => Lane::Urgent,
            Kind::SecondBacklog if buffer.totals().rows <= BATCH_OPERATIONS_MAX as u64 => return Ok(None),
            Kind::Backlog | Kind::SecondBacklog => Lane::Backlog,
            Kind::Fresh => match self.memory.lock().fresh_after {
                Some(after) => Lane::Fresh { after },
                None => return Ok(None),
            },
        };
        let max_age = self.core.live().max_age;
        let not_before = max_age.map(|age| now.saturating_sub(age.num_milliseconds()));
        let wanted = Wanted { lane, now, max_rows: self.size, max_bytes: BATCH_BYTES, not_before };
        let claim = buffer.claim(wanted).await?;
        match (self.kind, claim.more) {
            (Kind::Urgent, _) | (Kind::Fresh | Kind::SecondBacklog, false) => {}
            // The backlog is over, or what came while it was sent has become one itself.
            (Kind::Backlog, false) => self.memory.lock().fresh_after = None,
            (Kind::Backlog | Kind::SecondBacklog, true) if self.memory.lock().fresh_after.is_some() => {}
            (Kind::Backlog | Kind::SecondBacklog | Kind::Fresh, true) => {
                let newest = buffer.newest().await?;
                let known = self.memory.lock().fresh_after.replace(newest);
                if known.is_none() {
                    tracing::info!("there is a backlog: what comes from now on goes beside it");
                }
            }
        }
        Ok(Some(claim))
    }
}

async fn sleep_or_forever(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
