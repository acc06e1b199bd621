//! Delivering: sign, send, decide.
//!
//! 2xx is success and redirects are not followed. 410 disables the endpoint. 429 and 503 with `Retry-After` are
//! obeyed. Everything else is tried again by the endpoint's schedule until that ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use trastienda_protocol::ids::DeliveryId;
use uuid::Uuid;

use super::failure::{Class, Failure};
use super::health::record::Recorder;
use super::in_flight::{self, Claimed, Follower, InFlight, Slot};
use super::store::{self, ClaimedDelivery, Claiming};
use super::wire::{self, Reply};
use super::{schedule, warn};
use crate::app::App;
use crate::fleet::{Cell, Key, Rate, Scope, View};
use crate::queue::in_hand::Hold;
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};

/// How long a delivery waits for its turn under `rate_per_second` before it is put back.
const TURN_MAX: Duration = Duration::from_secs(20);
/// Rows in one claim at most.
const ROWS_MAX: usize = 1_024;

/// The queue of deliveries.
pub struct Deliveries {
    app: App,
    pub(super) in_flight: Arc<InFlight>,
    health: Recorder,
}

/// A delivery to be sent: claimed, or handed over as soon as it was written.
#[derive(Debug)]
pub struct Job {
    pub(super) delivery: ClaimedDelivery,
    pub(super) body: Bytes,
    pub(super) slot: Slot,
    /// It is not to be sent now: it waited too long, or its endpoint does not take anything.
    pub(super) goes_back: bool,
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
    /// What kind of failure that was.
    pub error_class: Option<Class>,
    /// The beginning of the reply.
    pub excerpt: Option<String>,
    /// The reply's own name for the request.
    pub request_id: Option<String>,
    /// What follows; `None`: no attempt was made and the delivery goes back.
    pub verdict: Option<Verdict>,
    /// 410: nobody is there any more.
    pub is_gone: bool,
    /// A probe keeps its place until what it showed is written: no second one goes in between.
    pub(super) slot: Option<Slot>,
}

impl Job {
    /// The delivery's id.
    pub fn delivery_id(&self) -> DeliveryId {
        self.delivery.delivery_id()
    }
}

impl Deliveries {
    /// The queue for a hub.
    pub fn new(app: &App) -> Self {
        Self { app: app.clone(), in_flight: Arc::default(), health: Recorder::default() }
    }

    /// Claims what is due at the endpoints that are pushed to, and some that follow; or at those that the agents of
    /// `pullers` pull. What comes back has a worker each: `free` at most.
    pub(super) async fn claim_of(
        &self,
        pullers: Option<&[Uuid]>,
        lease: &Lease,
        free: usize,
        share: i32,
    ) -> anyhow::Result<Vec<Job>> {
        let hubs: HashMap<Uuid, View> = pullers
            .unwrap_or_default()
            .iter()
            .map(|id| (*id, self.app.pull.hubs_of(&self.app, *id)))
            .collect();
        let all = self.app.fleet.view();
        let view_of = |project: &Uuid| hubs.get(project).copied().unwrap_or(all);
        let rows_max = if pullers.is_some() { free } else { ROWS_MAX };
        let busy = self.in_flight.busy();
        let mut conn = self.app.kept.lend().await?;
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let views = pullers.map(|projects| projects.iter().map(|id| (*id, view_of(id).parts())).collect());
        let claiming = Claiming { limit, share, hubs: all.parts(), pullers: views };
        let rows = store::claim_deliveries(&mut conn, lease, &busy, &claiming).await?;
        conn.give_back();
        if pullers.is_none() && rows.len() >= rows_max {
            // Endpoints that were not come to may have something due.
            self.app.wakes.of(Self::NAME).notify_one();
        }
        let mut claimed: HashMap<Uuid, Claimed> = HashMap::new();
        let mut jobs = Vec::new();
        for (delivery, said) in rows {
            let target = delivery.target.clone();
            let limit = if target.ordered || delivery.is_probe {
                1
            } else {
                view_of(&target.project_id).places(target.id, target.max_in_flight)
            };
            let is_single =
                pullers.is_some() || target.ordered || delivery.is_probe || target.rate_per_second.is_some();
            let ahead = if is_single { 0 } else { busy.ahead_of(target.id, limit) };
            claimed.entry(target.id).or_insert(Claimed { came: 0, limit, ahead }).came += 1;
            let said = wire::Said {
                event_id: delivery.event_id,
                event_type: &delivery.event_type,
                happened_at: said.occurred_at.unwrap_or(said.created_at),
                data: &said.data,
            };
            let body = wire::body(delivery.project_id, &said);
            let follower = Follower { delivery, body, since: Instant::now() };
            jobs.extend(self.in_flight.take(follower, limit.min(share), is_single, jobs.len() < free));
        }
        self.in_flight.learn(&busy, &claimed, share);
        Ok(jobs)
    }

    /// Waits for the delivery's turn under its rates; false if that takes too long.
    pub(super) async fn may_go(&self, delivery: &ClaimedDelivery) -> bool {
        let is_in_time = tokio::time::timeout(TURN_MAX, self.turn(delivery)).await.is_ok();
        if !is_in_time {
            self.in_flight.mark_behind(delivery.target.id);
        }
        is_in_time
    }

