//! `/v1/payments/{id}/refunds`: give back all or part of a payment.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::create::idempotency_key;
use super::model::{Payment, Refund, Status};
use super::moves::Move;
use crate::app::App;
use crate::clock::written;
use crate::error::{ApiError, ApiResult};
use crate::money::Money;
use crate::sellers::Caller;
use crate::state::KeyUse;

/// How long after its approval a payment can be refunded.
const WINDOW_DAYS: i64 = 180;

/// `POST`: an empty body gives back all that is left. A key used before answers 200 with nothing in it.
pub(crate) async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Response> {
    let key = idempotency_key(&headers)?;
    app.change(|state, now| {
        let payment =
            state.find_payment(caller.seller.user_id, &id).ok_or_else(ApiError::payment_not_found)?;
        let id = payment.id;
        let used = (caller.seller.user_id, KeyUse::RefundOf(id), key);
        if state.keys.contains_key(&used) {
            return Ok(StatusCode::OK.into_response());
        }
        let amount = amount(&body, payment, now)?;
        let refund_id = state.ids.refund();
        match state.apply(id, Move::Refund { id: refund_id, amount }, now) {
            Some(Ok(())) => {}
            _ => return Err(wrong_state()),
        }
        state.keys.insert(used, refund_id);
        let payment = state.payments.get(&id).ok_or_else(ApiError::payment_not_found)?;
        let refund = payment.refunds.last().ok_or_else(ApiError::payment_not_found)?;
        Ok((StatusCode::CREATED, Json(refund.json(payment))).into_response())
    })
}

/// `GET`: all of them, in a bare array.
pub(crate) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    app.change(|state, _| {
        let payment = state.find_payment(caller.seller.user_id, &id)?;
        Some(Json(payment.refunds.iter().map(|refund| refund.json(payment)).collect()))
    })
    .ok_or_else(ApiError::payment_not_found)
}

/// `GET …/{refund_id}`
pub(crate) async fn get(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, refund_id)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    app.change(|state, _| {
        let payment = state.find_payment(caller.seller.user_id, &id)?;
        let refund = payment.refunds.iter().find(|refund| refund.id.to_string() == refund_id)?;
        Some(Json(refund.json(payment)))
    })
    .ok_or_else(|| ApiError::not_found("Refund not found"))
}

fn amount(body: &[u8], payment: &Payment, now: DateTime<Utc>) -> ApiResult<Money> {
    let body: Value = if body.trim_ascii().is_empty() {
        json!({})
    } else {
        serde_json::from_slice(body).map_err(|_| ApiError::bad_request(1, "Params Error"))?
    };
    let asked = match body.get("amount") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            Money::read(value, payment.site.decimals)
                .filter(|amount| amount.minor > 0)
                .ok_or_else(|| ApiError::bad_request(4037, "Invalid transaction_amount"))?,
        ),
    };
    if payment.status != Status::Approved || payment.remaining().minor == 0 {
        return Err(wrong_state());
    }
    if payment.approved_at.is_none_or(|at| at + TimeDelta::days(WINDOW_DAYS) < now) {
        return Err(ApiError::bad_request(2024, "Payment too old to be refunded"));
    }
    let amount = asked.unwrap_or_else(|| payment.remaining());
    if amount > payment.remaining() {
        return Err(ApiError::bad_request(
            2017,
            "The transaction_amount must be lower than the original payment amount",
        ));
    }
    Ok(amount)
}

fn wrong_state() -> ApiError {
    ApiError::bad_request(2063, "The action requested is not valid for the current payment state")
}

impl Refund {
    pub(super) fn json(&self, payment: &Payment) -> Value {
        json!({
            "id": self.id,
            "payment_id": payment.id,
            "amount": self.amount.json(),
            "metadata": {},
            "source": {"id": payment.seller.to_string(), "name": "Test Seller", "type": "collector"},
            "date_created": written(self.created_at),
            "unique_sequence_number": null,
            "refund_mode": "standard",
            "adjustment_amount": 0,
            "status": "approved",
            "reason": null,
            "labels": [],
            "amount_refunded_to_payer": self.amount.json(),
            "additional_data": null,
            "partition_details": [],
        })
    }
}
