//! `/control/payments`: every payment of every seller, and what happens to one next.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, parse};
use crate::app::App;
use crate::money::Money;
use crate::payments::{Move, Payment};
use crate::webhooks::Action;

/// `GET`: newest first.
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let payments: Vec<Value> =
        app.change(|state, _| state.payments.values().rev().map(|p| p.json(&app.public_url)).collect());
    Json(json!({"payments": payments}))
}

/// What some actions need to know.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Of a rejection or a chargeback.
    pub(crate) status_detail: Option<String>,
    /// Of a refund; left out, all that remains.
    pub(crate) amount: Option<Value>,
}

/// `POST /control/payments/{id}/{action}`: `approve`, `reject`, `expire`, `refund`, `mediate`, `chargeback`,
/// or `notify` to say again what was said before.
pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Path((id, action)): Path<(i64, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let wanted: Wanted = parse(&body)?;
    perform(&app, id, &action, wanted)?;
    app.change(|state, _| {
        let payment = state.payments.get(&id).ok_or(Refusal::NotFound("payment"))?;
        Ok(Json(payment.json(&app.public_url)))
    })
}

/// Makes it happen, or says why it cannot.
pub(crate) fn perform(app: &App, id: i64, action: &str, wanted: Wanted) -> Result<(), Refusal> {
    app.change(|state, now| {
        let payment = state.payments.get(&id).ok_or(Refusal::NotFound("payment"))?;
        let detail = |default: &str| wanted.status_detail.clone().unwrap_or_else(|| default.to_owned());
        let step = match action {
            "approve" => Move::Approve,
            "reject" => Move::Reject(detail("cc_rejected_other_reason")),
            "expire" => Move::Expire,
            "refund" => {
                let amount = amount(payment, wanted.amount.as_ref())?;
                Move::Refund { id: state.ids.refund(), amount }
            }
            "mediate" => Move::Mediate,
            "chargeback" => Move::ChargeBack(detail("in_process")),
            "notify" => {
                state.announce(id, Action::Updated);
                return Ok(());
            }
            _ => return Err(Refusal::NotFound("action")),
        };
        match state.apply(id, step, now) {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(Refusal::Conflict(why.to_owned())),
            None => Err(Refusal::NotFound("payment")),
        }
    })
}

fn amount(payment: &Payment, asked: Option<&Value>) -> Result<Money, Refusal> {
    let Some(asked) = asked else { return Ok(payment.remaining()) };
    Money::read(asked, payment.site.decimals)
        .ok_or_else(|| Refusal::Invalid("amount must be a number in the payment's currency".to_owned()))
}