    /// Writes what was done; true if what waits at one of the endpoints may go now.
    pub(super) async fn write(&self, done: &[Attempted]) -> anyhow::Result<bool> {
        let now = self.app.clock.now();
        let mut tx = self.app.kept.begin().await?;
        let moved = store::finish_deliveries(&mut tx, done, now).await?;
        // Where a lease has passed to someone else, so has the attempt that counts.
        let counts = |it: &&Attempted| moved.contains(&(it.delivery.id, it.delivery.lease.token()));
        let tried = done.iter().filter(counts).filter(|attempted| attempted.verdict.is_some());
        let tried: Vec<(Uuid, &Attempted)> = tried.map(|it| (self.app.ids.uuid(now), it)).collect();
        store::insert_logs(&mut tx, &tried).await?;
        let recorded = self.health.record(&self.app, &mut tx, &tried, now).await?;
        tx.commit().await?;
        if recorded.announced {
            warn::wake(&self.app);
        }
        for endpoint in recorded.closed {
            // What it held is due.
            self.in_flight.mark_behind(endpoint);
        }
        // A place is free again: what was held back by `max_in_flight` may go.
        Ok(done.iter().any(|attempted| self.in_flight.is_behind(attempted.delivery.target.id)))
    }

    /// Waits until the endpoint's rate, and that of the replay, let the delivery go.
    async fn turn(&self, delivery: &ClaimedDelivery) {
        let rates =
            [(Scope::Endpoint, delivery.target.rate_per_second), (Scope::Replay, delivery.replay_rate)];
        for (scope, per_second) in rates {
            let Some(per_second) = per_second.and_then(|rate| u32::try_from(rate).ok()) else { continue };
            let key = Key { project: delivery.project_id, scope, id: delivery.target.id };
            let rate = Rate::evenly(per_second, TURN_MAX);
            let at = loop {
                match self.app.fleet.take(&self.app.db, key, rate).await {
                    Cell::Granted { at, .. } => break at,
                    Cell::Refused { wait } => tokio::time::sleep(wait).await,
                }
            };
            tokio::time::sleep_until(at.into()).await;
        }
    }
}

impl Queue for Deliveries {
    type Job = Job;
    type Done = Attempted;
    const NAME: &'static str = "deliveries";
    const CONCURRENCY: usize = 512;
    const PACE: Duration = Duration::from_millis(8);

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<Job>> {
        let free = usize::try_from(limit).unwrap_or(0);
        let mut jobs = self.in_flight.ready(None, free);
        jobs.extend(
            self.claim_of(None, lease, free - jobs.len(), in_flight::share(free, Self::CONCURRENCY)).await?,
        );
        Ok(jobs)
    }

    fn hold(job: &Job) -> Option<&Hold> {
        Some(&job.delivery.lease)
    }

    async fn run(&self, job: Job) -> Attempted {
        // The place is free when this ends, however it ends; a probe's once that is written.
        let Job { delivery, body, slot, goes_back } = job;
        if goes_back {
            self.in_flight.mark_behind(delivery.target.id);
            return Attempted::none(delivery, self.app.clock.now());
        }
        if !self.may_go(&delivery).await {
            return Attempted::none(delivery, self.app.clock.now());
        }
        let at = self.app.clock.now();
        let started = Instant::now();
        let reply = wire::send(&self.app, &delivery, body, at).await;
        judge(delivery, at, started.elapsed(), reply, slot)
    }

    fn next(&self, done: &Attempted) -> Option<Job> {
        // A hub that stops begins nothing: what follows goes back.
        let went_well = done.verdict == Some(Verdict::Done) && !self.app.shutdown.token.is_cancelled();
        self.in_flight.follow(done.delivery.target.id, went_well, done.duration)
    }

    async fn finish(&self, done: &[Attempted]) -> anyhow::Result<()> {
        if self.write(done).await? {
            self.app.wakes.of(Self::NAME).notify_one();
        }
        Ok(())
    }
}

impl Attempted {
    /// No attempt was made: the delivery goes back as it was.
    pub(super) fn none(delivery: ClaimedDelivery, at: DateTime<Utc>) -> Self {
        let (duration, verdict) = (Duration::ZERO, None);
        Self {
            delivery,
            at,
            duration,
            response_code: None,
            error: None,
            error_class: None,
            excerpt: None,
            request_id: None,
            verdict,
            is_gone: false,
            slot: None,
        }
    }
}

/// What follows from an attempt, whoever made it. A probe keeps its place.
pub(super) fn judge(
    delivery: ClaimedDelivery,
    at: DateTime<Utc>,
    duration: Duration,
    reply: Result<Reply, Failure>,
    slot: Slot,
) -> Attempted {
    let mut attempted = decide(delivery, at, duration, reply, schedule::spread());
    attempted.slot = Some(slot).filter(|_| attempted.delivery.is_probe);
    let outcome = if attempted.verdict == Some(Verdict::Done) { "sent" } else { "failed" };
    let class = attempted.error_class.map_or("none", Class::as_str);
    metrics::counter!("trastienda_webhook_attempts_total", "outcome" => outcome, "class" => class)
        .increment(1);
    metrics::histogram!("trastienda_webhook_attempt_seconds").record(attempted.duration.as_secs_f64());
    attempted
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
            attempted.request_id = reply.request_id;
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
                attempted.error_class = Some(Class::HttpStatus);
            }
            attempted.verdict = Some(verdict);
        }
        Err(failure) => {
            attempted.error = Some(failure.explain());
            attempted.error_class = Some(failure.class());
            attempted.verdict = Some(retry(None));
        }
    }
    attempted
}
