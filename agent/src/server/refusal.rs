//! How a call is refused: a problem document, completed with the request's id on its way out.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use trastienda_protocol::problem::{self, FieldError, Problem};

use crate::buffer::{AcceptError, StorageError};

/// A refusal on its way to the caller.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        if error.is_disk() {
            return full(format!("the disk took no more: {error}"));
        }
        Problem::new(
            503,
            "buffer_unavailable",
            "Buffer unavailable",
            format!("the call was not taken, send it again: {error}"),
        )
        .into()
    }
}

impl From<AcceptError> for Refusal {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Reused => Problem::new(
                422,
                "idempotency_key_reused",
                "Idempotency key reused",
                "the `id` or the `Idempotency-Key` belongs to an earlier call with another body",
            )
            .into(),
            AcceptError::Expired => {
                Problem::validation(vec![FieldError::new("/expires_at", "must be in the future")]).into()
            }
            AcceptError::Full(reason) => full(reason.to_string()),
            AcceptError::Storage(error) => error.into(),
        }
    }
}

fn full(reason: String) -> Refusal {
    Problem::new(507, "buffer_full", "Buffer full", reason).into()
}

impl Refusal {
    /// The HTTP status.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// Writes the request's id into the document.
    pub(super) fn complete(mut self, request_id: &str) -> Response {
        self.0.request_id = Some(request_id.to_owned());
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A document of texts and numbers can always be written.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let content_type = HeaderValue::from_static(problem::CONTENT_TYPE);
        (status, [(CONTENT_TYPE, content_type)], body).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// What answers a wrong method on the agent's own paths.
pub(super) async fn method_not_allowed() -> Refusal {
    Problem::new(405, "method_not_allowed", "Method not allowed", "this path takes other methods").into()
}
