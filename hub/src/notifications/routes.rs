//! `/v1/notifications`, and the routes of the whole slice.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use trastienda_protocol::ids::{Id as _, NotificationId};
use trastienda_protocol::limits::NOTIFICATION_MAX;
use trastienda_protocol::notification::NewNotification;
use trastienda_protocol::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accept::{self, Accept};
use super::channel::whatsapp;
use super::model::{Notification, NotificationAccepted, NotificationDetail, detail};
use super::over::{self, Over};
use super::send::Emails;
use super::store::{self, Row};
use super::{settings, show, smtp, suppressions, templates};
use crate::app::App;
use crate::events;
use crate::http::auth::Caller;
use crate::http::idempotency::{IdempotencyKey, mark_replayed};
use crate::http::pagination::{Cursor, ListQuery, Page};
use crate::http::{Error, JsonBody, Result};
use crate::queue::worker::Queue as _;

/// The slice's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(retry))
        .routes(routes!(cancel))
        .merge(templates::routes::router())
        .merge(settings::router())
        .merge(smtp::accounts::router())
        .merge(suppressions::router())
}

/// Accepts a notification: rendered, checked and stored.
#[utoipa::path(
    post, path = "/v1/notifications", tag = "notifications",
    request_body = NewNotification,
    responses((status = 202, body = NotificationAccepted), (status = 422, body = Problem)),
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    JsonBody(body): JsonBody<NOTIFICATION_MAX>,
) -> Result<Response> {
    let accept = Accept { idempotency_key, ..Accept::parse(&app, &body)? };
    let accepted = accept::accept(&app, caller.0, accept).await?;
    let mut response = (StatusCode::ACCEPTED, Json(accepted.answer)).into_response();
    mark_replayed(&mut response, accepted.replayed);
    Ok(response)
}

/// Lists notifications, newest first. Filters: `channel`, `to`, `template`, `status`, `order_id`.
#[utoipa::path(get, path = "/v1/notifications", tag = "notifications", responses((status = 200, body = Page<Notification>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: ListQuery,
) -> Result<Json<Page<Notification>>> {
    let [channel, to, template, status, order_id] =
        query.filters(["channel", "to", "template", "status", "order_id"])?;
    let mut conn = app.db.acquire().await?;
    // A number may be asked for in any of its forms.
    let to = match to {
        Some(to) if !to.contains('@') => {
            let country = settings::Settings::of(&mut conn, caller.project.id).await?.country();
            Some(whatsapp::recipient(&to, country).await.map_or(to, |phone| phone.e164()))
        }
        other => other,
    };
    let filters = store::Filters { channel, to, template, status, order_id };
    let rows = store::list_notifications(&mut conn, caller.project.id, &query, &filters).await?;
    let shown = rows.into_iter().map(|row| show(&app, row)).collect::<Result<Vec<_>>>()?;
    let place = |row: &Notification| Cursor { created_at: row.created_at, id: row.id.uuid() };
    Ok(Json(Page::of(shown, &query, place, |row| row)))
}

/// Shows a notification with its content and every attempt.
#[utoipa::path(get, path = "/v1/notifications/{id}", tag = "notifications", responses((status = 200, body = NotificationDetail)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<NotificationDetail>> {
    let id = parse_id(&id)?;
    let mut conn = app.db.acquire().await?;
    let row = store::find_notification(&mut conn, caller.project.id, id).await?;
    let notification = show(&app, row.ok_or(Error::NotFound("notification"))?)?;
    let content = store::get_content(&mut conn, caller.project.id, id).await?;
    let attempts = store::list_attempts(&mut conn, caller.project.id, id).await?;
    Ok(Json(NotificationDetail { notification, content, attempts }))
}

/// Sends a failed notification again, or a waiting one at once.
#[utoipa::path(post, path = "/v1/notifications/{id}/retry", tag = "notifications", responses((status = 202, body = Notification), (status = 409, body = Problem)))]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Notification>)> {
    let id = parse_id(&id)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let row = store::lock_notification(&mut tx, caller.project.id, id).await?;
    let row = row.ok_or(Error::NotFound("notification"))?;
    if row.status == "sent" {
        return Err(conflict(
            "already_sent",
            "the notification was sent; a second one is a new notification",
        ));
    }
    if row.detail.as_deref() == Some(detail::REFUSED) {
        return Err(conflict(
            "refused",
            "the notification was refused for its content: send a corrected one",
        ));
    }
    if row.blanked_at.is_some() {
        return Err(conflict(
            "blanked",
            "the notification's address and contents were deleted after the plan's retention",
        ));
    }
    if row.expires_at.is_some_and(|at| at <= now) {
        return Err(conflict(
            "expired",
            "the notification's `expires_at` is past: it is never sent after that",
        ));
    }
    not_in_flight(&row)?;
    store::mark_retried(&mut tx, caller.project.id, id, now).await?;
    let row = store::find_notification(&mut tx, caller.project.id, id).await?;
    tx.commit().await?;
    app.wakes.wake(Emails::NAME);
    Ok((StatusCode::ACCEPTED, Json(show(&app, row.ok_or(Error::NotFound("notification"))?)?)))
}

/// Cancels a notification that was not sent yet.
#[utoipa::path(post, path = "/v1/notifications/{id}/cancel", tag = "notifications", responses((status = 200, body = Notification), (status = 409, body = Problem)))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Notification>> {
    let id = parse_id(&id)?;
    let mut tx = app.db.begin().await?;
    let row = store::lock_notification(&mut tx, caller.project.id, id).await?;
    let row = row.ok_or(Error::NotFound("notification"))?;
    match (row.status.as_str(), row.detail.as_deref()) {
        ("pending", _) => {}
        (_, Some(detail::CANCELLED)) => return Ok(Json(show(&app, row)?)),
        ("sent", _) => {
            return Err(conflict("already_sent", "the notification was sent and cannot be taken back"));
        }
        _ => {
            return Err(conflict(
                "already_failed",
                "the notification has failed: there is nothing to cancel",
            ));
        }
    }
    not_in_flight(&row)?;
    let over = Over::cancelled(&row);
    store::mark_over(&mut tx, over.key, "failed", Some(detail::CANCELLED), app.clock.now()).await?;
    over::announce(&app, &mut tx, over).await?;
    let row = store::find_notification(&mut tx, caller.project.id, id).await?;
    tx.commit().await?;
    events::wake(&app);
    Ok(Json(show(&app, row.ok_or(Error::NotFound("notification"))?)?))
}

fn not_in_flight(row: &Row) -> Result<()> {
    if row.is_leased {
        return Err(conflict("in_flight", "the notification is being sent right now"));
    }
    Ok(())
}

fn conflict(code: &'static str, detail: &str) -> Error {
    Error::Conflict { code, detail: detail.to_owned() }
}

fn parse_id(text: &str) -> Result<NotificationId> {
    NotificationId::parse(text).map_err(|_| Error::NotFound("notification"))
}
