//! The queue of pulled deliveries: claimed and finished as all are, offered to agents instead of sent.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use trastienda_protocol::pull::{
    AgentPath, EXCERPT_MAX, PullResult, PulledDelivery, REQUEST_ID_HEADERS, RETRY_AFTER, cut,
};
use uuid::Uuid;

use super::exchange::Handed;
use crate::app::App;
use crate::queue::Lease;
use crate::queue::in_hand::Hold;
use crate::queue::worker::Queue;
use crate::webhooks::deliver::{Attempted, Deliveries, Job, judge};
use crate::webhooks::failure::{Class, Failure};
use crate::webhooks::in_flight::{InFlight, share};
use crate::webhooks::store::ClaimedDelivery;
use crate::webhooks::wire::{self, Reply};

/// How long a stopping hub waits for the result of what an agent has.
const LAST_RESULTS: Duration = Duration::from_secs(4);
/// Bytes of an agent's words that are kept.
const ERROR_MAX: usize = 512;

/// The queue of deliveries that agents pull.
pub(crate) struct Pulled {
    app: App,
    deliveries: Deliveries,
}

impl Pulled {
    /// The queue for a hub.
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone(), deliveries: Deliveries::new(app) }
    }

    pub(super) fn in_flight(&self) -> &Arc<InFlight> {
        &self.deliveries.in_flight
    }

    /// No attempt is known to have been made: the delivery goes back, and is due.
    fn give_back(&self, delivery: ClaimedDelivery) -> Attempted {
        self.in_flight().mark_behind(delivery.target.id);
        Attempted::none(delivery, self.app.clock.now())
    }

    /// Waits until an agent takes it.
    async fn taken(&self, offered: oneshot::Receiver<Handed>) -> Option<Handed> {
        tokio::select! {
            handed = offered => handed.ok(),
            () = tokio::time::sleep(self.app.pull.exchange.manner().offer) => None,
            () = self.app.shutdown.token.cancelled() => None,
        }
    }

    /// Waits for what the agent says of it, as long as the lease lasts.
    async fn result(&self, mut handed: Handed) -> Option<PullResult> {
        let stopping = async {
            self.app.shutdown.token.cancelled().await;
            tokio::time::sleep(LAST_RESULTS).await;
        };
        tokio::select! {
            result = &mut handed.result => result.ok(),
            () = tokio::time::sleep(self.app.pull.exchange.manner().lease) => None,
            () = stopping => None,
        }
    }
}

impl Queue for Pulled {
    type Job = Job;
    type Done = Attempted;
    const NAME: &'static str = "pulled_deliveries";
    const CONCURRENCY: usize = 1_024;
    const PACE: Duration = Duration::from_millis(5);

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<Job>> {
        let exchange = &self.app.pull.exchange;
        let Some(asked) = exchange.to_ask() else { return Ok(Vec::new()) };
        let free = usize::try_from(limit).unwrap_or(0);
        let share = share(free, Self::CONCURRENCY).min(asked.room);
        let claimed = self.deliveries.claim_of(Some(&asked.projects), lease, free, share).await;
        let Ok(jobs) = &claimed else {
            for project in &asked.projects {
                exchange.mark(*project);
            }
            return claimed;
        };
        // There may be more. What ends, or the next poll, asks for it.
        for job in jobs.iter().filter(|job| self.in_flight().is_behind(job.delivery.target.id)) {
            exchange.mark(job.delivery.project_id);
        }
        claimed
    }

    fn hold(job: &Job) -> Option<&Hold> {
        Some(&job.delivery.lease)
    }

    async fn run(&self, job: Job) -> Attempted {
        // The place is free when this ends, however it ends; a probe's once that is written.
        let Job { delivery, body, slot, .. } = job;
        if !self.deliveries.may_go(&delivery).await {
            return Attempted::none(delivery, self.app.clock.now());
        }
        let at = self.app.clock.now();
        let parcel = match parcel(&self.app, &delivery, &body, at) {
            Ok(parcel) => parcel,
            Err(failure) => return judge(delivery, at, Duration::ZERO, Err(failure), slot),
        };
        let offered = self.app.pull.exchange.offer(delivery.project_id, parcel);
        let Some(handed) = self.taken(offered).await else { return self.give_back(delivery) };
        match self.result(handed).await {
            None => {
                metrics::counter!("trastienda_pull_leases_lost_total").increment(1);
                tracing::info!(delivery.id = %delivery.delivery_id(), endpoint.id = %delivery.target.id,
                    "an agent's lease ended without a result: the delivery goes again");
                self.give_back(delivery)
            }
            Some(result) if result.returned => self.give_back(delivery),
            Some(result) => {
                let duration = Duration::from_millis(result.duration_ms);
                judge(delivery, at, duration, reply(result, self.app.clock.now()), slot)
            }
        }
    }

    async fn finish(&self, done: &[Attempted]) -> anyhow::Result<()> {
        if self.deliveries.write(done).await? {
            let behind = done.iter().filter(|it| self.in_flight().is_behind(it.delivery.target.id));
            for attempted in behind {
                self.app.pull.exchange.look(attempted.delivery.project_id);
            }
        }
        Ok(())
    }
}

/// What an agent gets, but for its lease.
fn parcel(
    app: &App,
    delivery: &ClaimedDelivery,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<PulledDelivery, Failure> {
    let path = AgentPath::of_url(&delivery.target.url).map_err(|error| Failure::Build(error.to_string()))?;
    Ok(PulledDelivery {
        id: delivery.delivery_id(),
        lease: String::new(),
        lease_seconds: 0,
        path: path.to_string(),
        headers: wire::headers(app, delivery, body, now)?.into_iter().collect(),
        // Written as JSON by this hub: it is UTF-8.
        body: String::from_utf8_lossy(body).into_owned(),
    })
}

/// An agent's words, read as a receiver's reply.
fn reply(result: PullResult, now: DateTime<Utc>) -> Result<Reply, Failure> {
    let Some(code) = result.response_code else {
        let class = result.error_class.as_deref().and_then(Class::of_the_way).unwrap_or(Class::Broken);
        let error = result.error.unwrap_or_else(|| "the agent does not say why".to_owned());
        return Err(Failure::Reported(class, printable(&error, ERROR_MAX)));
    };
    let status = StatusCode::from_u16(code).map_err(|error| {
        Failure::Reported(Class::Broken, format!("the agent reports no status code: {error}"))
    })?;
    let mut headers = HeaderMap::new();
    for name in REQUEST_ID_HEADERS.into_iter().chain([RETRY_AFTER]) {
        let value = result.headers.get(name).and_then(|text| HeaderValue::from_str(text).ok());
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(Reply {
        status,
        retry_after: wire::retry_after(&headers, now),
        request_id: wire::request_id(&headers),
        excerpt: printable(&result.response, EXCERPT_MAX),
    })
}

fn printable(text: &str, bytes: usize) -> String {
    cut(text, bytes).replace('\0', "")
}

/// A lease as it stands on the wire: the hub's number and the lease.
pub(super) fn parse_lease(text: &str) -> Option<(i32, Uuid)> {
    let (hub, lease) = text.split_once('-')?;
    Some((hub.parse().ok()?, Uuid::try_parse(lease).ok()?))
}
