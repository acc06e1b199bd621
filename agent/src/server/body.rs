//! Reading a body whole, up to a limit.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use trastienda_protocol::problem::Problem;

use super::Refusal;

/// Bytes that are read of a body which is refused.
const SWALLOW_MAX: usize = 16 * 1024 * 1024;

/// The whole body.
///
/// # Errors
/// 413 past the limit (known at once when the length is announced), 400 when the caller hangs up.
pub(crate) async fn read_within(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit as u64 {
        swallow(body).await;
        return Err(Problem::too_large(limit).into());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(limit).into()),
        Err(_) => Err(Problem::new(400, "incomplete_body", "Incomplete body", "the body broke off").into()),
    }
}

/// Reads what is still coming, up to a bound: a caller who is cut off while writing would see a broken
/// connection instead of the answer.
async fn swallow(body: Body) {
    let mut rest = Limited::new(body, SWALLOW_MAX);
    while let Some(Ok(_)) = rest.frame().await {}
}
