//! Every request has an id: the caller's `X-Request-Id` or one made here. It is echoed, written into
//! problem documents and carried by every log line of the request.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use trastienda_protocol::problem::Problem;

use crate::app::App;

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request being handled.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Gives the request its id, logs its end and counts it.
pub async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&HEADER).and_then(|value| value.to_str().ok());
    let id =
        match given.filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())) {
            Some(id) => id.to_owned(),
            None => format!("req_{}", app.ids.uuid(app.clock.now()).as_simple()),
        };
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    // The pattern, never the path: a path may hold an address or a token.
    let route =
        request.extensions().get::<MatchedPath>().map_or("unmatched", |path| path.as_str()).to_owned();
    let span = tracing::info_span!("request", request.id = %id, project.id = tracing::field::Empty);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    finish_problem(&mut response, &id);
    // Reading moves nothing; a link that is opened leads elsewhere, and is noted.
    if !method.is_safe() || response.status().is_redirection() {
        app.moved();
    }
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let labels = [("route", route.clone()), ("method", method.to_string()), ("status", status.to_string())];
    metrics::counter!("trastienda_http_requests_total", &labels).increment(1);
    metrics::histogram!("trastienda_http_request_seconds", "route" => route.clone())
        .record(elapsed.as_secs_f64());
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(http.method = %method, http.route = route, http.status = status, duration_ms, "answered"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn finish_problem(response: &mut Response, id: &str) {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let problem = Problem { request_id: Some(id.to_owned()), ..problem };
        *response.body_mut() = Body::from(serde_json::to_vec(&problem).unwrap_or_default());
        response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    }
}
