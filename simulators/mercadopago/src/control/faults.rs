//! `/control/faults`: what is to go wrong.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Refusal, parse};
use crate::app::App;
use crate::faults::{Fault, FaultKind};

/// `GET`: what is in force.
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"faults": app.faults.list()}))
}

/// `POST`: adds one.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let fault: Fault = parse(&body)?;
    let invalid = |message: &str| Err(Refusal::Invalid(message.to_owned()));
    if fault.rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
        return invalid("rate must be between 0 and 1");
    }
    if fault.next == Some(0) {
        return invalid("next must be at least 1");
    }
    if matches!(fault.kind, FaultKind::ServerError { status } if !(500..600).contains(&status)) {
        return invalid("status must be between 500 and 599");
    }
    app.faults.add(fault);
    Ok((StatusCode::CREATED, Json(json!({"faults": app.faults.list()}))))
}

/// `DELETE`: takes all away.
pub(super) async fn clear(State(app): State<Arc<App>>) -> StatusCode {
    app.faults.reset();
    StatusCode::NO_CONTENT
}
