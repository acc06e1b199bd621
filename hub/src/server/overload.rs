//! More requests than the hub can work at: told at once, before memory or the database's connections run out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::held::Held;
use crate::app::App;
use crate::http::Error;

/// Marks the only request of a connection that is over the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct OverLimit;

/// Places for requests that work.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

impl Places {
    /// So many.
    pub fn new(requests: usize) -> Self {
        Self(Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))))
    }
}

/// Whoever watches the hub is answered however much it has to do: that is when it is asked.
fn is_watching(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

/// An agent that waits for deliveries costs its connection and little else, and there is one for each shop.
fn is_waiting(path: &str) -> bool {
    path == "/v1/agent/poll"
}

/// Gives a request its place, or refuses it.
pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if is_watching(path) {
        return next.run(request).await;
    }
    if request.extensions().get::<OverLimit>().is_some() {
        return refuse("connections");
    }
    if is_waiting(path) {
        return next.run(request).await;
    }
    let Ok(place) = app.places.0.clone().try_acquire_owned() else { return refuse("requests") };
    let response = next.run(request).await;
    // A stream waits from here on; any other answer is in memory until it is read.
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    response.map(|body| Body::new(Held::new(body, place)))
}

fn refuse(limit: &'static str) -> Response {
    metrics::counter!("trastienda_http_overloaded_total", "limit" => limit).increment(1);
    Error::Overloaded.into_response()
}
