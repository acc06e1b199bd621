//! The error bodies of the API, in the shapes the real one answers with.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What an API handler answers with.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// An error as a client of the API sees it.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Value,
}

impl ApiError {
    /// The classic shape with one cause, whose code a client branches on.
    pub(crate) fn caused(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        let message = message.into();
        let body = json!({
            "message": message,
            "error": reason(status),
            "status": status.as_u16(),
            "cause": [{"code": code, "description": message, "data": null}],
        });
        Self { status, body }
    }

    pub(crate) fn bad_request(code: u32, message: impl Into<String>) -> Self {
        Self::caused(StatusCode::BAD_REQUEST, code, message)
    }

    /// The shape of the preferences: a word in `error`, and `cause` null.
    pub(crate) fn preference(error: &str, message: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        let body =
            json!({"message": message.into(), "error": error, "status": status.as_u16(), "cause": null});
        Self { status, body }
    }

    /// Of `/oauth/token`.
    pub(crate) fn grant(error: &str, message: &str) -> Self {
        let status = StatusCode::BAD_REQUEST;
        let body = json!({"message": message, "error": error, "status": status.as_u16(), "cause": []});
        Self { status, body }
    }

    /// No key on a call that must carry one; found before anything in the body.
    pub(crate) fn idempotency_key_missing() -> Self {
        Self::bad_request(4292, "Header X-Idempotency-Key can't be null")
    }

    pub(crate) fn payment_not_found() -> Self {
        Self::caused(StatusCode::NOT_FOUND, 2000, "Payment not found")
    }

    pub(crate) fn not_found(message: &str) -> Self {
        let status = StatusCode::NOT_FOUND;
        let body = json!({"message": message, "error": "not_found", "status": 404, "cause": []});
        Self { status, body }
    }

    /// A token that belongs to no seller.
    pub(crate) fn invalid_token() -> Self {
        let status = StatusCode::UNAUTHORIZED;
        let body =
            json!({"message": "invalid access token", "error": "unauthorized", "status": 401, "cause": []});
        Self { status, body }
    }

    /// What the gateway in front answers when the header never arrived. It has a shape of its own.
    pub(crate) fn no_authorization() -> Self {
        let status = StatusCode::FORBIDDEN;
        let body = json!({
            "message": "At least one policy returned UNAUTHORIZED.",
            "code": "PA_UNAUTHORIZED_RESULT_FROM_POLICIES",
            "status": 403,
            "blocked_by": "PolicyAgent",
        });
        Self { status, body }
    }

    pub(crate) fn too_many_requests() -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let body = json!({"status": 429, "error": "too_many_requests", "message": "Too many requests"});
        Self { status, body }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        _ => "bad_request",
    }
}
