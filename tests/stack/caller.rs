//! A shop's calls to a hub that may be dead at the moment.

use std::time::{Duration, Instant};

use anyhow::bail;
use reqwest::StatusCode;
use serde_json::Value;

use crate::hub::client;
use crate::{Hub, Project};

/// How long a call is repeated.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between a call and its repetition.
const PAUSE: Duration = Duration::from_millis(50);

/// Knows a hub's address and a key, and outlives the hub.
#[derive(Debug, Clone)]
pub struct Caller {
    url: String,
    key: String,
}

impl Caller {
    /// A project's, to a hub.
    pub fn new(hub: &Hub, project: &Project) -> Self {
        Self { url: hub.url.clone(), key: project.key.clone() }
    }

    /// Posts until it is acknowledged; so the body should carry its id.
    pub async fn insist(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let call = client()?.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(body);
            let told = match call.timeout(Duration::from_secs(15)).send().await {
                Ok(answer) if answer.status() == StatusCode::ACCEPTED => return Ok(()),
                // What is wrong with the call itself stays wrong.
                Ok(answer) if answer.status().is_client_error() => {
                    bail!("{path} answered {}: {}", answer.status(), answer.text().await?)
                }
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            if started.elapsed() > PATIENCE {
                bail!("{path} was not acknowledged within {PATIENCE:?} ({told})");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
