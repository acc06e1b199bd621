//! One call of Mercado Pago's API: send, time, and say how it went.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::errors;
use crate::payments::provider::{Access, CallError, Exchange};

/// How long a call that only reads may take.
pub(super) const READ: Duration = Duration::from_secs(10);
/// How long a call that makes something may take.
pub(super) const WRITE: Duration = Duration::from_secs(30);
/// Bytes of a reply that are read.
const REPLY_MAX: usize = 4 * 1024 * 1024;

/// One call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<Vec<u8>>,
    pub(super) key: Option<&'a str>,
    pub(super) timeout: Duration,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: String, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::GET, path, query, body: None, key: None, timeout: READ }
    }

    pub(super) fn write<T: Serialize>(method: Method, path: String, body: &T, key: Option<&'a str>) -> Self {
        // Our own bodies always serialise; the provider would refuse an empty one.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self { method, path, query: &[], body: Some(body), key, timeout: WRITE }
    }
}

/// Sends a call and reads the reply's body.
pub(super) async fn send(access: &Access, call: Call<'_>) -> Exchange<Bytes> {
    let started = Instant::now();
    let (result, request_id) = attempt(access, call).await;
    Exchange { result, request_id, duration: started.elapsed() }
}

async fn attempt(access: &Access, call: Call<'_>) -> (Result<Bytes, CallError>, Option<String>) {
    let mut url = access.base_url.clone();
    url.set_path(&format!("{}{}", access.base_url.path().trim_end_matches('/'), call.path));
    if !call.query.is_empty() {
        url.query_pairs_mut().extend_pairs(call.query);
    }
    let mut request = access
        .http
        .request(call.method, url)
        .bearer_auth(access.token.expose_secret())
        .header("accept", "application/json")
        .timeout(call.timeout);
    if let Some(key) = call.key {
        request = request.header("x-idempotency-key", key);
    }
    if let Some(body) = call.body {
        request = request.header("content-type", "application/json").body(body);
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return (Err(broken(&error)), None),
    };
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let request_id = header("x-request-id").map(|id| id.chars().take(128).collect());
    let retry_after =
        header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let status = response.status();
    let body = match Limited::new(reqwest::Body::from(response), REPLY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        // A refusal is one even when its explanation is cut off.
        Err(_) if !status.is_success() => Bytes::new(),
        Err(_) => return (Err(CallError::Unknown("the reply broke off".to_owned())), request_id),
    };
    if status.is_success() {
        (Ok(body), request_id)
    } else {
        (Err(errors::read(status.as_u16(), retry_after, &body)), request_id)
    }
}

/// What a call that was not answered means. The error's own text is not kept: it holds the address.
fn broken(error: &reqwest::Error) -> CallError {
    if error.is_connect() {
        CallError::NotReached("no connection".to_owned())
    } else if error.is_builder() {
        CallError::NotReached("the call could not be built".to_owned())
    } else if error.is_timeout() {
        CallError::Unknown("timed out".to_owned())
    } else {
        CallError::Unknown("the connection broke off".to_owned())
    }
}

/// Reads a reply. One that is not understood leaves the outcome unknown.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, CallError> {
    serde_json::from_slice(body)
        .map_err(|error| CallError::Unknown(format!("the reply was not understood (line {})", error.line())))
}
