//! The operator says that the money of a manual payment is there.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::Value;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::problem::{FieldError, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::PaymentView;
use super::provider::manual;
use super::routes::parse_id;
use super::status::Status;
use super::{settle, store, waiters};
use crate::app::App;
use crate::events;
use crate::http::auth::Caller;
use crate::http::{Error, JsonBody, Result};

/// The route of confirming.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(confirm))
}

/// Confirms that a `manual` payment was received, with the `reference` of the transfer or the receipt if there is
/// one. Also one that has expired meanwhile: the money came late. A repeat changes nothing.
#[utoipa::path(
    post, path = "/v1/payments/{id}/confirm", tag = "payments",
    responses((status = 200, body = PaymentView), (status = 409, body = Problem), (status = 422, body = Problem)),
)]
async fn confirm(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<PaymentView>> {
    let id = parse_id(&id)?;
    let reference = parse(&body)?;
    let mut tx = app.db.begin().await?;
    let locked = store::lock_payment(&mut tx, caller.project.id, id, None).await?;
    let mut payment = locked.ok_or(Error::NotFound("payment"))?;
    if payment.provider != manual::NAME {
        return Err(Error::Conflict {
            code: "payment_not_manual",
            detail: format!(
                "only `manual` payments are confirmed by hand; {} says by itself when this one is paid",
                payment.provider
            ),
        });
    }
    if payment.standing.status == Status::Paid {
        return Ok(Json(payment.into()));
    }
    let external_id = reference.unwrap_or_else(|| format!("manual-{}", payment.id));
    settle::note(&app, &mut tx, &payment, "call", "confirmed by the operator").await?;
    let snapshot = manual::confirmed(&external_id, payment.amount, app.clock.now());
    let moved = settle::take_in(&app, &mut tx, &mut payment, &snapshot, None).await?;
    tx.commit().await?;
    if moved.told {
        events::wake(&app);
    }
    waiters::wake(id);
    Ok(Json(payment.into()))
}

fn parse(body: &Value) -> std::result::Result<Option<String>, Vec<FieldError>> {
    let mut errors = Errors::default();
    // PHP writes an empty array for an empty object.
    if body.as_array().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let reference = Fields::of(body, &mut errors).map(|mut fields| {
        let reference = fields.optional("reference", check::line(1, 128));
        fields.finish();
        reference
    });
    errors.finish(reference)
}
