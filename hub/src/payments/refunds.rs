//! Giving money back: each refund has a row and a provider key of its own, committed before the provider hears
//! of it; the payment's job gives them back one after the other.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::check::{Errors, Fields};
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{Id as _, PaymentId, RefundId};
use trastienda_protocol::money::{Currency, Money, amount};
use trastienda_protocol::problem::{FieldError, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::calls::Calls;
use super::changes::busy;
use super::model::{Action, Payment, RefundView};
use super::provider::{CallError, RefundOrder, Snapshot};
use super::routes::{parse_id, prefer};
use super::settle::{self, Moved};
use super::status::Status;
use super::store::{self, RefundRow};
use super::waiters::Waiter;
use super::work::{self, Desk, Jobs};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::idempotency::{self, IdempotencyKey, mark_replayed};
use crate::http::{Error, JsonBody, Result};
use crate::queue::worker::Queue as _;

/// The routes of refunds.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Gives money back: `amount` of it, or what is left. Waits for the outcome as a new payment does.
#[utoipa::path(
    post, path = "/v1/payments/{id}/refunds", tag = "payments",
    params(("Idempotency-Key" = String, Header, description = "makes a repeat the same refund")),
    responses((status = 201, body = RefundView), (status = 202, body = RefundView), (status = 409, body = Problem), (status = 422, body = Problem)),
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    (key, headers): (IdempotencyKey, HeaderMap),
    JsonBody(body): JsonBody,
) -> Result<Response> {
    let payment_id = parse_id(&id)?;
    let key = key.required()?;
    let wait = prefer(&headers).payment_wait();
    // A caller who hangs up cuts nothing.
    let task = tokio::spawn(async move {
        let project = caller.project.id;
        let (refund, replayed) = take(&app, &caller, payment_id, &key, &body).await?;
        app.wakes.wake(Jobs::<false>::NAME);
        let mut refund_now = refund;
        let is_over = |payment: &Payment| payment.action != Some(Action::Refund);
        let payment = Waiter::new(project, payment_id).wait(&app, wait, is_over).await?;
        if let Some(row) =
            store::find_refund(&mut *app.db.acquire().await?, project, RefundId::from_uuid(refund_now.id))
                .await?
        {
            refund_now = row;
        }
        let status = if refund_now.status == "pending" { StatusCode::ACCEPTED } else { StatusCode::CREATED };
        let view = refund_now.view(payment.amount.currency);
        let mut response = (status, Json(view)).into_response();
        mark_replayed(&mut response, replayed);
        Ok(response)
    });
    task.await.map_err(|error| Error::Internal(error.into()))?
}

fn parse(body: &Value, currency: Currency) -> std::result::Result<Option<Money>, Vec<FieldError>> {
    let mut errors = Errors::default();
    // PHP writes an empty array for an empty object.
    if body.as_array().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let wanted = Fields::of(body, &mut errors).map(|mut fields| {
        let wanted = fields.optional("amount", amount(currency));
        fields.finish();
        wanted
    });
    errors.finish(wanted)
}

/// Writes the refund, unless an earlier call did.
async fn take(
    app: &App,
    caller: &Caller,
    payment_id: PaymentId,
    key: &str,
    body: &Value,
) -> Result<(RefundRow, bool)> {
    let now = app.clock.now();
    let project = caller.project.id;
    let mut tx = app.db.begin().await?;
    let locked = store::lock_payment(&mut tx, project, payment_id, None).await?;
    let payment = locked.ok_or(Error::NotFound("payment"))?;
    let wanted = parse(body, payment.amount.currency)?;
    let id: RefundId = app.new_id();
    // The same key for another payment's refund is another call.
    let digest = fingerprint(&app.fingerprint_key, &serde_json::json!({"payment": payment_id, "body": body}));
    let claim = idempotency::Claim {
        project,
        key,
        fingerprint: &digest,
        kind: "refund",
        resource: id.uuid(),
        lease_until: None,
    };
    if let Some(existing) = idempotency::claim(&mut tx, claim, now).await? {
        let row = store::find_refund(&mut tx, project, RefundId::from_uuid(existing)).await?;
        return Ok((row.ok_or(Error::NotFound("refund"))?, true));
    }
    let left = left_to_refund(&mut tx, &payment).await?;
    let amount_minor = check(&payment, wanted, left)?;
    let refund = RefundRow {
        id: id.uuid(),
        amount_minor,
        status: "pending".to_owned(),
        detail: None,
        external_id: None,
        provider_key: app.ids.uuid(now).to_string(),
        fingerprint: digest.to_vec(),
        created_at: now,
    };
    store::insert_refund(&mut tx, &payment, &refund).await?;
    // One that is under way finds this one when it is done.
    if payment.action != Some(Action::Refund)
        && !store::start_action(&mut tx, &payment, Action::Refund, now).await?
    {
        return Err(busy());
    }
    tx.commit().await?;
    Ok((refund, false))
}

