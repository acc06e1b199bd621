//! Delivering: sign, send, decide.
//!
//! 2xx is success and redirects are not followed. 410 disables the endpoint. 429 and 503 with `Retry-After` are
//! obeyed. Everything else is tried again by the endpoint's schedule until that ends.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http_body_util::BodyExt as _;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use trastienda_protocol::ids::{EventId, Id as _, ProjectId};
use trastienda_protocol::webhook::Secret;
use url::Url;
use uuid::Uuid;

use super::failure::{Class, Failure};
use super::health::record::Recorder;
use super::store::{self, ClaimedDelivery};
use super::wire::{Payload, signed_headers};
use super::{schedule, warn};
use crate::app::App;
use crate::outbound::REPLY_MAX;
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};
use crate::seal::SealError;

/// Names a replayed delivery on the wire.
const REPLAY_HEADER: &str = "trastienda-replay";
/// Bytes of a reply that are kept.
const EXCERPT_MAX: usize = 1_024;
/// Where receivers put it.
const REQUEST_ID_HEADERS: [&str; 4] = ["x-request-id", "request-id", "x-correlation-id", "cf-ray"];
const REQUEST_ID_MAX: usize = 128;
/// How long a delivery waits for its turn under `rate_per_second` before it is put back.
const TURN_MAX: Duration = Duration::from_secs(20);

/// Deliveries per second, and what keeps them.
type Rate = (u32, Arc<DefaultDirectRateLimiter>);

/// The queue of deliveries.
pub struct Deliveries {
    app: App,
    in_flight: Mutex<HashMap<Uuid, i32>>,
    rates: Mutex<HashMap<(Uuid, bool), Rate>>,
    health: Recorder,
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
}

impl Deliveries {
    /// The queue for a hub.
    pub fn new(app: &App) -> Self {
        Self {
            app: app.clone(),
            in_flight: Mutex::default(),
            rates: Mutex::default(),
            health: Recorder::default(),
        }
    }

    fn count(&self, endpoint: Uuid, by: i32) {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let count = in_flight.entry(endpoint).or_default();
        *count += by;
        if *count == 0 {
            in_flight.remove(&endpoint);
        }
    }

    /// The endpoint's own rate, or that of its replays.
    fn rate(&self, endpoint: (Uuid, bool), per_second: i32) -> Option<Arc<DefaultDirectRateLimiter>> {
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

    /// Waits until the endpoint's rate, and that of the replay, let the delivery go.
    async fn turn(&self, delivery: &ClaimedDelivery) {
        for (is_replay, per_second) in [(false, delivery.rate_per_second), (true, delivery.replay_rate)] {
            let rate = per_second.and_then(|rate| self.rate((delivery.endpoint_id, is_replay), rate));
            if let Some(rate) = rate {
                rate.until_ready().await;
            }
        }
    }
}

impl Queue for Deliveries {
    type Job = ClaimedDelivery;
    type Done = Attempted;
    const NAME: &'static str = "deliveries";
    const CONCURRENCY: usize = 200;

    async fn claim(&self, lease: Lease, limit: i64) -> anyhow::Result<Vec<ClaimedDelivery>> {
        let busy: (Vec<Uuid>, Vec<i32>) = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(id, count)| (*id, *count))
            .unzip();
        let claimed = store::claim_deliveries(&self.app.db, lease, limit, &busy.0, &busy.1).await?;
        for delivery in &claimed {
            self.count(delivery.endpoint_id, 1);
        }
        Ok(claimed)
    }

    async fn run(&self, delivery: ClaimedDelivery) -> Attempted {
        if tokio::time::timeout(TURN_MAX, self.turn(&delivery)).await.is_err() {
            return Attempted::none(delivery, self.app.clock.now());
        }
        let at = self.app.clock.now();
        let started = Instant::now();
        let reply = send(&self.app, &delivery, at).await;
        let attempted = decide(delivery, at, started.elapsed(), reply, schedule::spread());
        let outcome = if attempted.verdict == Some(Verdict::Done) { "sent" } else { "failed" };
        let class = attempted.error_class.map_or("none", Class::as_str);
        metrics::counter!("trastienda_webhook_attempts_total", "outcome" => outcome, "class" => class)
            .increment(1);
        metrics::histogram!("trastienda_webhook_attempt_seconds").record(attempted.duration.as_secs_f64());
        attempted
    }

