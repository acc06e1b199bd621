//! `/v1/webhook-endpoints`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{DeliveryId, EndpointId, EventId, Id as _, ProjectId};
use trastienda_protocol::webhook::Secret;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::health::Health;
use super::model::{Endpoint, EndpointBody, EndpointCreated, MAX_IN_FLIGHT};
use super::{schedule, store};
use crate::app::App;
use crate::events::Event;
use crate::events::model::Source;
use crate::http::auth::Caller;
use crate::http::idempotency::{self, IdempotencyKey, mark_replayed};
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};

/// How long both secrets sign when a rotation does not say: a day.
const OVERLAP_SECONDS: i64 = 86_400;
const TEST_EVENT: &str = "webhook.test";

/// The routes of endpoints.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update, delete))
        .routes(routes!(rotate_secret))
        .routes(routes!(test))
}

/// A new secret, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecretRotated {
    secret: String,
}

/// A test delivery that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestSent {
    event: EventId,
    delivery: DeliveryId,
}

/// Makes an endpoint. Its secret is shown this once.
#[utoipa::path(post, path = "/v1/webhook-endpoints", tag = "webhooks", responses((status = 201, body = EndpointCreated)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    let new = EndpointBody::parse(&body, true)?;
    check_allowed(&app, &caller, &new).await?;
    let now = app.clock.now();
    let id: EndpointId = app.new_id();
    let secret = Secret::generate().map_err(anyhow::Error::from)?;
    let mut tx = app.db.begin().await?;
    if let Some(key) = &key {
        let digest = fingerprint(&app.fingerprint_key, &body);
        let claim = idempotency::Claim {
            project: caller.project.id,
            key,
            fingerprint: &digest,
            kind: "endpoint",
            resource: id.uuid(),
            lease_until: None,
        };
        if let Some(existing) = idempotency::claim(&mut tx, claim, now).await? {
            let row =
                store::find_endpoint(&mut tx, caller.project.id, EndpointId::from_uuid(existing)).await?;
            let row = row.ok_or(Error::NotFound("endpoint"))?;
            let endpoint = show(&app, &mut tx, caller.project.id, row).await?;
            let mut response =
                (StatusCode::CREATED, Json(EndpointCreated { endpoint, secret: None })).into_response();
            mark_replayed(&mut response, true);
            return Ok(response);
        }
    }
    if store::count_endpoints(&mut tx, caller.project.id).await? >= i64::from(caller.limits.endpoints) {
        let detail = format!("the project may have {} webhook endpoints", caller.limits.endpoints);
        return Err(Error::Forbidden { code: "endpoint_limit", detail });
    }
    let blank = store::EndpointRow {
        id: id.uuid(),
        url: String::new(),
        events: Vec::new(),
        description: String::new(),
        headers_sealed: None,
        max_in_flight: MAX_IN_FLIGHT,
        rate_per_second: None,
        ordered: false,
        retry_schedule: None,
        disabled_at: None,
        disabled_reason: None,
        open_until: None,
        failing_since: None,
        created_at: now,
    };
    let row = apply(&app, blank, new)?;
    let sealed = app.sealer.seal(store::SECRET_PURPOSE, secret.expose().as_bytes())?;
    store::insert_endpoint(&mut tx, caller.project.id, &row, &sealed).await?;
    let endpoint = show(&app, &mut tx, caller.project.id, row).await?;
    tx.commit().await?;
    let created = EndpointCreated { endpoint, secret: Some(secret.expose()) };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Lists endpoints, newest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints", tag = "webhooks", responses((status = 200, body = Page<Endpoint>)))]
async fn list(State(app): State<App>, caller: Caller, mut query: ListQuery) -> Result<Json<Page<Endpoint>>> {
    let [] = query.filters([])?;
    let mut conn = app.db.acquire().await?;
    let rows = store::list_endpoints(&mut conn, caller.project.id, &query).await?;
    let endpoints = show_all(&app, &mut conn, caller.project.id, rows).await?;
    let place = |endpoint: &Endpoint| Cursor { created_at: endpoint.created_at, id: endpoint.id.uuid() };
    Ok(Json(Page::of(endpoints, &query, place, |endpoint| endpoint)))
}

