//! Delivering: sign, send, decide.
//!
//! 2xx is success and redirects are not followed. 410 disables the endpoint. 429 and 503 with `Retry-After` are
//! obeyed. Everything else is tried again by the endpoint's schedule until that ends.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::StatusCode;
use uuid::Uuid;

use super::in_flight::{InFlight, Slot};
use super::schedule;
use super::store::{self, ClaimedDelivery};
use super::wire::{self, Failure, Reply};
use crate::app::App;
use crate::outbound::{Refused, SendError};
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};

/// How long a delivery waits for its turn under `rate_per_second` before it is put back.
const TURN_MAX: Duration = Duration::from_secs(20);
/// Deliveries in flight that an endpoint may have although few workers are free: the default of `max_in_flight`.
const FEW: usize = 10;

/// The queue of deliveries.
pub struct Deliveries {
    app: App,
    pub(super) in_flight: Arc<InFlight>,
    rates: Mutex<HashMap<Uuid, (u32, Arc<DefaultDirectRateLimiter>)>>,
}

/// A delivery to be sent: claimed, or handed over as soon as it was written.
#[derive(Debug)]
pub struct Job {
    pub(super) delivery: ClaimedDelivery,
    pub(super) body: Bytes,
    pub(super) slot: Slot,
}

/// An attempt that was made.
#[derive(Debug)]
pub struct Attempted {
    /// What was claimed.
    pub delivery: ClaimedDelivery,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub duration: Duration,
    /// What the receiver answered.
    pub response_code: Option<i32>,
    /// What went wrong.
    pub error: Option<String>,
    /// The beginning of the reply.
    pub excerpt: Option<String>,
    /// What follows; `None`: no attempt was made and the delivery goes back.
    pub verdict: Option<Verdict>,
    /// 410: nobody is there any more.
    pub is_gone: bool,
}

impl Deliveries {
    /// The queue for a hub.
    pub fn new(app: &App) -> Self {
        Self { app: app.clone(), in_flight: Arc::default(), rates: Mutex::default() }
    }

    /// How many workers one endpoint may have, whatever its `max_in_flight`, while so many are free: a quarter, and
    /// the last quarter is for those that have few.
    pub(super) fn share(free: usize) -> i32 {
        const QUARTER: usize = Deliveries::CONCURRENCY / 4;
        let share = if free > QUARTER { QUARTER } else { FEW };
        i32::try_from(share).unwrap_or(i32::MAX)
    }

    fn rate(&self, endpoint: Uuid, per_second: i32) -> Option<Arc<DefaultDirectRateLimiter>> {
        let per_second = NonZeroU32::new(u32::try_from(per_second).ok()?)?;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let quota = Quota::per_second(per_second).allow_burst(NonZeroU32::MIN);
            (per_second.get(), Arc::new(RateLimiter::direct(quota)))
        };
        let entry = rates.entry(endpoint).or_insert_with(new);
        if entry.0 != per_second.get() {
            *entry = new();
        }
        Some(entry.1.clone())
    }
}

impl Queue for Deliveries {
    type Job = Job;
    type Done = Attempted;
    const NAME: &'static str = "deliveries";
    const CONCURRENCY: usize = 512;
    const PACE: Duration = Duration::from_millis(8);

    async fn claim(&self, lease: Lease, limit: i64) -> anyhow::Result<Vec<Job>> {
        let share = Self::share(usize::try_from(limit).unwrap_or(0));
        let busy = self.in_flight.busy();
        let rows = store::claim_deliveries(&self.app.db, lease, limit, share, &busy).await?;
        let mut claimed: HashMap<Uuid, (i32, i32)> = HashMap::new();
        let jobs = rows.into_iter().map(|(delivery, said)| {
            let target = &delivery.target;
            let places = if target.ordered { 1 } else { target.max_in_flight };
            claimed.entry(target.id).or_insert((0, places)).0 += 1;
            let said = wire::Said {
                event_id: delivery.event_id,
                event_type: &delivery.event_type,
                happened_at: said.occurred_at.unwrap_or(said.created_at),
                data: &said.data,
            };
            let body = wire::body(delivery.project_id, &said);
            let slot = self.in_flight.take(target.id, places);
            Job { delivery, body, slot }
        });
        let jobs: Vec<Job> = jobs.collect();
        self.in_flight.learn(&busy, &claimed, share);
        Ok(jobs)
    }

