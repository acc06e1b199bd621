//! `/control/clock` and `/control/reset`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, parse};
use crate::app::App;
use crate::clock::written;

/// `GET /control/clock`
pub(super) async fn clock(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"now": written(app.clock.now())}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: u32,
}

/// `POST /control/clock`: moves the time forward; what expires by then expires.
pub(super) async fn advance(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let advance: Advance = parse(&body)?;
    app.clock.advance(Duration::from_secs(advance.seconds.into()));
    Ok(Json(json!({"now": app.change(|_, now| written(now))})))
}

/// `POST /control/reset`: as at the start, except for the time.
pub(super) async fn reset(State(app): State<Arc<App>>) -> StatusCode {
    app.reset();
    StatusCode::NO_CONTENT
}
