//! Reporting results: those that are ready together, again until the hub answers, as long as their leases last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use trastienda_protocol::pull::{ReceivedResult, Results};

use super::{Due, calls};
use crate::agent::Core;
use crate::config::Pace;
use crate::forward::backoff::Backoff;
use crate::hub::HubError;

/// Results in one call at most.
const TOGETHER: usize = 128;
/// The longest pause before a report is repeated: a lease is short.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Runs until everybody who has results to send is gone.
pub(super) async fn report(core: Arc<Core>, mut due: mpsc::UnboundedReceiver<Due>, pace: Pace) {
    let mut batch = Vec::new();
    while due.recv_many(&mut batch, TOGETHER).await > 0 {
        report_all(&core, &mut batch, pace).await;
        batch.clear();
    }
}

async fn report_all(core: &Core, batch: &mut Vec<Due>, pace: Pace) {
    let mut backoff = Backoff::new(pace.backoff_first.min(PAUSE_MAX), PAUSE_MAX);
    loop {
        let all = batch.len();
        // After its lease a result changes nothing: the delivery is somebody else's.
        batch.retain(|due| due.until > Instant::now());
        if batch.len() < all {
            let lost = all - batch.len();
            core.metrics.pulled_late.add(lost as u64);
            tracing::warn!(lost, "the hub did not take results in time: these webhooks come again");
        }
        if batch.is_empty() {
            return;
        }
        let results = batch.iter().map(|due| due.result.clone()).collect();
        let results = Results { agent_id: core.buffer.agent_id(), results };
        match calls::results(core, &results).await {
            Ok(received) => {
                let late = received.results.iter().filter(|it| **it == ReceivedResult::Late).count();
                core.metrics.pulled_late.add(late as u64);
                return;
            }
            Err(HubError::Refused { status: 400 | 413 | 422, problem, .. }) => {
                let detail = problem.map(|problem| problem.detail).unwrap_or_default();
                tracing::error!(detail, "the hub does not understand results: these webhooks come again");
                return;
            }
            Err(error) => {
                tracing::debug!(error = %error, "results were not answered");
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}
