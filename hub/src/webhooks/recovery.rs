//! Sending again what an endpoint missed, and how it has been doing.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::event::event_type;
use trastienda_protocol::ids::{EndpointId, IdSource, ProjectId};
use trastienda_protocol::problem::FieldError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deliver::Deliveries;
use super::endpoints::parse_id;
use super::health::Health;
use super::replays::Replays;
use super::store;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::{Error, JsonBody, Result};
use crate::queue::wake;
use crate::queue::worker::Queue as _;

/// The windows of the statistics.
const WINDOWS: [(&str, TimeDelta); 3] =
    [("1h", TimeDelta::hours(1)), ("24h", TimeDelta::hours(24)), ("7d", TimeDelta::days(7))];

/// The routes of recovery.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(replay)).routes(routes!(stats))
}

/// What is to be sent again.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
    pub(crate) event_type: Option<String>,
    pub(crate) only_failed: bool,
    pub(crate) dry_run: bool,
    pub(crate) rate_per_second: Option<i32>,
}

impl Replay {
    pub(crate) fn parse(body: &Value, now: DateTime<Utc>) -> std::result::Result<Self, Vec<FieldError>> {
        const STATUSES: &[(&str, bool)] = &[("failed", true), ("all", false)];
        let mut errors = Errors::default();
        let replay = Fields::of(body, &mut errors).and_then(|mut fields| {
            let since = fields.required("since", check::timestamp);
            let until = fields.optional("until", check::timestamp).unwrap_or(now);
            let event_type = fields.optional("event_type", event_type);
            let only_failed = fields.optional("status", check::one_of(STATUSES)).unwrap_or(true);
            let dry_run = fields.optional("dry_run", check::boolean).unwrap_or(false);
            let rate = fields.optional("rate_per_second", check::integer(1, 10_000));
            if since.is_some_and(|since| since >= until) {
                fields.refuse("until", "must be later than `since`");
            }
            fields.finish();
            let rate_per_second = rate.and_then(|rate| i32::try_from(rate).ok());
            Some(Self { since: since?, until, event_type, only_failed, dry_run, rate_per_second })
        });
        errors.finish(replay)
    }
}

/// How many deliveries are sent again (or would be, in a dry run).
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    queued: i64,
}

/// Sends an endpoint's deliveries of a time range again: those that failed, or all that are over.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/replay", tag = "webhooks", responses((status = 202, body = Replayed)))]
async fn replay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Replayed>)> {
    let id = parse_id(&id)?;
    let now = app.clock.now();
    let replay = Replay::parse(&body, now)?;
    let queued = start(&app.db, &*app.ids, (caller.project.id, id), &replay, now).await?;
    if !replay.dry_run {
        super::wake(&app);
        app.wakes.wake(Replays::NAME);
    }
    Ok((StatusCode::ACCEPTED, Json(Replayed { queued })))
}

/// Starts a replay (or, in a dry run, only counts): at once, or by a row that keeps the rate ([`Replays`]).
pub(crate) async fn start(
    db: &PgPool,
    ids: &dyn IdSource,
    (project, endpoint): (ProjectId, EndpointId),
    replay: &Replay,
    now: DateTime<Utc>,
) -> Result<i64> {
    let mut tx = db.begin().await?;
    store::find_endpoint(&mut tx, project, endpoint).await?.ok_or(Error::NotFound("endpoint"))?;
    let queued = if replay.dry_run {
        store::count_replay(&mut tx, project, endpoint, replay).await?
    } else if replay.rate_per_second.is_some() {
        let queued = store::count_replay(&mut tx, project, endpoint, replay).await?;
        if queued > 0 {
            store::insert_replay(&mut tx, ids.uuid(now), (project, endpoint), replay, now).await?;
        }
        queued
    } else {
        store::mark_replayed(&mut tx, project, endpoint, replay, now).await?
    };
    tx.commit().await?;
    Ok(queued)
}

/// Tells every hub, from outside of one, that there is something to replay.
pub(crate) async fn wake_hubs(db: &PgPool) -> sqlx::Result<()> {
    let payload = format!("command {},{}", Deliveries::NAME, Replays::NAME);
    sqlx::query!("select pg_notify($1, $2)", wake::CHANNEL, payload).execute(db).await?;
    Ok(())
}

/// An endpoint's attempts in a window of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowStats {
    /// Attempts.
    pub attempts: i64,
    /// Attempts that succeeded.
    pub sent: i64,
    /// Attempts that did not.
    pub failed: i64,
    /// The part that succeeded, from 0 to 1; null without attempts.
    pub success_rate: Option<f64>,
    /// Attempts a minute, on average.
    pub attempts_per_minute: f64,
    /// Median time to answer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Failed attempts by their kind, as `{"timeout": 3}`.
    pub errors: BTreeMap<String, i64>,
}

/// How an endpoint is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointStats {
    /// Deliveries that wait.
    pending: i64,
    /// Those of them that wait until the endpoint is enabled or its circuit closed.
    held: i64,
    /// Where the circuit stands: `closed`, `open` or `half_open`.
    circuit: &'static str,
    /// Since when the oldest of them has waited.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    oldest_pending_at: Option<DateTime<Utc>>,
    /// Attempts in the last `1h`, `24h` and `7d`.
    windows: BTreeMap<&'static str, WindowStats>,
}

/// How an endpoint has been doing in the last hour, day and week.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}/stats", tag = "webhooks", responses((status = 200, body = EndpointStats)))]
async fn stats(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EndpointStats>> {
    let id = parse_id(&id)?;
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    let found = store::find_endpoint(&mut conn, caller.project.id, id).await?;
    let row = found.ok_or(Error::NotFound("endpoint"))?;
    let (pending, oldest_pending_at) = store::get_backlog(&mut conn, caller.project.id, id).await?;
    let mut windows = BTreeMap::new();
    for (name, length) in WINDOWS {
        windows.insert(name, store::get_window_stats(&mut conn, caller.project.id, id, (now, length)).await?);
    }
    let is_holding = row.disabled_at.is_some() || row.open_until.is_some();
    let circuit = Health { open_until: row.open_until, ..Health::default() }.circuit(now).as_str();
    let held = if is_holding { pending } else { 0 };
    Ok(Json(EndpointStats { pending, held, circuit, oldest_pending_at, windows }))
}
