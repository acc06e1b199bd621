//! Request bodies: JSON up to a limit that is counted while reading.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;
use trastienda_protocol::limits::BODY_MAX;
use trastienda_protocol::problem::Problem;

use super::{Error, Result};
use crate::server::{is_too_much, is_too_slow};

/// A JSON body of at most `MAX` bytes, not yet checked against its fields.
pub struct JsonBody<const MAX: usize = BODY_MAX>(pub Value);

impl<S: Sync, const MAX: usize> FromRequest<S> for JsonBody<MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let bytes = read(request.into_body(), MAX).await?;
        // A call whose fields are all optional may come without a body.
        let bytes = if bytes.is_empty() { b"{}".as_slice().into() } else { bytes };
        Ok(Self(parse(&bytes)?))
    }
}

/// Reads a body of at most `max` bytes.
pub async fn read(body: Body, max: usize) -> Result<bytes::Bytes> {
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Problem::too_large(max).into())
        }
        Err(error) if is_too_much(&*error) => Err(overloaded()),
        Err(error) if is_too_slow(&*error) => {
            let detail = "the body came too slowly";
            Err(Problem::new(408, "request_timeout", "Request timeout", detail).into())
        }
        Err(error) => Err(Problem::new(
            400,
            "incomplete_body",
            "Incomplete body",
            format!("the body could not be read: {error}"),
        )
        .into()),
    }
}

/// There is no room for a body, or for what it inflates to.
pub fn overloaded() -> Error {
    metrics::counter!("trastienda_http_overloaded_total", "limit" => "bodies").increment(1);
    Error::Overloaded
}

/// Reads bytes as JSON.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| Problem::invalid_json(&error).into())
}
