//! One lane of batches: what is claimed, sent and settled, and how large batches may be.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use trastienda_protocol::batch::{BatchResults, OperationResult};
use trastienda_protocol::heartbeat::HubState;
use trastienda_protocol::limits::BATCH_OPERATIONS_MAX;

use super::backoff::doubled;
use super::verdict::{self, Single, Whole};
use super::{Next, batch};
use crate::agent::Core;
use crate::buffer::{Claim, Pending, Reason, Settled, Settlement, StorageError};
use crate::config::Pace;
use crate::hub::HubError;

/// Bodies in one batch, in bytes: bounds the agent's memory while it drains. One larger call goes alone.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// A lane.
#[derive(Debug)]
pub(super) struct Lane {
    pace: Pace,
    /// Operations in the next batch at most: shrinks when a batch fails for what may be in it.
    size: usize,
    /// Batches in a row that failed for what may be in them.
    suspicions: u32,
    /// Operations taken since the start.
    taken: u64,
    /// What failed before, by row: how often, and how many had been taken by then.
    failures: HashMap<i64, Failure>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failure {
    times: u32,
    taken_before: Option<u64>,
}

impl Lane {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, size: BATCH_OPERATIONS_MAX, suspicions: 0, taken: 0, failures: HashMap::new() }
    }

    /// Sends one batch, if there is something to send.
    pub(super) async fn step(&mut self, core: &Core) -> Next {
        match self.try_step(core).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(error = %error, "the forwarder could not use the buffer; everything is kept");
                Next::Pause(HubState::Up, None)
            }
        }
    }

    async fn try_step(&mut self, core: &Core) -> Result<Next, StorageError> {
        let now = core.clock.now();
        let claim = core.buffer.claim(now, self.size, BATCH_BYTES).await?;
        if !claim.expired.is_empty() {
            expire(core, &claim).await?;
        }
        if claim.operations.is_empty() {
            if claim.next_run_at.is_none() {
                // Nothing waits, so whatever failed before has been settled.
                self.failures.clear();
            }
            let due = claim.next_run_at.map(|at| at.saturating_sub(now.timestamp_millis()).unsigned_abs());
            return Ok(Next::Idle(due.map(Duration::from_millis)));
        }
        let operations = claim.operations;
        // Compressing takes milliseconds, which the doors' threads are not to wait for.
        let written = tokio::task::spawn_blocking(move || (batch::write(&operations), operations)).await;
        let Ok((written, operations)) = written else { return Ok(Next::Pause(HubState::Up, None)) };
        let body = match written {
            Ok(body) => body,
            Err(error) => return self.unreadable(core, &operations, &error).await,
        };
        match core.hub.batch(body, core.clock.as_ref()).await {
            Ok(BatchResults { results }) if results.len() == operations.len() => {
                self.settle(core, &operations, results).await
            }
            Ok(BatchResults { results }) => {
                let text = format!("{} results for {} operations", results.len(), operations.len());
                self.failed(core, &operations, HubError::Malformed(text)).await
            }
            Err(error) => self.failed(core, &operations, error).await,
        }
    }

    async fn settle(
        &mut self,
        core: &Core,
        operations: &[Pending],
        results: Vec<OperationResult>,
    ) -> Result<Next, StorageError> {
        let alone = verdict::failed_alone(&results);
        let mut settlements = Vec::with_capacity(operations.len());
        let (mut taken, mut buried) = (0, 0);
        for ((operation, result), alone) in operations.iter().zip(results).zip(alone) {
            let settled = match verdict::single(result.status) {
                Single::Taken => {
                    taken += 1;
                    self.failures.remove(&operation.seq);
                    Settled::Delivered
                }
                Single::Final => {
                    buried += 1;
                    self.failures.remove(&operation.seq);
                    tracing::warn!(
                        operation.id = operation.public_id(),
                        status = result.status,
                        code = code(&result.body),
                        "the hub refused a call for good: it is among the dead letters"
                    );
                    let hub_version = unknown_to(core, code(&result.body));
                    let answer = Some(result.body.to_string());
                    Settled::Dead { reason: Reason::Refused, answer, hub_version }
                }
                Single::Again { .. } => {
                    tracing::info!(
                        operation.id = operation.public_id(),
                        status = result.status,
                        code = code(&result.body),
                        failed_alone = alone,
                        "the hub did not take a call: it is tried again"
                    );
                    self.defer(core, operation.seq, alone, Some(result.body.to_string()))
                }
            };
            settlements.push(Settlement { seq: operation.seq, settled });
        }
        core.buffer.settle(settlements, core.clock.now()).await?;
        self.taken += taken;
        core.metrics.batches.add(1);
        core.metrics.forwarded.add(taken);
        core.metrics.buried.add(buried);
        self.suspicions = 0;
        // Slower than it shrinks, so that a limit on the way is not hit at every second batch.
        self.size = (self.size + self.size / 4 + 1).min(BATCH_OPERATIONS_MAX);
        Ok(Next::Again)
    }

    async fn failed(
        &mut self,
        core: &Core,
        operations: &[Pending],
        error: HubError,
    ) -> Result<Next, StorageError> {
        core.metrics.batches_failed.add(1);
        tracing::warn!(error = %error, operations = operations.len(), "a batch was not taken");
        let verdict = verdict::whole(&error);
        let [only] = operations else {
            match verdict {
                Whole::Refused | Whole::TooLarge => {
                    self.size = operations.len() / 2;
                    return Ok(Next::Again);
                }
                Whole::Suspicious => {
                    // Once may be the hub's own trouble; twice in a row, the batch is taken apart.
                    self.suspicions += 1;
                    if self.suspicions > 1 {
                        self.size = operations.len() / 2;
                    }
                }
                Whole::Unavailable => {}
            }
            return Ok(verdict::pause(&error));
        };
        let answer = match &error {
            HubError::Refused { problem: Some(problem), .. } => serde_json::to_string(problem).ok(),
            _ => None,
        };
        let hub_version = match &error {
            HubError::Refused { problem: Some(problem), .. } => unknown_to(core, &problem.code),
            _ => None,
        };
        let settled = match verdict {
            Whole::Refused => {
                core.metrics.buried.add(1);
                Settled::Dead { reason: Reason::Refused, answer, hub_version }
            }
            Whole::TooLarge | Whole::Suspicious => {
                let alone = self.others_got_through(only.seq);
                self.defer(core, only.seq, alone, answer)
            }
            Whole::Unavailable => return Ok(verdict::pause(&error)),
        };
        core.buffer.settle(vec![Settlement { seq: only.seq, settled }], core.clock.now()).await?;
        Ok(if verdict == Whole::Refused { Next::Again } else { verdict::pause(&error) })
    }

    /// The disk changed a body. It is found by sending apart, and its bytes stay among the dead letters.
    async fn unreadable(
        &mut self,
        core: &Core,
        operations: &[Pending],
        error: &std::io::Error,
    ) -> Result<Next, StorageError> {
        if let [only] = operations {
            tracing::error!(operation.id = only.public_id(), error = %error, "a stored call is not readable");
            core.metrics.buried.add(1);
            let settled = Settled::Dead { reason: Reason::Refused, answer: None, hub_version: None };
            core.buffer.settle(vec![Settlement { seq: only.seq, settled }], core.clock.now()).await?;
        } else {
            self.size = operations.len() / 2;
        }
        Ok(Next::Again)
    }

    /// Whether anything was taken since this row failed the last time.
    fn others_got_through(&self, seq: i64) -> bool {
        let before = self.failures.get(&seq).and_then(|failure| failure.taken_before);
        before.is_some_and(|before| self.taken > before)
    }

    fn defer(&mut self, core: &Core, seq: i64, failed_alone: bool, answer: Option<String>) -> Settled {
        let failure = self.failures.entry(seq).or_default();
        let wait = doubled(self.pace.retry_first, self.pace.retry_max, failure.times);
        *failure = Failure { times: failure.times.saturating_add(1), taken_before: Some(self.taken) };
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        Settled::Deferred { run_at: (core.clock.now() + wait).timestamp_millis(), failed_alone, answer }
    }
}

/// Payments whose time is over are never sent.
async fn expire(core: &Core, claim: &Claim) -> Result<(), StorageError> {
    tracing::warn!(calls = claim.expired.len(), "calls expired before they could be forwarded");
    let settled = Settled::Dead { reason: Reason::Expired, answer: None, hub_version: None };
    let settlements =
        claim.expired.iter().map(|seq| Settlement { seq: *seq, settled: settled.clone() }).collect();
    core.metrics.buried.add(claim.expired.len() as u64);
    core.buffer.settle(settlements, core.clock.now()).await
}

/// The hub's version, when it refuses nothing but fields that it does not know.
fn unknown_to(core: &Core, code: &str) -> Option<String> {
    (code == "unknown_field").then(|| core.hub_view.version().unwrap_or_default())
}

fn code(body: &Value) -> &str {
    body.get("code").and_then(Value::as_str).unwrap_or_default()
}
