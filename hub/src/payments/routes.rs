//! `/v1/payments`, and the routes of the whole slice.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use trastienda_protocol::ids::{Id as _, PaymentId};
use trastienda_protocol::prefer::Prefer;
use trastienda_protocol::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::create::{self, Creation};
use super::model::{Payment, PaymentDetail, PaymentView};
use super::{cases, changes, confirm, refunds, setup, store};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::idempotency::{IdempotencyKey, mark_replayed};
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};

/// The slice's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(setup::router())
        .routes(routes!(create, list))
        .routes(routes!(get))
        .merge(changes::router())
        .merge(refunds::router())
        .merge(confirm::router())
        .merge(cases::router())
}

/// Starts a payment and waits for its outcome (`Prefer: wait=N`, `respond-async`). 202: the hub goes on by itself.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments",
    params(
        ("Idempotency-Key" = String, Header, description = "makes a repeat the same payment"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (10 by default, at most 25 seconds) or `respond-async`"),
    ),
    responses((status = 201, body = PaymentView), (status = 202, body = PaymentView), (status = 422, body = Problem)),
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    let creation = Creation::parse(&app, &body, key.required()?, prefer(&headers).payment_wait())?;
    let taken = create::create(&app, caller.0, creation).await?;
    let status = if taken.payment.is_made() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(PaymentView::from(taken.payment))).into_response();
    mark_replayed(&mut response, taken.replayed);
    Ok(response)
}

/// Lists payments, newest first. Filters: `provider`, `status`, `order_id`.
#[utoipa::path(get, path = "/v1/payments", tag = "payments", responses((status = 200, body = Page<PaymentView>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: ListQuery,
) -> Result<Json<Page<PaymentView>>> {
    let [provider, status, order_id] = query.filters(["provider", "status", "order_id"])?;
    let filters = store::PaymentFilters { provider, status, order_id };
    let mut conn = app.db.acquire().await?;
    let payments = store::list_payments(&mut conn, caller.project.id, &query, &filters).await?;
    let place = |payment: &Payment| Cursor { created_at: payment.created_at, id: payment.id.uuid() };
    Ok(Json(Page::of(payments, &query, place, PaymentView::from)))
}

/// Shows a payment with its refunds and its timeline.
#[utoipa::path(get, path = "/v1/payments/{id}", tag = "payments", responses((status = 200, body = PaymentDetail)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<PaymentDetail>> {
    let id = parse_id(&id)?;
    let mut conn = app.db.acquire().await?;
    let payment =
        store::find_payment(&mut conn, caller.project.id, id).await?.ok_or(Error::NotFound("payment"))?;
    changes::refresh_if_stale(&app, &mut conn, &payment).await?;
    let timeline = store::list_entries(&mut conn, caller.project.id, id).await?;
    let currency = payment.amount.currency;
    let refunds = store::list_refunds(&mut conn, caller.project.id, id).await?;
    let refunds = refunds.into_iter().map(|refund| refund.view(currency)).collect();
    Ok(Json(PaymentDetail { payment: payment.into(), refunds, timeline }))
}

pub(crate) fn parse_id(text: &str) -> Result<PaymentId> {
    PaymentId::parse(text).map_err(|_| Error::NotFound("payment"))
}

pub(crate) fn prefer(headers: &HeaderMap) -> Prefer {
    headers.get("prefer").and_then(|value| value.to_str().ok()).map(Prefer::parse).unwrap_or_default()
}
