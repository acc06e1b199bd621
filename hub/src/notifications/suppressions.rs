//! `/v1/suppressions`: the addresses that a project's mail never goes to.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use trastienda_protocol::check::{self, Errors, Fields};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::store;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};

/// The reason of an address that was put on the list without one.
const BY_HAND: &str = "by hand";

/// An address that gets no mail from a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suppression {
    #[serde(skip)]
    pub(crate) id: Uuid,
    /// The address, in lower case.
    pub address: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
    /// Until when; null: for good.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a caller sends to `PUT /v1/suppressions/{address}`; all of it may be absent.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuppressionBody {
    /// Why.
    reason: Option<String>,
    /// Until when; absent: for good.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    expires_at: Option<DateTime<Utc>>,
}

/// The list's routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put, delete))
}

/// Lists the addresses, newest first.
#[utoipa::path(get, path = "/v1/suppressions", tag = "notifications", responses((status = 200, body = Page<Suppression>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: ListQuery,
) -> Result<Json<Page<Suppression>>> {
    let [] = query.filters([])?;
    let mut conn = app.db.acquire().await?;
    let rows = store::list_suppressions(&mut conn, caller.project.id, &query).await?;
    let place = |row: &Suppression| Cursor { created_at: row.created_at, id: row.id };
    Ok(Json(Page::of(rows, &query, place, |row| row)))
}

/// Puts an address on the list, or changes its reason and end.
#[utoipa::path(
    put, path = "/v1/suppressions/{address}", tag = "notifications",
    request_body = SuppressionBody, responses((status = 200, body = Suppression)),
)]
async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(address): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Suppression>> {
    let now = app.clock.now();
    let address = read_address(&address)?;
    let SuppressionBody { reason, expires_at } = read_body(&body)?;
    let reason = reason.unwrap_or_else(|| BY_HAND.to_owned());
    let mut suppression = Suppression { id: app.ids.uuid(now), address, reason, created_at: now, expires_at };
    let mut conn = app.db.acquire().await?;
    suppression.created_at = store::put_suppression(&mut conn, caller.project.id, &suppression).await?;
    Ok(Json(suppression))
}

/// Takes an address off the list.
#[utoipa::path(delete, path = "/v1/suppressions/{address}", tag = "notifications", responses((status = 204)))]
async fn delete(State(app): State<App>, caller: Caller, Path(address): Path<String>) -> Result<StatusCode> {
    let address = read_address(&address)?;
    let mut conn = app.db.acquire().await?;
    if store::delete_suppression(&mut conn, caller.project.id, &address).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::NotFound("suppressed address"))
    }
}

fn read_address(text: &str) -> Result<String> {
    let address = check::email(&Value::String(text.to_owned()));
    address.map(|address| address.to_lowercase()).map_err(|message| Error::field("?address", message))
}

fn read_body(body: &Value) -> Result<SuppressionBody> {
    let mut errors = Errors::default();
    let body = Fields::of(body, &mut errors).map(|mut fields| {
        let reason = fields.optional("reason", check::line(1, 200));
        let expires_at = fields.optional("expires_at", check::timestamp);
        fields.finish();
        SuppressionBody { reason, expires_at }
    });
    Ok(errors.finish(body)?)
}