/// What is neither given back nor on its way back. A refund that is done may show in the payment a little later.
async fn left_to_refund(conn: &mut PgConnection, payment: &Payment) -> Result<i64> {
    let refunds = store::list_refunds(conn, payment.project_id, payment.id).await?;
    let sum =
        |status: &str| refunds.iter().filter(|r| r.status == status).map(|r| r.amount_minor).sum::<i64>();
    let given = payment.standing.refunded_minor.max(sum("done"));
    Ok(payment.amount.minor - given - sum("pending"))
}

fn check(payment: &Payment, wanted: Option<Money>, left: i64) -> Result<i64> {
    if payment.standing.status != Status::Paid {
        return Err(Error::Conflict {
            code: "payment_not_paid",
            detail: "only a paid payment can be given back; one that is pending can be cancelled".to_owned(),
        });
    }
    if left <= 0 {
        return Err(Error::Conflict {
            code: "nothing_to_refund",
            detail: "everything was given back, or is on its way".to_owned(),
        });
    }
    match wanted {
        Some(money) if money.minor > left => {
            let left = Money { minor: left, currency: payment.amount.currency };
            Err(Error::field("/amount", format!("must be at most {left}, which is what is left")))
        }
        Some(money) => Ok(money.minor),
        None => Ok(left),
    }
}

/// What came of a refund.
#[derive(Debug)]
pub(crate) struct Outcome {
    refund: RefundRow,
    /// How the payment stands after it.
    seen: Vec<Snapshot>,
}

/// Gives back the oldest refund that is pending.
pub(crate) async fn work(desk: &Desk<'_>, calls: &mut Calls) -> anyhow::Result<work::Outcome> {
    let Desk { app, provider, payment, .. } = desk;
    let mut conn = app.db.acquire().await?;
    let refunds = store::list_refunds(&mut conn, payment.project_id, payment.id).await?;
    drop(conn);
    let pending = refunds.into_iter().find(|refund| refund.status == "pending");
    let Some(mut refund) = pending else { return Ok(work::Outcome::Nothing) };
    let Some(external_id) = payment.standing.external_id.as_deref() else {
        anyhow::bail!("payment_transactions.external_id of {} is missing, and it is paid", payment.id);
    };
    let order = RefundOrder {
        external_id,
        amount: Money { minor: refund.amount_minor, currency: payment.amount.currency },
        of: payment.amount,
        given_minor: payment.standing.refunded_minor,
        key: &refund.provider_key,
        now: app.clock.now(),
    };
    let mut seen = Vec::new();
    let given = provider.refund(&desk.credentials.access, &order).await;
    match calls.record("refund", app.clock.now(), given) {
        Ok(refunded) => {
            "done".clone_into(&mut refund.status);
            refund.external_id = refunded.external_id;
            seen.extend(refunded.payment);
        }
        Err(CallError::Refused { code, .. } | CallError::Unauthorized { code }) => {
            "failed".clone_into(&mut refund.status);
            refund.detail = Some(format!("rejected_{code}"));
        }
        Err(CallError::NotFound) => {
            "failed".clone_into(&mut refund.status);
            refund.detail = Some("rejected_not_found".to_owned());
        }
        // The same key: it is given back once, however often it is sent.
        Err(error) => return Ok(work::Outcome::Retry(desk.later(&error))),
    }
    // How much was given back is the payment's to say. If it does not say now, its notice will.
    seen.extend(desk.ask(calls).await.unwrap_or_default());
    Ok(work::Outcome::Refunded(Box::new(Outcome { refund, seen })))
}

/// Writes what came of a refund of a locked payment.
pub(crate) async fn write(
    app: &App,
    conn: &mut PgConnection,
    payment: &mut Payment,
    outcome: &Outcome,
    account_id: Option<&str>,
) -> anyhow::Result<Moved> {
    store::finish_refund(conn, payment, &outcome.refund, app.clock.now()).await?;
    settle::take_in_all(app, conn, payment, &outcome.seen, account_id).await
}
