//! `/v1/webhook-deliveries`, and the routes of the whole slice.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use trastienda_protocol::ids::{DeliveryId, EndpointId, Id as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Delivery, DeliveryDetail};
use super::{enable, endpoints, recovery, store};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, Result};

/// The slice's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(endpoints::router())
        .merge(enable::router())
        .merge(recovery::router())
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(retry))
}

/// Lists deliveries, newest first. Filters: `endpoint`, `event_type`, `status`, `order_id`.
#[utoipa::path(get, path = "/v1/webhook-deliveries", tag = "webhooks", responses((status = 200, body = Page<Delivery>)))]
async fn list(State(app): State<App>, caller: Caller, mut query: ListQuery) -> Result<Json<Page<Delivery>>> {
    let [endpoint, event_type, status, order_id] =
        query.filters(["endpoint", "event_type", "status", "order_id"])?;
    let endpoint = match endpoint {
        Some(text) => Some(
            EndpointId::parse(&text).map_err(|error| Error::field("?endpoint", error.to_string()))?.uuid(),
        ),
        None => None,
    };
    let filters = store::DeliveryFilters { endpoint, event_type, status, order_id };
    let mut conn = app.db.acquire().await?;
    let deliveries = store::list_deliveries(&mut conn, caller.project.id, &query, &filters).await?;
    let place = |delivery: &Delivery| Cursor { created_at: delivery.created_at, id: delivery.id.uuid() };
    Ok(Json(Page::of(deliveries, &query, place, |delivery| delivery)))
}

/// Shows a delivery with every attempt.
#[utoipa::path(get, path = "/v1/webhook-deliveries/{id}", tag = "webhooks", responses((status = 200, body = DeliveryDetail)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<DeliveryDetail>> {
    let id = parse_id(&id)?;
    let mut conn = app.db.acquire().await?;
    let delivery =
        store::find_delivery(&mut conn, caller.project.id, id).await?.ok_or(Error::NotFound("delivery"))?;
    let attempts = store::list_attempts(&mut conn, caller.project.id, id).await?;
    Ok(Json(DeliveryDetail { delivery, attempts }))
}

/// Sends a delivery again now, marked as a replay.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{id}/retry", tag = "webhooks", responses((status = 202, body = Delivery)))]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Delivery>)> {
    let id = parse_id(&id)?;
    let mut conn = app.db.acquire().await?;
    store::find_delivery(&mut conn, caller.project.id, id).await?.ok_or(Error::NotFound("delivery"))?;
    if !store::has_payload(&mut conn, caller.project.id, id).await? {
        return Err(Error::Conflict {
            code: "payload_gone",
            detail: "the event's payload was past its retention: there is nothing left to send".to_owned(),
        });
    }
    if !store::mark_retried(&mut conn, caller.project.id, id, app.clock.now()).await? {
        return Err(Error::Conflict {
            code: "in_flight",
            detail: "the delivery is being sent right now".to_owned(),
        });
    }
    super::wake(&app);
    let delivery =
        store::find_delivery(&mut conn, caller.project.id, id).await?.ok_or(Error::NotFound("delivery"))?;
    Ok((StatusCode::ACCEPTED, Json(delivery)))
}

fn parse_id(text: &str) -> Result<DeliveryId> {
    DeliveryId::parse(text).map_err(|_| Error::NotFound("delivery"))
}
