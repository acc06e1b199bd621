//! The table of contents: who may call what.

use std::sync::Arc;
use std::time::Duration;

use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, http::StatusCode};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::PeerIpKeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::http::local::LocalApi;
use crate::http::{Error, auth, request_id};
use crate::server::overload;
use crate::{
    agents, batch, dashboard, events, notifications, openapi, operations, payments, projects, webhooks,
};

/// The whole API and its document.
pub fn build(app: &App) -> (Router, OpenApi) {
    let router = OpenApiRouter::with_openapi(openapi::base())
        .merge(shops().route_layer(from_fn_with_state(app.clone(), auth::require_project)))
        .merge(
            webhooks::pull::routes::router()
                .route_layer(from_fn_with_state(app.clone(), auth::require_agent)),
        )
        .merge(
            operator()
                .route_layer(from_fn_with_state(app.clone(), auth::require_operator))
                .route_layer(by_address(10, 100)),
        )
        .merge(customers().layer(by_address(5, 60)))
        .merge(providers())
        .merge(anybody());
    let (router, document) = router.split_for_parts();
    let document = openapi::finish(document);
    let router = router
        .merge(openapi::docs())
        .merge(dashboard::router(app, local(app)))
        .fallback(|| async { Error::NotFound("address") })
        .method_not_allowed_fallback(|| async { Error::from(method_not_allowed()) })
        .layer(map_response(problem_for_bare_refusals))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), overload::layer))
        .layer(from_fn_with_state(app.clone(), request_id::layer))
        .with_state(app.clone());
    (router, document)
}

/// The API for the hub itself.
pub(crate) fn local(app: &App) -> LocalApi {
    let (routes, _) = shops().split_for_parts();
    LocalApi::new(routes.with_state(app.clone()))
}

/// The document alone.
pub fn document() -> OpenApi {
    let routes = shops()
        .merge(webhooks::pull::routes::router())
        .merge(operator())
        .merge(customers())
        .merge(providers())
        .merge(anybody());
    openapi::finish(OpenApiRouter::with_openapi(openapi::base()).merge(routes).into_openapi())
}

/// Shops, by their API key.
fn shops() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(projects::routes::router())
        .merge(events::routes::router())
        .merge(batch::router())
        .merge(webhooks::routes::router())
        .merge(notifications::routes::router())
        .merge(payments::routes::router())
        .merge(agents::router())
}

/// The operator, by the admin token.
fn operator() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(projects::admin::router())
        .merge(operations::admin_router())
        .merge(notifications::smtp::senders::router())
        .merge(webhooks::pull::agents::router())
}

/// A shop's customers and operators, by an address that only they know.
fn customers() -> OpenApiRouter<App> {
    notifications::open::router()
}

/// Payment providers, by their signature.
fn providers() -> OpenApiRouter<App> {
    payments::inbound::router()
}

/// Anybody.
fn anybody() -> OpenApiRouter<App> {
    operations::router()
}

fn method_not_allowed() -> trastienda_protocol::problem::Problem {
    trastienda_protocol::problem::Problem::new(
        405,
        "method_not_allowed",
        "Method not allowed",
        "this address does not know this method",
    )
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Error::Internal(anyhow::anyhow!("a handler panicked")).into_response()
}

/// Refusals of the framework's own extractors become problem documents too.
async fn problem_for_bare_refusals(response: Response) -> Response {
    let plain = response
        .headers()
        .get(axum::http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    if response.status() == StatusCode::BAD_REQUEST && plain {
        let problem = trastienda_protocol::problem::Problem::new(
            400,
            "bad_request",
            "Bad request",
            "the request's path or query could not be read",
        );
        return Error::from(problem).into_response();
    }
    response
}

type AddressLimit = GovernorLayer<
    PeerIpKeyExtractor,
    governor::middleware::NoOpMiddleware<governor::clock::QuantaInstant>,
    axum::body::Body,
>;

/// Limits what is not authenticated, by the caller's address.
fn by_address(per_second: u64, burst: u32) -> AddressLimit {
    let period = Duration::from_millis(1_000 / per_second.max(1));
    let config = GovernorConfigBuilder::default().period(period).burst_size(burst.max(1)).finish();
    GovernorLayer::new(Arc::new(config.unwrap_or_default())).error_handler(|error| match error {
        GovernorError::TooManyRequests { wait_time, .. } => Error::TooMany {
            code: "rate_limited",
            detail: "too many requests from this address".to_owned(),
            retry_after: wait_time.max(1),
        }
        .into_response(),
        other => Error::Internal(anyhow::anyhow!("address limit: {other}")).into_response(),
    })
}
