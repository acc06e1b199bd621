//! The control interface: what a test, a demo or a developer makes happen.
//!
//! It has no counterpart at Mercado Pago and asks for no credentials: the simulator is for a loopback
//! address. Refusals are `{"error", "message"}`.

mod faults;
mod notices;
mod payments;
mod preferences;
mod sellers;
mod settings;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use serde::de::DeserializeOwned;
use serde_json::json;

pub(crate) use self::payments::{Wanted, perform};
pub(crate) use self::preferences::{Attempt, pay};
use crate::app::App;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/control/sellers", get(sellers::list).post(sellers::create))
        .route("/control/sellers/{user_id}", patch(sellers::update))
        .route("/control/preferences/{id}/pay", post(preferences::handle))
        .route("/control/payments", get(payments::list))
        .route("/control/payments/{id}/{action}", post(payments::handle))
        .route("/control/notices", get(notices::list).post(notices::send))
        .route("/control/notices/ping", post(notices::ping))
        .route("/control/faults", get(faults::list).post(faults::create).delete(faults::clear))
        .route("/control/clock", get(settings::clock).post(settings::advance))
        .route("/control/reset", post(settings::reset))
}

/// Why the control interface did nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Conflict(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
        };
        (status, Json(json!({"error": error, "message": self.to_string()}))).into_response()
    }
}

/// Reads a body that may be left out altogether, whatever its content type says.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::Invalid(error.to_string()))
}
