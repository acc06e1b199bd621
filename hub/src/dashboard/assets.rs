//! What pages load: our style sheets and script, htmx and the mark. Their address carries the hub's version.

use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse as _, Response};

use crate::http::{Error, Result};

// htmx 4.0.1, Zero-Clause BSD, as npm's `htmx.org` ships it: see `assets/htmx.LICENSE`.
const FILES: [(&str, &str, &[u8]); 5] = [
    ("htmx.min.js", "text/javascript; charset=utf-8", include_bytes!("assets/htmx.min.js")),
    ("dashboard.js", "text/javascript; charset=utf-8", include_bytes!("assets/dashboard.js")),
    ("dashboard.css", "text/css; charset=utf-8", include_bytes!("assets/dashboard.css")),
    ("preview.css", "text/css; charset=utf-8", include_bytes!("assets/preview.css")),
    ("mark.svg", "image/svg+xml", include_bytes!("assets/mark.svg")),
];

pub(super) async fn get(Path(name): Path<String>) -> Result<Response> {
    let (_, media, bytes) = FILES.iter().find(|(known, ..)| *known == name).ok_or(Error::NotFound("file"))?;
    let headers = [
        (header::CONTENT_TYPE, *media),
        (header::CACHE_CONTROL, "public, max-age=86400"),
        // Nothing in them is anybody's, and the preview's frame has no origin.
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    Ok((headers, *bytes).into_response())
}