    async fn finish(&self, done: &[Attempted]) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.begin().await?;
        for attempted in done {
            store::finish_delivery(&mut tx, attempted, now).await?;
            if attempted.verdict.is_some() {
                store::insert_log(&mut tx, self.app.ids.uuid(now), attempted).await?;
            }
        }
        let announced = self.health.record(&self.app, &mut tx, done, now).await?;
        tx.commit().await?;
        if announced {
            warn::wake(&self.app);
        }
        for attempted in done {
            self.count(attempted.delivery.endpoint_id, -1);
        }
        // A place is free again: what was held back by `max_in_flight` may go.
        self.app.wakes.of(Self::NAME).notify_one();
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
            error_class: None,
            excerpt: None,
            request_id: None,
            verdict,
            is_gone: false,
        }
    }
}

struct Reply {
    status: StatusCode,
    retry_after: Option<Duration>,
    request_id: Option<String>,
    excerpt: String,
}

async fn send(app: &App, delivery: &ClaimedDelivery, now: DateTime<Utc>) -> Result<Reply, Failure> {
    let event = EventId::from_uuid(delivery.event_id);
    let payload = Payload {
        id: event,
        event_type: &delivery.event_type,
        timestamp: trastienda_protocol::time::format(
            delivery.occurred_at.unwrap_or(delivery.event_created_at),
        ),
        project: ProjectId::from_uuid(delivery.project_id),
        data: delivery
            .data
            .as_object()
            .ok_or_else(|| Failure::Build(format!("events.data of {event} is not an object")))?,
    };
    let body = serde_json::to_vec(&payload).map_err(|error| Failure::Build(error.to_string()))?;
    let signed = signed_headers(event, now.timestamp(), &body, &secrets(app, delivery, now)?);
    let url = Url::parse(&delivery.url).map_err(|error| Failure::Build(error.to_string()))?;
    let mut request = app.outbound.request(Method::POST, url);
    for (name, value) in own_headers(app, delivery)? {
        request = request.header(name, value);
    }
    for (name, value) in signed {
        request = request.header(name, value);
    }
    if delivery.is_replay {
        request = request.header(REPLAY_HEADER, delivery.delivery_id().to_string());
    }
    let request = request.body(body).build().map_err(|error| Failure::Build(error.to_string()))?;
    let response = app.outbound.send(request).await?;
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    let request_id = request_id(response.headers());
    Ok(Reply { status, retry_after, request_id, excerpt: read_excerpt(response).await })
}

/// The current secret, and the one before while the rotation's overlap lasts.
fn secrets(app: &App, delivery: &ClaimedDelivery, now: DateTime<Utc>) -> Result<Vec<Secret>, SealError> {
    let previous = delivery
        .previous_secret_sealed
        .as_ref()
        .filter(|_| delivery.previous_secret_expires_at.is_some_and(|at| at > now));
    std::iter::once(&delivery.secret_sealed)
        .chain(previous)
        .map(|sealed| {
            let text = app.sealer.open_text(store::SECRET_PURPOSE, sealed)?;
            Secret::parse(text.expose_secret()).map_err(|_| SealError::Damaged)
        })
        .collect()
}

fn own_headers(app: &App, delivery: &ClaimedDelivery) -> Result<Vec<(String, String)>, SealError> {
    let Some(sealed) = &delivery.headers_sealed else { return Ok(Vec::new()) };
    let json = app.sealer.open(store::HEADERS_PURPOSE, sealed)?;
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&json).map_err(|_| SealError::Damaged)?;
    Ok(headers.into_iter().collect())
}

// Reading stops at the limit; a reply that goes on for ever costs no more than that.
async fn read_excerpt(response: reqwest::Response) -> String {
    let mut body = reqwest::Body::from(response);
    let mut read = 0;
    let mut kept = Vec::new();
    while read < REPLY_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Ok(data) = frame.into_data() else { continue };
        read += data.len();
        let room = EXCERPT_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    String::from_utf8_lossy(&kept).replace('\0', "")
}

/// What the receiver calls the request, so that both sides can find it in their logs.
fn request_id(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let text = REQUEST_ID_HEADERS.iter().find_map(|name| headers.get(*name))?.to_str().ok()?.trim();
    Some(text.chars().take(REQUEST_ID_MAX).collect::<String>()).filter(|text| !text.is_empty())
}

/// `Retry-After` in seconds or as a date.
fn retry_after(headers: &reqwest::header::HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    (date.to_utc() - now).to_std().ok()
}

fn decide(
    delivery: ClaimedDelivery,
    at: DateTime<Utc>,
    duration: Duration,
    reply: Result<Reply, Failure>,
    spread: f64,
) -> Attempted {
    let attempts = delivery.attempts + 1;
    let schedule = delivery.retry_schedule.clone().unwrap_or_else(|| schedule::DEFAULT.to_vec());
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
