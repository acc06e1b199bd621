//! What becomes of a batch after the hub's answer, or without one.

use chrono::TimeDelta;
use trastienda_protocol::limits::BATCH_OPERATIONS_MAX;

use super::Next;
use super::backoff::doubled;
use super::lane::Worker;
use super::memory::Failure;
use super::verdict::{self, Single, Whole};
use crate::agent::Core;
use crate::buffer::{Claim, Pending, Reason, Settled, Settlement, StorageError};
use crate::hub::{HubError, Outcome};

/// Rows in one transaction: a call that comes meanwhile waits for one such piece at most.
const PIECE: usize = 100;

impl Worker {
    pub(super) async fn settle(
        &mut self,
        operations: &[Pending],
        results: Vec<Outcome>,
    ) -> Result<Next, StorageError> {
        let alone = verdict::failed_alone(&results);
        let mut settlements = Vec::with_capacity(operations.len());
        let (mut taken, mut buried) = (0, 0);
        for ((operation, result), alone) in operations.iter().zip(results).zip(alone) {
            let settled = match verdict::single(result.status) {
                Single::Taken => {
                    taken += 1;
                    Settled::Delivered
                }
                Single::Final => {
                    buried += 1;
                    tracing::warn!(
                        operation.id = operation.public_id(),
                        status = result.status,
                        code = result.code(),
                        "the hub refused a call for good: it is among the dead letters"
                    );
                    let hub_version = unknown_to(&self.core, &result.code());
                    let answer = Some(result.body.get().to_owned());
                    Settled::Dead { reason: Reason::Refused, answer, hub_version }
                }
                Single::Again { .. } => {
                    tracing::info!(
                        operation.id = operation.public_id(),
                        status = result.status,
                        code = result.code(),
                        failed_alone = alone,
                        "the hub did not take a call: it is tried again"
                    );
                    self.defer(operation.seq, alone, Some(result.body.get().to_owned()))
                }
            };
            settlements.push(Settlement { seq: operation.seq, settled });
        }
        {
            let mut memory = self.memory.lock();
            for settlement in &settlements {
                if !matches!(settlement.settled, Settled::Deferred { .. }) {
                    memory.failures.remove(&settlement.seq);
                }
            }
            memory.taken += taken;
        }
        record(&self.core, settlements).await?;
        self.core.metrics.batches.add(1);
        self.core.metrics.forwarded.add(taken);
        self.core.metrics.buried.add(buried);
        self.suspicions = 0;
        // Slower than it shrinks, so that a limit on the way is not hit at every second batch.
        self.size = (self.size + self.size / 4 + 1).min(BATCH_OPERATIONS_MAX);
        Ok(Next::Again)
    }

    pub(super) async fn failed(
        &mut self,
        operations: &[Pending],
        error: HubError,
    ) -> Result<Next, StorageError> {
        self.core.metrics.batches_failed.add(1);
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
            return Ok(self.pause(verdict::pause(&error)));
        };
        let answer = match &error {
            HubError::Refused { problem: Some(problem), .. } => serde_json::to_string(problem).ok(),
            _ => None,
        };
        let hub_version = match &error {
            HubError::Refused { problem: Some(problem), .. } => unknown_to(&self.core, &problem.code),
            _ => None,
        };
        let settled = match verdict {
            Whole::Refused => {
                self.core.metrics.buried.add(1);
                Settled::Dead { reason: Reason::Refused, answer, hub_version }
            }
            Whole::TooLarge | Whole::Suspicious => {
                let alone = self.memory.lock().others_got_through(only.seq);
                self.defer(only.seq, alone, answer)
            }
            Whole::Unavailable => return Ok(self.pause(verdict::pause(&error))),
        };
        record(&self.core, vec![Settlement { seq: only.seq, settled }]).await?;
        Ok(if verdict == Whole::Refused { Next::Again } else { self.pause(verdict::pause(&error)) })
    }

    /// The disk changed a body. It is found by sending apart, and its bytes stay among the dead letters.
    pub(super) async fn unreadable(
        &mut self,
        operations: &[Pending],
        error: &std::io::Error,
    ) -> Result<Next, StorageError> {
        if let [only] = operations {
            tracing::error!(operation.id = only.public_id(), error = %error, "a stored call is not readable");
            self.core.metrics.buried.add(1);
            let settled = Settled::Dead { reason: Reason::Refused, answer: None, hub_version: None };
            record(&self.core, vec![Settlement { seq: only.seq, settled }]).await?;
        } else {
            self.size = operations.len() / 2;
        }
        Ok(Next::Again)
    }

    fn defer(&self, seq: i64, failed_alone: bool, answer: Option<String>) -> Settled {
        let mut memory = self.memory.lock();
        let taken = memory.taken;
        let failure = memory.failures.entry(seq).or_default();
        let wait = doubled(self.pace.retry_first, self.pace.retry_max, failure.times);
        *failure = Failure { times: failure.times.saturating_add(1), taken_before: Some(taken) };
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        Settled::Deferred { run_at: (self.core.clock.now() + wait).timestamp_millis(), failed_alone, answer }
    }
}

/// Payments whose time is over are never sent, and what is older than the operator allows is not either.
pub(super) async fn expire(core: &Core, claim: &Claim) -> Result<(), StorageError> {
    tracing::warn!(calls = claim.expired.len(), "calls expired before they could be forwarded");
    let settled = Settled::Dead { reason: Reason::Expired, answer: None, hub_version: None };
    let settlements =
        claim.expired.iter().map(|seq| Settlement { seq: *seq, settled: settled.clone() }).collect();
    core.metrics.buried.add(claim.expired.len() as u64);
    record(core, settlements).await
}

async fn record(core: &Core, settlements: Vec<Settlement>) -> Result<(), StorageError> {
    for piece in settlements.chunks(PIECE) {
        core.buffer.settle(piece.to_vec(), core.clock.now()).await?;
    }
    Ok(())
}

/// The hub's version, when it refuses nothing but fields that it does not know.
fn unknown_to(core: &Core, code: &str) -> Option<String> {
    (code == "unknown_field").then(|| core.hub_view.version().unwrap_or_default())
}
