//! What is checked, kept and acknowledged here: events, notifications and payments that can wait.
//!
//! A body is checked by the same code as at the hub, so that a dead letter is rare; 202 means that
//! the call is committed. What cannot be kept (a card, a caller who waits for the outcome) passes through.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use hyper::body::Body as _;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;
use trastienda_protocol::batch::Kind;
use trastienda_protocol::event::EventBody;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{self, Id};
use trastienda_protocol::limits::{BODY_MAX, ID_AHEAD_MAX, NOTIFICATION_MAX, is_idempotency_key};
use trastienda_protocol::money::Money;
use trastienda_protocol::notification::NewNotification;
use trastienda_protocol::payment::NewPayment;
use trastienda_protocol::prefer::Prefer;
use trastienda_protocol::problem::{FieldError, Problem};
use trastienda_protocol::time;
use uuid::Uuid;

use super::{Refusal, read_within};
use crate::agent::Core;
use crate::buffer::{AcceptError, Accepted, NewCall, public_id};
use crate::proxy;

/// How long a payment may wait here when the caller does not say.
const PAYMENT_WAITS: TimeDelta = TimeDelta::minutes(15);
/// Bodies above this are not read on the doors' thread.
const LARGE: u64 = 256 * 1024;
/// Levels of objects and arrays in a body. The hub reads 128, and the batch's envelope takes three.
const DEPTH_MAX: usize = 100;

/// `POST /v1/events`
pub(super) async fn event(core: Arc<Core>, request: Request) -> Result<Response, Refusal> {
    let call = Call::read(request, BODY_MAX).await?;
    let event = EventBody::check(&call.value).map_err(Problem::validation)?;
    let kept = Kept {
        kind: Kind::Event,
        id: event.id.map(Id::uuid),
        order_id: event.order_id().map(str::to_owned),
        expires_at: None,
    };
    let event_type = event.event_type;
    let accepted = call.keep(&core, kept).await?;
    let created_at = DateTime::from_timestamp_millis(accepted.accepted_at).unwrap_or_default();
    let body = EventAcknowledged {
        id: public_id(Kind::Event, accepted.id),
        event_type,
        created_at: time::format(created_at),
    };
    Ok(acknowledge(accepted, &body))
}

/// What a shop that waits for it reads of its event.
#[derive(serde::Serialize)]
struct EventAcknowledged {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    created_at: String,
}

/// `POST /v1/notifications`
pub(super) async fn notification(core: Arc<Core>, request: Request) -> Result<Response, Refusal> {
    if prefer(request.headers()).wait.is_some() {
        return proxy::pass(State(core), request).await;
    }
    if request.body().size_hint().lower() > LARGE {
        // Reading megabytes takes milliseconds, for which nobody could commit.
        let workers = core.workers.clone();
        let keeping = AbortOnDropHandle::new(workers.spawn(keep_notification(core, request)));
        return keeping.await.unwrap_or_else(|error| {
            Err(Problem::new(500, "internal_error", "Internal error", format!("it broke off: {error}"))
                .into())
        });
    }
    keep_notification(core, request).await
}

async fn keep_notification(core: Arc<Core>, request: Request) -> Result<Response, Refusal> {
    let call = Call::read(request, NOTIFICATION_MAX).await?;
    let notification = NewNotification::parse(&call.value).map_err(Problem::validation)?;
    let kept = Kept {
        kind: Kind::Notification,
        id: notification.id.map(Id::uuid),
        order_id: notification.order_id,
        expires_at: None,
    };
    let accepted = call.keep(&core, kept).await?;
    let body = json!({
        "id": public_id(Kind::Notification, accepted.id),
        "channel": notification.channel,
        "status": "pending",
    });
    Ok(acknowledge(accepted, &body))
}