    async fn run(&self, job: Job) -> Attempted {
        // The place is free when this ends, however it ends.
        let Job { delivery, body, slot: _slot } = job;
        let rate = delivery.target.rate_per_second.and_then(|rate| self.rate(delivery.target.id, rate));
        if let Some(rate) = rate
            && tokio::time::timeout(TURN_MAX, rate.until_ready()).await.is_err()
        {
            self.in_flight.mark_behind(delivery.target.id);
            return Attempted::none(delivery, self.app.clock.now());
        }
        let at = self.app.clock.now();
        let started = Instant::now();
        let reply = wire::send(&self.app, &delivery, body, at).await;
        let attempted = decide(delivery, at, started.elapsed(), reply, schedule::spread());
        let outcome = if attempted.verdict == Some(Verdict::Done) { "sent" } else { "failed" };
        metrics::counter!("trastienda_webhook_attempts_total", "outcome" => outcome).increment(1);
        metrics::histogram!("trastienda_webhook_attempt_seconds").record(attempted.duration.as_secs_f64());
        attempted
    }

    async fn finish(&self, done: &[Attempted]) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.begin().await?;
        let moved = store::finish_deliveries(&mut tx, done, now).await?;
        // Where a lease has passed to someone else, so has the attempt that counts.
        let counts = |it: &&Attempted| moved.contains(&(it.delivery.id, it.delivery.lease_token));
        let tried = done.iter().filter(counts).filter(|attempted| attempted.verdict.is_some());
        let tried: Vec<(Uuid, &Attempted)> = tried.map(|it| (self.app.ids.uuid(now), it)).collect();
        store::insert_logs(&mut tx, &tried).await?;
        for attempted in done.iter().filter(counts).filter(|attempted| attempted.is_gone) {
            store::disable_endpoint(&mut tx, &attempted.delivery, "the receiver answered 410 Gone", now)
                .await?;
        }
        tx.commit().await?;
        // A place is free again: what was held back by `max_in_flight` may go.
        if done.iter().any(|attempted| self.in_flight.is_behind(attempted.delivery.target.id)) {
            self.app.wakes.of(Self::NAME).notify_one();
        }
        Ok(())
    }
}

impl Attempted {
    fn none(delivery: ClaimedDelivery, at: DateTime<Utc>) -> Self {
        let (duration, verdict) = (Duration::ZERO, None);
        Self {
            delivery,
            at,
            duration,
            response_code: None,
            error: None,
            excerpt: None,
            verdict,
            is_gone: false,
        }
    }
}

fn decide(
    delivery: ClaimedDelivery,
    at: DateTime<Utc>,
    duration: Duration,
    reply: Result<Reply, Failure>,
    spread: f64,
) -> Attempted {
    let attempts = delivery.attempts + 1;
    let schedule = delivery.target.retry_schedule.clone().unwrap_or_else(|| schedule::DEFAULT.to_vec());
    let ended = at + chrono::TimeDelta::from_std(duration).unwrap_or_default();
    let retry = |after| match schedule::next(&schedule, attempts, after, ended, spread) {
        Some(at) => Verdict::Retry { at },
        None => Verdict::Failed,
    };
    let mut attempted = Attempted::none(delivery, at);
    attempted.duration = duration;
    match reply {
        Ok(reply) => {
            attempted.response_code = Some(i32::from(reply.status.as_u16()));
            attempted.excerpt = Some(reply.excerpt).filter(|excerpt| !excerpt.is_empty());
            let verdict = if reply.status.is_success() {
                Verdict::Done
            } else if reply.status == StatusCode::GONE {
                attempted.is_gone = true;
                Verdict::Failed
            } else {
                let obeyed =
                    matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
                retry(reply.retry_after.filter(|_| obeyed))
            };
            if verdict != Verdict::Done {
                attempted.error = Some(format!("the receiver answered {}", reply.status));
            }
            attempted.verdict = Some(verdict);
        }
        Err(failure) => {
            attempted.error = Some(explain(&failure));
            attempted.verdict = Some(retry(None));
        }
    }
    attempted
}

/// What went wrong, without the address: that may hold a token.
fn explain(failure: &Failure) -> String {
    match failure {
        Failure::Send(SendError::Failed(error)) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(source) = cause.source() {
                if let Some(refused) = source.downcast_ref::<Refused>() {
                    return refused.to_string();
                }
                cause = source;
            }
            let kind = if error.is_timeout() {
                "timed out"
            } else if error.is_connect() {
                "could not connect"
            } else {
                "the exchange broke off"
            };
            format!("{kind}: {cause}")
        }
        other => other.to_string(),
    }
}
