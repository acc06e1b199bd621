//! The two calls to the hub.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trastienda_protocol::pull::{Poll, Polled, PulledDelivery, Received, Results};

use crate::agent::Core;
use crate::hub::{HubError, success};

/// What an answer may take beyond the time that a poll waits.
const SPARE: Duration = Duration::from_secs(10);

/// Asks for deliveries; waits at the hub until there is one.
pub(super) async fn poll(core: &Core, poll: &Poll) -> Result<Vec<PulledDelivery>, HubError> {
    let timeout = Duration::from_secs(poll.wait.into()) + SPARE;
    let polled: Polled = call(core, "/v1/agent/poll", poll, timeout).await?;
    Ok(polled.deliveries)
}

/// Says what came of deliveries.
pub(super) async fn results(core: &Core, results: &Results) -> Result<Received, HubError> {
    call(core, "/v1/agent/results", results, SPARE).await
}

async fn call<T: DeserializeOwned>(
    core: &Core,
    path: &str,
    body: &impl Serialize,
    timeout: Duration,
) -> Result<T, HubError> {
    let body = serde_json::to_vec(body).map_err(|error| HubError::Malformed(error.to_string()))?;
    let hub = core.hub();
    let request = hub
        .request(Method::POST, hub.address(path, None))
        .header(CONTENT_TYPE, "application/json")
        .timeout(timeout)
        .body(body);
    let answer: Bytes = success(request.send().await?, core.clock.as_ref()).await?;
    serde_json::from_slice(&answer).map_err(|error| HubError::Malformed(error.to_string()))
}
