//! What goes around every page: headers that keep foreign script, frames and caches out, and problems as pages.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use trastienda_protocol::problem::Problem;

use super::desk::Desk;
use super::session;

/// Nothing but our own files, no inline script, no frame around us.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                    form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'";
/// A rendered mail: its own styles and embedded pictures; no script, no form, no origin, no network.
pub(super) const MAIL: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
                               frame-ancestors 'self'; base-uri 'none'";

/// A draft beside its editor: the same, with our style sheet around it.
pub(super) const PREVIEW: &str = "sandbox; default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; form-action 'none'; \
     frame-ancestors 'self'; base-uri 'none'";

pub(super) async fn layer(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let look = session::look(request.headers(), request.uri());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let headers = response.headers().get(header::RETRY_AFTER).cloned();
        let status = response.status();
        let page = desk.bare_page(&look, "error.html", json!({"problem": problem}));
        response = page.unwrap_or_else(axum::response::IntoResponse::into_response);
        *response.status_mut() = status;
        if let Some(after) = headers {
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
    }
    let is_mail = response.headers().contains_key(header::CONTENT_SECURITY_POLICY);
    let is_tls = desk.app.config.public_url.scheme() == "https";
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, PAGE);
    set(header::X_FRAME_OPTIONS, if is_mail { "SAMEORIGIN" } else { "DENY" });
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "same-origin");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=()",
    );
    if is_tls {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response.into_response()
}
