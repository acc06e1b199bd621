//! `/v1/events`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use trastienda_protocol::ids::{EventId, Id as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ingest::{self, Ingest};
use super::model::{Event, EventAccepted, EventDetail};
use super::{catalogue, store};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::idempotency::{IdempotencyKey, mark_replayed};
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};

/// The slice's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get)).merge(catalogue::router())
}

/// Reports an event.
#[utoipa::path(
    post, path = "/v1/events", tag = "events",
    request_body = trastienda_protocol::event::NewEvent,
    responses((status = 202, body = EventAccepted), (status = 422, body = trastienda_protocol::problem::Problem)),
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    let ingest = Ingest { idempotency_key, ..Ingest::parse(&app, &body)? };
    if !ingest.schema_errors.is_empty() {
        return Err(Error::Invalid(ingest.schema_errors));
    }
    let ingested = ingest::ingest(&app, caller.0, ingest).await?;
    let mut response = (StatusCode::ACCEPTED, Json(EventAccepted::from(&ingested.event))).into_response();
    mark_replayed(&mut response, ingested.replayed);
    Ok(response)
}

/// Lists events, newest first. Filters: `type`, `order_id`, `status` (`accepted`, `rejected`).
#[utoipa::path(get, path = "/v1/events", tag = "events", responses((status = 200, body = Page<Event>)))]
async fn list(State(app): State<App>, caller: Caller, mut query: ListQuery) -> Result<Json<Page<Event>>> {
    let [event_type, order_id, status] = query.filters(["type", "order_id", "status"])?;
    let filters = store::EventFilters { event_type, order_id, status };
    let mut conn = app.db.acquire().await?;
    let events = store::list_events(&mut conn, caller.project.id, &query, &filters).await?;
    let place = |event: &Event| Cursor { created_at: event.created_at, id: event.id.uuid() };
    Ok(Json(Page::of(events, &query, place, |event| event)))
}

/// Shows an event with its deliveries' states.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "events", responses((status = 200, body = EventDetail)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<EventDetail>> {
    let id = EventId::parse(&id).map_err(|_| Error::NotFound("event"))?;
    let mut conn = app.db.acquire().await?;
    let found = store::find_event(&mut conn, caller.project.id, id).await?;
    let (event, _) = found.ok_or(Error::NotFound("event"))?;
    let mut deliveries = Vec::new();
    for subscriber in &app.subscribers {
        deliveries.extend(subscriber.deliveries(&mut conn, &event).await?);
    }
    Ok(Json(EventDetail { event, deliveries }))
}
