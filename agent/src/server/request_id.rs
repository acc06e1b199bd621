//! The request's id: taken or made, echoed, handed on to the hub, in every problem document and log line.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tracing::Span;

use super::Refusal;
use crate::agent::Core;

/// The header's name.
pub(crate) const HEADER: &str = "x-request-id";

/// The request's own id, if it can be used, or a new one, which is written into the request.
pub(super) fn of(core: &Core, request: &mut Request) -> HeaderValue {
    if let Some(given) = request.headers().get(HEADER).filter(|value| is_usable(value)) {
        return given.clone();
    }
    let made = core.ids.uuid(core.clock.now()).as_simple().to_string();
    let id = HeaderValue::from_str(&made).unwrap_or(HeaderValue::from_static("unknown"));
    request.headers_mut().insert(HEADER, id.clone());
    id
}

/// Echoes it, and completes a refusal with it.
pub(super) fn complete(mut response: Response, id: HeaderValue) -> Response {
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = refusal.complete(text(&id));
    }
    response.headers_mut().insert(HEADER, id);
    response
}

/// What log lines of a request are written under, by its headers. A root: whoever hands a request on has the same.
pub(crate) fn span(headers: &HeaderMap) -> Span {
    let id = headers.get(HEADER).map_or("", text);
    tracing::info_span!(parent: None, "request", request.id = id)
}

/// As it is written into logs and documents.
fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

/// Short and printable: it goes into logs.
fn is_usable(value: &HeaderValue) -> bool {
    (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}