/// `POST /v1/payments`
pub(super) async fn payment(core: Arc<Core>, request: Request) -> Result<Response, Refusal> {
    if !prefer(request.headers()).respond_async {
        return proxy::pass(State(core), request).await;
    }
    let (parts, body) = request.into_parts();
    let bytes = read_within(body, BODY_MAX).await?;
    let call = Call::of(&parts.headers, bytes.clone())?;
    let payment = NewPayment::parse(&call.value).map_err(Problem::validation)?;
    if !payment.method.can_be_buffered() {
        return proxy::pass(State(core), Request::from_parts(parts, Body::from(bytes))).await;
    }
    if call.idempotency_key.is_none() {
        return Err(Problem::idempotency_key_required().into());
    }
    let expires_at = payment.expires_at.unwrap_or_else(|| core.clock.now() + PAYMENT_WAITS);
    let kept = Kept {
        kind: Kind::Payment,
        id: payment.id.map(Id::uuid),
        order_id: Some(payment.order_id.clone()),
        expires_at: Some(expires_at),
    };
    let accepted = call.keep(&core, kept).await?;
    let body = json!({
        "id": public_id(Kind::Payment, accepted.id),
        "status": if accepted.expired { "failed" } else { "pending" },
        "detail": accepted.expired.then_some("expired"),
        "provider": null,
        "external_id": null,
        "provider_reference": null,
        "method": payment.method.as_str(),
        "amount": payment.amount.to_string(),
        "amount_refunded": Money { minor: 0, ..payment.amount }.to_string(),
        "currency": payment.amount.currency.as_str(),
        "order_id": payment.order_id,
    });
    Ok(acknowledge(accepted, &body))
}

pub(crate) fn prefer(headers: &HeaderMap) -> Prefer {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    Prefer::parse(&values.collect::<Vec<_>>().join(","))
}

/// A call as it came.
struct Call {
    idempotency_key: Option<String>,
    bytes: Bytes,
    value: Value,
}

/// What its parser found that the buffer needs.
struct Kept {
    kind: Kind,
    id: Option<Uuid>,
    order_id: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

impl Call {
    async fn read(request: Request, limit: usize) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let bytes = read_within(body, limit).await?;
        Self::of(&parts.headers, bytes)
    }

    fn of(headers: &HeaderMap, bytes: Bytes) -> Result<Self, Refusal> {
        let idempotency_key = match headers.get("idempotency-key") {
            None => None,
            Some(value) => match value.to_str() {
                Ok(key) if is_idempotency_key(key) => Some(key.to_owned()),
                _ => return Err(Problem::invalid_idempotency_key().into()),
            },
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| Problem::invalid_json(&error))?;
        if is_deeper_than(&value, DEPTH_MAX) {
            let error =
                FieldError::new("", format!("may have at most {DEPTH_MAX} levels of objects and arrays"));
            return Err(Problem::validation(vec![error]).into());
        }
        Ok(Self { idempotency_key, bytes, value })
    }

    async fn keep(self, core: &Core, kept: Kept) -> Result<Accepted, Refusal> {
        let now = core.clock.now();
        if let Some(id) = kept.id
            && ids::timestamp(id) > now + ID_AHEAD_MAX
        {
            let error =
                FieldError::new("/id", "carries a time more than 5 minutes ahead of this host's clock");
            return Err(Problem::validation(vec![error]).into());
        }
        let call = NewCall {
            kind: kept.kind,
            id: kept.id.unwrap_or_else(|| core.ids.uuid(now)),
            idempotency_key: self.idempotency_key,
            order_id: kept.order_id,
            accepted_at: now.timestamp_millis(),
            expires_at: kept.expires_at.map(|at| at.timestamp_millis()),
            fingerprint: fingerprint(&core.buffer.fingerprint_key(), &self.value),
            body: self.bytes,
        };
        let accepted = core.buffer.accept(call).await.inspect_err(|error| match error {
            AcceptError::Full(_) => core.metrics.refused_full.add(1),
            AcceptError::Reused | AcceptError::Expired | AcceptError::Storage(_) => {}
        })?;
        let counter = if accepted.replayed { &core.metrics.replayed } else { &core.metrics.accepted };
        counter.add(1);
        Ok(accepted)
    }
}

fn acknowledge(accepted: Accepted, body: &impl serde::Serialize) -> Response {
    let mut response = (StatusCode::ACCEPTED, axum::Json(body)).into_response();
    if accepted.replayed {
        response.headers_mut().insert("idempotent-replayed", axum::http::HeaderValue::from_static("true"));
    }
    response
}

fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper_than(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper_than(item, levels - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_objects_and_arrays() {
        let nested = |levels: usize| {
            let text = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            serde_json::from_str::<Value>(&text).unwrap()
        };
        assert!(!is_deeper_than(&nested(DEPTH_MAX), DEPTH_MAX));
        assert!(is_deeper_than(&nested(DEPTH_MAX + 1), DEPTH_MAX));
    }
}
