//! Every address the simulator answers at.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::app::App;
use crate::error::ApiError;
use crate::faults::FaultKind;
use crate::{card_tokens, control, merchant_orders, oauth, pages, payments, preferences, sellers};

pub(crate) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/oauth/token", post(oauth::token))
        .route("/users/me", get(sellers::me))
        .route("/v1/payment_methods", get(sellers::payment_methods))
        .route("/v1/card_tokens", post(card_tokens::create))
        .route("/v1/payments", post(payments::create))
        .route("/v1/payments/search", get(payments::search))
        .route("/v1/payments/{id}", get(payments::get).put(payments::update))
        .route("/v1/payments/{id}/refunds", get(payments::list_refunds).post(payments::refund))
        // The official Node SDK calls these two with a slash at the end.
        .route("/v1/payments/{id}/refunds/", get(payments::list_refunds).post(payments::refund))
        .route("/checkout/preferences/", post(preferences::create))
        .route("/v1/payments/{id}/refunds/{refund_id}", get(payments::get_refund))
        .route("/checkout/preferences", post(preferences::create))
        .route("/checkout/preferences/search", get(preferences::search))
        .route("/checkout/preferences/{id}", get(preferences::get).put(preferences::update))
        .route("/merchant_orders/{id}", get(merchant_orders::get))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), strike))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), name_request));
    Router::new()
        .merge(api)
        .merge(control::routes())
        .merge(pages::routes())
        .fallback(|| async { ApiError::not_found("resource not found") })
        .with_state(app)
}

/// Lets ordered faults befall a call of the API.
async fn strike(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let strikes = |wanted: fn(FaultKind) -> bool| app.faults.strike(&method, &path, wanted);
    match strikes(|kind| matches!(kind, FaultKind::TooManyRequests { .. } | FaultKind::ServerError { .. })) {
        Some(FaultKind::TooManyRequests { retry_after }) => {
            let mut response = ApiError::too_many_requests().into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            return response;
        }
        Some(FaultKind::ServerError { status }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, status.canonical_reason().unwrap_or("error")).into_response();
        }
        _ => {}
    }
    let response = next.run(request).await;
    if let Some(FaultKind::Latency { ms }) = strikes(|kind| matches!(kind, FaultKind::Latency { .. })) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    if response.status().is_success()
        && let Some(FaultKind::HangAfterSuccess { ms }) =
            strikes(|kind| matches!(kind, FaultKind::HangAfterSuccess { .. }))
    {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    response
}

/// Every answer of the API names the request, for whoever has to ask about it.
async fn name_request(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&app.dispatcher.request_id()) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}