/// Shows an endpoint.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", responses((status = 200, body = Endpoint)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Endpoint>> {
    let mut conn = app.db.acquire().await?;
    let row = store::find_endpoint(&mut conn, caller.project.id, parse_id(&id)?).await?;
    let row = row.ok_or(Error::NotFound("endpoint"))?;
    Ok(Json(show(&app, &mut conn, caller.project.id, row).await?))
}

/// Changes an endpoint.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", responses((status = 200, body = Endpoint)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Endpoint>> {
    let id = parse_id(&id)?;
    let changes = EndpointBody::parse(&body, false)?;
    check_allowed(&app, &caller, &changes).await?;
    let mut tx = app.db.begin().await?;
    let row =
        store::find_endpoint(&mut tx, caller.project.id, id).await?.ok_or(Error::NotFound("endpoint"))?;
    if changes.ordered.is_some_and(|ordered| ordered != row.ordered) {
        return Err(Error::field(
            "/ordered",
            "cannot change: deliveries already have their order; make another endpoint",
        ));
    }
    let row = apply(&app, row, changes)?;
    store::update_endpoint(&mut tx, caller.project.id, &row, app.clock.now()).await?;
    let endpoint = show(&app, &mut tx, caller.project.id, row).await?;
    tx.commit().await?;
    super::wake(&app);
    Ok(Json(endpoint))
}

