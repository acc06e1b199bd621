//! `PUT /v1/payments/{id}`: cancel, capture, give more time.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::model::{Payment, Status};
use super::moves::Move;
use crate::app::App;
use crate::clock::read;
use crate::error::{ApiError, ApiResult};
use crate::money::Money;
use crate::sellers::Caller;

/// Changes a payment. No idempotency key is asked for here.
pub(crate) async fn update(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| ApiError::bad_request(1, "Params Error"))?;
    app.change(|state, now| {
        let payment =
            state.find_payment(caller.seller.user_id, &id).ok_or_else(ApiError::payment_not_found)?;
        let step = wanted(&body, payment, now)?;
        let cancels = matches!(step, Move::Cancel);
        let id = payment.id;
        if let Some(Err(_)) = state.apply(id, step, now) {
            return Err(if cancels {
                ApiError::bad_request(2018, "The action requested is not valid for the current payment state")
            } else {
                ApiError::bad_request(
                    3005,
                    "Invalid action, the resource is in a state that does not allow this operation",
                )
            });
        }
        state
            .payments
            .get(&id)
            .map(|payment| Json(payment.json(&app.public_url)))
            .ok_or_else(ApiError::payment_not_found)
    })
}

fn wanted(body: &Value, payment: &Payment, now: DateTime<Utc>) -> ApiResult<Move> {
    match body.get("status").and_then(Value::as_str) {
        Some("cancelled" | "canceled") => return Ok(Move::Cancel),
        Some(_) => return Err(ApiError::bad_request(4019, "status attribute must be cancelled")),
        None => {}
    }
    if body.get("capture") == Some(&Value::Bool(true)) {
        let amount = match body.get("transaction_amount") {
            None | Some(Value::Null) => payment.amount,
            Some(value) => Money::read(value, payment.site.decimals)
                .filter(|amount| amount.minor > 0)
                .filter(|amount| *amount <= payment.amount || payment.status != Status::Authorized)
                .ok_or_else(|| ApiError::bad_request(4037, "Invalid transaction_amount"))?,
        };
        return Ok(Move::Capture(amount));
    }
    if let Some(at) = body.get("date_of_expiration") {
        let at = at.as_str().and_then(read).ok_or_else(|| {
            ApiError::bad_request(
                23,
                "The following parameters must be valid date and format: date_of_expiration",
            )
        })?;
        if at <= now || at > now + TimeDelta::days(30) {
            return Err(ApiError::bad_request(7523, "date_of_expiration is out of range"));
        }
        return Ok(Move::Extend(at));
    }
    Err(ApiError::bad_request(1, "Params Error"))
}
