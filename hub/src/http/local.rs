//! Asking the API from within the process: what the dashboard and the command line show and do is the API's, with its checks
//! and its words, and not a second way to the same rows.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use trastienda_protocol::problem::Problem;

use super::auth::{Caller, KeyId};
use super::{Error, Result};
use crate::projects::model::ProjectContext;

/// The shops' routes without their door: whoever calls has been let in elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct LocalApi(Router);

/// A call for a shop.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<Value>,
    pub(crate) idempotency_key: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { path, ..Self::default() }
    }

    pub(crate) fn post(path: &'a str, body: Value) -> Self {
        Self { method: Method::POST, path, body: Some(body), idempotency_key: None }
    }
}

impl LocalApi {
    pub(crate) fn new(routes: Router) -> Self {
        Self(routes)
    }

    /// Calls as a shop; `who` is noted where the API notes which key did something.
    pub(crate) async fn call(&self, shop: &Arc<ProjectContext>, who: &str, call: Call<'_>) -> Result<Value> {
        let mut request = Request::builder().method(call.method).uri(call.path);
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = call.body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header("prefer", "wait=10")
            .body(body)
            .map_err(anyhow::Error::from)?;
        request.extensions_mut().insert(Caller(shop.clone()));
        request.extensions_mut().insert(KeyId(who.to_owned()));
        let response = match self.0.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (mut parts, body) = response.into_parts();
        if let Some(problem) = parts.extensions.remove::<Problem>() {
            return Err(problem.into());
        }
        let bytes = body.collect().await.map_err(anyhow::Error::from)?.to_bytes();
        if !parts.status.is_success() {
            // A path that the framework itself refused: what was asked for cannot be.
            return Err(Error::NotFound("page"));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&bytes).map_err(anyhow::Error::from)?)
    }
}