/// Deletes an endpoint; what was not delivered to it fails.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", responses((status = 204)))]
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    let id = parse_id(&id)?;
    let mut tx = app.db.begin().await?;
    let deleted = store::delete_endpoint(&mut tx, caller.project.id, id, app.clock.now()).await?;
    if !deleted {
        return Err(Error::NotFound("endpoint"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new secret. Both sign until `overlap_seconds` (a day by default) are over.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "webhooks", responses((status = 200, body = SecretRotated)))]
async fn rotate_secret(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<SecretRotated>> {
    let id = parse_id(&id)?;
    let overlap = parse_overlap(&body)?;
    let secret = Secret::generate().map_err(anyhow::Error::from)?;
    let sealed = app.sealer.seal(store::SECRET_PURPOSE, secret.expose().as_bytes())?;
    let until = app.clock.now() + overlap;
    let mut conn = app.db.acquire().await?;
    if !store::rotate_secret(&mut conn, caller.project.id, id, &sealed, until).await? {
        return Err(Error::NotFound("endpoint"));
    }
    Ok(Json(SecretRotated { secret: secret.expose() }))
}

fn parse_overlap(body: &Value) -> Result<TimeDelta> {
    let mut errors = Errors::default();
    let overlap = Fields::of(body, &mut errors).map(|mut fields| {
        let seconds = fields
            .optional("overlap_seconds", check::integer(0, 30 * OVERLAP_SECONDS))
            .unwrap_or(OVERLAP_SECONDS);
        fields.finish();
        TimeDelta::seconds(seconds)
    });
    Ok(errors.finish(overlap)?)
}

/// Sends a `webhook.test` event to this endpoint alone.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/test", tag = "webhooks", responses((status = 202, body = TestSent)))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<TestSent>)> {
    let id = parse_id(&id)?;
    let mut tx = app.db.begin().await?;
    let targets = store::list_targets(&mut tx, &[caller.project.id.uuid()]).await?;
    let target = targets.into_iter().find(|target| target.id == id.uuid());
    let target = target.ok_or(Error::NotFound("endpoint"))?;
    let mut data = serde_json::Map::new();
    data.insert(
        "message".to_owned(),
        "Esta es una entrega de prueba de Trastienda. / This is a test delivery.".into(),
    );
    let event = Event {
        id: app.new_id(),
        project_id: caller.project.id,
        event_type: TEST_EVENT.to_owned(),
        source: Source::Hub,
        status: "accepted",
        order_id: None,
        data,
        occurred_at: None,
        created_at: app.clock.now(),
        duplicate_of: None,
        problem: None,
        schema_errors: None,
        blanked_at: None,
    };
    let delivery: DeliveryId = app.new_id();
    crate::events::ingest::store_unannounced(&app, &mut tx, &event).await?;
    let row = store::NewDelivery {
        id: delivery,
        project_id: event.project_id,
        target: Arc::new(target),
        event_id: event.id,
        event_type: event.event_type,
        order_id: None,
        created_at: event.created_at,
        is_leased: false,
    };
    store::insert_deliveries(&mut tx, &[row], None).await?;
    tx.commit().await?;
    super::wake(&app);
    Ok((StatusCode::ACCEPTED, Json(TestSent { event: event.id, delivery })))
}

/// What only the hub knows: whether the address may be called, and what the plan offers.
async fn check_allowed(app: &App, caller: &Caller, body: &EndpointBody) -> Result<()> {
    // What the agent pulls, the hub does not call.
    if let Some(url) = body.url.as_ref().filter(|url| url.scheme() != "agent") {
        app.outbound.check_url(url).await.map_err(|refused| Error::field("/url", refused.to_string()))?;
    }
    if body.ordered == Some(true) && !caller.feature("ordered_webhooks") {
        return Err(Error::field("/ordered", "is not part of the project's plan (flag `ordered_webhooks`)"));
    }
    Ok(())
}

fn apply(app: &App, mut row: store::EndpointRow, body: EndpointBody) -> Result<store::EndpointRow> {
    if let Some(url) = body.url {
        row.url = url.into();
    }
    if let Some(headers) = body.headers {
        let json = serde_json::to_vec(&headers).map_err(anyhow::Error::from)?;
        row.headers_sealed =
            if headers.is_empty() { None } else { Some(app.sealer.seal(store::HEADERS_PURPOSE, &json)?) };
    }
    row.events = body.events.unwrap_or(row.events);
    row.description = body.description.unwrap_or(row.description);
    row.max_in_flight = body.max_in_flight.unwrap_or(row.max_in_flight);
    row.rate_per_second = body.rate_per_second.unwrap_or(row.rate_per_second);
    row.ordered = body.ordered.unwrap_or(row.ordered);
    row.retry_schedule = body.retry_schedule.unwrap_or(row.retry_schedule);
    Ok(row)
}

/// An endpoint as callers see it.
pub(super) async fn show(
    app: &App,
    conn: &mut PgConnection,
    project: ProjectId,
    row: store::EndpointRow,
) -> Result<Endpoint> {
    let mut shown = show_all(app, conn, project, vec![row]).await?;
    Ok(shown.pop().ok_or_else(|| anyhow::anyhow!("one endpoint was to be shown"))?)
}

/// Endpoints as callers see them. Only what holds deliveries has them counted.
async fn show_all(
    app: &App,
    conn: &mut PgConnection,
    project: ProjectId,
    rows: Vec<store::EndpointRow>,
) -> Result<Vec<Endpoint>> {
    let holds = |row: &&store::EndpointRow| row.disabled_at.is_some() || row.open_until.is_some();
    let holding: Vec<_> = rows.iter().filter(holds).map(|row| row.id).collect();
    let held = match holding.as_slice() {
        [] => HashMap::new(),
        ids => store::count_waiting(conn, project, ids).await?,
    };
    let now = app.clock.now();
    rows.into_iter().map(|row| view(app, held.get(&row.id).copied().unwrap_or(0), row, now)).collect()
}

fn view(app: &App, held: i64, row: store::EndpointRow, now: DateTime<Utc>) -> Result<Endpoint> {
    let header_names = match &row.headers_sealed {
        Some(sealed) => {
            let json = app.sealer.open(store::HEADERS_PURPOSE, sealed)?;
            let headers: BTreeMap<String, String> =
                serde_json::from_slice(&json).map_err(anyhow::Error::from)?;
            headers.into_keys().collect()
        }
        None => Vec::new(),
    };
    Ok(Endpoint {
        id: EndpointId::from_uuid(row.id),
        url: row.url,
        events: row.events,
        description: row.description,
        header_names,
        max_in_flight: row.max_in_flight,
        rate_per_second: row.rate_per_second,
        ordered: row.ordered,
        retry_schedule: row.retry_schedule.unwrap_or_else(|| schedule::DEFAULT.to_vec()),
        enabled: row.disabled_at.is_none(),
        disabled_at: row.disabled_at,
        disabled_reason: row.disabled_reason,
        circuit: Health { open_until: row.open_until, ..Health::default() }.circuit(now).as_str(),
        circuit_open_until: row.open_until,
        failing_since: row.failing_since,
        held,
        created_at: row.created_at,
    })
}

pub(super) fn parse_id(text: &str) -> Result<EndpointId> {
    EndpointId::parse(text).map_err(|_| Error::NotFound("endpoint"))
}
