//! What callers do about a payment that is there: ask the provider at once, give it up.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use sqlx::PgConnection;
use trastienda_protocol::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::calls::Calls;
use super::lanes::{self, Side};
use super::model::{Action, Payment, PaymentView};
use super::routes::{parse_id, prefer};
use super::status::Status;
use super::waiters::{self, Waiter};
use super::work::{Desk, Jobs};
use super::{credentials, provider, settle, setup, store};
use crate::app::App;
use crate::events;
use crate::http::auth::Caller;
use crate::http::{Error, JsonBody, Result};
use crate::queue::worker::Queue as _;

/// A pending payment that was asked about this long ago is asked about again when somebody reads it.
const STALE: TimeDelta = TimeDelta::seconds(30);

/// The routes of changes.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sync)).routes(routes!(cancel))
}

/// Asks the provider at once how the payment stands.
#[utoipa::path(
    post, path = "/v1/payments/{id}/sync", tag = "payments",
    responses((status = 200, body = PaymentView), (status = 503, body = Problem)),
)]
async fn sync(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<PaymentView>> {
    let id = parse_id(&id)?;
    let project = caller.project.id;
    let mut conn = app.db.acquire().await?;
    let payment = store::find_payment(&mut conn, project, id).await?.ok_or(Error::NotFound("payment"))?;
    if payment.action.is_some_and(|action| action != Action::Sync)
        && store::hasten(&mut conn, project, id, app.clock.now()).await?
    {
        app.wakes.wake(Jobs::<false>::NAME);
    }
    let Some(provider) = provider::find(&payment.provider) else { return Ok(Json(payment.into())) };
    let Some(credentials) = credentials::open(&app, &mut conn, project, provider).await? else {
        return Ok(Json(payment.into()));
    };
    drop(conn);
    let pass = lanes::enter(&app, project, provider.name(), Side::Back, Jobs::<true>::NAME)
        .map_err(|at| setup::resting(provider, lanes::until(at, app.clock.now())))?;
    let desk = Desk { app: &app, provider, credentials: &credentials, payment: &payment, attempts: 1 };
    let mut calls = Calls::on(pass);
    let asked = desk.ask(&mut calls).await;
    calls.leave();
    let mut tx = app.db.begin().await?;
    let locked = store::lock_payment(&mut tx, project, id, None).await?;
    let mut payment = locked.ok_or(Error::NotFound("payment"))?;
    calls.write(&app, &mut tx, &payment).await?;
    let mut told = false;
    if let Ok(snapshots) = &asked {
        let account = credentials.account_id.as_deref();
        let moved = settle::take_in_all(&app, &mut tx, &mut payment, snapshots, account).await?;
        store::mark_synced(&mut tx, &payment, app.clock.now()).await?;
        told = moved.told;
    }
    tx.commit().await?;
    if told {
        events::wake(&app);
    }
    waiters::wake(id);
    asked.map_err(|error| setup::unavailable(provider, &error))?;
    Ok(Json(payment.into()))
}

/// Gives up a payment that nobody has paid yet, and waits for the outcome as for a new one. The provider decides:
/// one that was paid a moment before stays paid.
#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "payments",
    responses((status = 200, body = PaymentView), (status = 202, body = PaymentView), (status = 409, body = Problem)),
)]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    if body.as_object().is_none_or(|fields| !fields.is_empty())
        && body.as_array().is_none_or(|list| !list.is_empty())
    {
        return Err(Error::field("", "takes no fields"));
    }
    let id = parse_id(&id)?;
    let project = caller.project.id;
    let mut tx = app.db.begin().await?;
    let locked = store::lock_payment(&mut tx, project, id, None).await?;
    let payment = locked.ok_or(Error::NotFound("payment"))?;
    match (payment.standing.status, payment.action) {
        (Status::Failed, _) => return Ok(Json(PaymentView::from(payment)).into_response()),
        (Status::Paid, _) => {
            return Err(Error::Conflict {
                code: "payment_paid",
                detail: "the payment is paid: give the money back with `POST /v1/payments/{id}/refunds`"
                    .to_owned(),
            });
        }
        (Status::Pending, Some(Action::Create)) => return Err(busy()),
        (Status::Pending, Some(Action::Cancel)) => {}
        (Status::Pending, _) => {
            if !store::start_action(&mut tx, &payment, Action::Cancel, app.clock.now()).await? {
                return Err(busy());
            }
        }
    }
    tx.commit().await?;
    app.wakes.wake(Jobs::<false>::NAME);
    let is_over = |payment: &Payment| payment.action != Some(Action::Cancel);
    let wait = prefer(&headers).payment_wait();
    let payment = Waiter::new(project, id).wait(&app, wait, is_over).await?;
    let status = if is_over(&payment) { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(PaymentView::from(payment))).into_response())
}

/// The provider is being asked about it right now.
pub(crate) fn busy() -> Error {
    Error::Conflict {
        code: "payment_in_progress",
        detail: "the provider is being asked about this payment right now; try again in a moment".to_owned(),
    }
}

/// Asks about a pending payment that somebody is looking at, unless that was done a moment ago.
pub(crate) async fn refresh_if_stale(app: &App, conn: &mut PgConnection, payment: &Payment) -> Result<()> {
    let now = app.clock.now();
    let is_stale = payment.synced_at.unwrap_or(payment.created_at) + STALE < now;
    if payment.action == Some(Action::Sync)
        && is_stale
        && store::hasten(conn, payment.project_id, payment.id, now).await?
    {
        app.wakes.wake(Jobs::<true>::NAME);
    }
    Ok(())
}
