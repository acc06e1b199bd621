//! Webhooks without a public address: deliveries are asked for at the hub and posted to the application.
//!
//! Runs only where `TRASTIENDA_AGENT_APP_URL` says where the application is. Of a delivery the hub gives a path, the signed
//! headers and the body; the agent posts them as they are, with the deadlines that the hub has for its own calls
//! ([`application`]), and reports what came of it ([`results`]). Whether and when it is tried again is the hub's to decide.
//!
//! Invariants:
//! - Nothing is kept: an agent that dies has nothing to recover, and its leases go to others.
//! - No more is asked for than can be posted at once.
//! - Nothing is pulled while the hub refuses the key, or the key belongs to another project than the buffer.
//! - While it stops, what is being posted ends and is reported; what still comes, and what has not ended with the grace
//!   time, is given back: others need not wait for its lease.
//!
//! What it deliberately does not do: no retries, no order of its own, no call to anything but the application.

pub(crate) mod application;
mod calls;
mod results;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use trastienda_protocol::heartbeat::{AgentStatus, HubState};
use trastienda_protocol::pull::{Poll, PullResult, PulledDelivery, Results, WAIT_DEFAULT};

use self::application::Application;
use crate::agent::Core;
use crate::config::Pace;
use crate::forward::backoff::Backoff;
use crate::hub::HubError;
use crate::status::status;

/// Deliveries that are posted at once.
const AT_ONCE: usize = 128;
/// With fewer places free than this, a moment is waited for more: one poll then takes several.
const FEW: usize = AT_ONCE / 4;
const MOMENT: Duration = Duration::from_millis(2);
/// How old the state may be that goes with a poll.
const STATUS_AGE: Duration = Duration::from_secs(5);
/// How long the hub may take to hear what is given back at the very end.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A result that is to be reported while its lease lasts.
#[derive(Debug)]
struct Due {
    result: PullResult,
    until: Instant,
}

/// What is being posted.
#[derive(Debug, Default)]
struct InHand {
    leases: Mutex<HashSet<String>>,
    /// Cancelled: nothing is waited for any more.
    is_over: CancellationToken,
}

struct Puller {
    core: Arc<Core>,
    application: Arc<Application>,
    places: Arc<Semaphore>,
    in_hand: Arc<InHand>,
    results: mpsc::UnboundedSender<Due>,
    status: Option<(Instant, AgentStatus)>,
}

/// Runs until told to stop; then what is being posted has the grace time to end.
pub(crate) async fn run(core: Arc<Core>, application: Application, pace: Pace, stop: CancellationToken) {
    tracing::info!(application = %application.address(), "webhooks are pulled from the hub and posted to the application");
    let (results, due) = mpsc::unbounded_channel();
    let reporting = tokio::spawn(results::report(Arc::clone(&core), due, pace));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let (application, in_hand) = (Arc::new(application), Arc::new(InHand::default()));
    let (to_core, in_hand_at_end) = (Arc::clone(&core), Arc::clone(&in_hand));
    let puller = Puller { core, application, places, in_hand, results, status: None };
    // With the last sender the reporting ends.
    let whole = async {
        puller.pull(pace, &stop).await;
        // A task that panicked has been reported by its panic.
        let _ = reporting.await;
    };
    tokio::pin!(whole);
    tokio::select! {
        () = &mut whole => return,
        () = stop.cancelled() => {}
    }
    if tokio::time::timeout(pace.grace, whole).await.is_err() {
        let given_back = in_hand_at_end.give_back(&to_core).await;
        tracing::warn!(
            given_back,
            "some webhooks were still being posted at the end of the grace time; they come again"
        );
    }
}

impl InHand {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the hub back what has not ended; how many that are. A hub that does not hear takes them back with their leases.
    async fn give_back(&self, core: &Core) -> usize {
        self.is_over.cancel();
        let leases = std::mem::take(&mut *self.lock());
        let given_back = leases.len();
        if given_back > 0 {
            let result = |lease| PullResult { lease, returned: true, ..PullResult::default() };
            let results = leases.into_iter().map(result).collect();
            let results = Results { agent_id: core.buffer.agent_id(), results };
            let told = tokio::time::timeout(LAST_WORD, calls::results(core, &results)).await;
            if !matches!(told, Ok(Ok(_))) {
                tracing::debug!("the hub did not hear what was given back");
            }
        }
        given_back
    }
}

