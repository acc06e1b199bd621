//! The request's id: taken or made, echoed, handed on to the hub, in every problem document and log line.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::Refusal;
use crate::agent::Core;

/// The header's name.
pub(crate) const HEADER: &str = "x-request-id";

/// Carries the id through, and completes refusals with it.
pub(super) async fn carry(State(core): State<Arc<Core>>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).filter(|value| is_usable(value)).cloned();
    let id = given.unwrap_or_else(|| {
        let made = core.ids.uuid(core.clock.now()).as_simple().to_string();
        HeaderValue::from_str(&made).unwrap_or(HeaderValue::from_static("unknown"))
    });
    request.headers_mut().insert(HEADER, id.clone());
    let span = tracing::info_span!("request", request.id = id.to_str().unwrap_or_default());
    let mut response = next.run(request).instrument(span).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = refusal.complete(id.to_str().unwrap_or_default());
    }
    response.headers_mut().insert(HEADER, id);
    response
}

/// Short and printable: it goes into logs.
fn is_usable(value: &HeaderValue) -> bool {
    (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}