impl Puller {
    async fn pull(mut self, pace: Pace, stop: &CancellationToken) {
        let mut backoff = Backoff::new(pace.backoff_first, pace.backoff_max);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.is_ready() => {}
            }
            let polled = tokio::select! {
                polled = self.poll() => polled,
                () = stop.cancelled() => break self.last_poll().await,
            };
            match polled {
                Ok(deliveries) => {
                    backoff.reset();
                    self.core.pulled.polled();
                    for delivery in deliveries {
                        self.post(delivery);
                    }
                }
                Err(error) => {
                    let pause = self.failed(&error).await.unwrap_or_default().max(backoff.next());
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        self.all_posted().await;
    }

    /// Waits for the hub, and for a place.
    async fn is_ready(&self) {
        self.core.hub_view.is_up().await;
        // Never closed.
        drop(self.places.acquire().await);
        if self.places.available_permits() < FEW {
            tokio::time::sleep(MOMENT).await;
        }
    }

    async fn poll(&mut self) -> Result<Vec<PulledDelivery>, HubError> {
        let status = self.status().await?;
        let max = u32::try_from(self.places.available_permits().max(1)).unwrap_or(1);
        let poll = Poll { agent_id: self.core.buffer.agent_id(), wait: WAIT_DEFAULT, max, status };
        calls::poll(&self.core, &poll).await
    }

    async fn status(&mut self) -> Result<AgentStatus, HubError> {
        if let Some((at, known)) = &self.status
            && at.elapsed() < STATUS_AGE
        {
            return Ok(known.clone());
        }
        let status = status(&self.core.buffer, &self.core.hub_view, &self.core.clock).await;
        let status = status.map_err(|error| HubError::Malformed(format!("the buffer's state: {error}")))?;
        self.status = Some((Instant::now(), status.clone()));
        Ok(status)
    }

    /// Posts a delivery in a task of its own, and has its result reported.
    fn post(&self, delivery: PulledDelivery) {
        let (application, results) = (Arc::clone(&self.application), self.results.clone());
        let (core, places) = (Arc::clone(&self.core), Arc::clone(&self.places));
        let in_hand = Arc::clone(&self.in_hand);
        let until = Instant::now() + Duration::from_secs(delivery.lease_seconds);
        in_hand.lock().insert(delivery.lease.clone());
        tokio::spawn(async move {
            // The hub gives no more than was asked for; if it does, this waits.
            let place = places.acquire_owned().await;
            let result = tokio::select! {
                result = application.post(&delivery) => result,
                () = in_hand.is_over.cancelled() => return,
            };
            in_hand.lock().remove(&delivery.lease);
            core.metrics.pulled.add(1);
            // The receiver ends after all senders.
            let _ = results.send(Due { result, until });
            drop(place);
        });
    }

    /// While something is being posted, one poll stays open: without it the hub takes this agent for dead. What it brings
    /// is given back.
    async fn last_poll(&mut self) {
        if self.places.available_permits() == AT_ONCE {
            return;
        }
        let places = Arc::clone(&self.places);
        let posted = places.acquire_many(permits());
        let polled = tokio::select! {
            _ = posted => return,
            polled = self.poll() => polled,
        };
        for delivery in polled.unwrap_or_default() {
            let result = PullResult { lease: delivery.lease, returned: true, ..PullResult::default() };
            let until = Instant::now() + Duration::from_secs(delivery.lease_seconds);
            let _ = self.results.send(Due { result, until });
        }
    }

    async fn all_posted(self) {
        drop(self.places.acquire_many(permits()).await);
    }

    /// Says what a refusal means to the others; gives how long the hub asks to be left alone.
    async fn failed(&self, error: &HubError) -> Option<Duration> {
        tracing::debug!(error = %error, "the poll was not answered");
        match error {
            // A proxy may cut what is idle: then the hub is there.
            HubError::Unreachable(_) | HubError::TimedOut if !self.core.hub().answers().await => {
                self.core.hub_view.set(HubState::Down, self.core.clock.now());
                self.core.hub_lost.notify_one();
                None
            }
            HubError::Refused { status: 401 | 403, .. } => {
                self.core.hub_view.set(HubState::Unauthorized, self.core.clock.now());
                self.core.hub_lost.notify_one();
                None
            }
            HubError::Refused { status: 404, .. } => {
                tracing::warn!("the hub knows no pulled deliveries: it is older than this agent");
                Some(Duration::from_mins(1))
            }
            HubError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn permits() -> u32 {
    u32::try_from(AT_ONCE).unwrap_or(u32::MAX)
}

/// When the hub last answered a poll: it needs no heartbeat beside.
#[derive(Debug, Default)]
pub(crate) struct Pulled(std::sync::Mutex<Option<Instant>>);

impl Pulled {
    fn polled(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether that was so long ago at most.
    pub(crate) fn is_within(&self, age: Duration) -> bool {
        let polled = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        polled.is_some_and(|at| at.elapsed() <= age)
    }
}
