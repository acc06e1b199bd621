//! How the shop and its customers call: patiently, under the same key and id, until there is an answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use e2e::{Hub, Project, Simulator, client};
use reqwest::Method;
use serde_json::{Value, json};

/// How long one call is repeated. The hub is away for a second or two at a time.
const PATIENCE: Duration = Duration::from_mins(5);

/// Whom to call, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Till {
    hub: String,
    key: String,
    provider: String,
    token: String,
}

impl Till {
    /// Of a project.
    pub(crate) fn new(hub: &Hub, project: &Project, simulator: &Simulator) -> Self {
        Self {
            hub: hub.url.clone(),
            key: project.key.clone(),
            provider: simulator.url.clone(),
            token: simulator.access_token.clone(),
        }
    }

    /// One call of the hub. `None`: it did not answer, or asked to come back.
    async fn attempt(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let mut request =
            client().ok()?.request(method, format!("{}{path}", self.hub)).bearer_auth(&self.key);
        request = request
            .header("idempotency-key", key)
            .header("prefer", "wait=1")
            .timeout(Duration::from_secs(20));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.json().await.unwrap_or(Value::Null);
        (status < 500 && status != 429 && body["code"] != "payment_in_progress").then_some((status, body))
    }

    /// A call of the hub, repeated until it is answered.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(answer) = self.attempt(method.clone(), path, key, body).await {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        bail!("{method} {path} was never answered")
    }

    /// A payment as the hub has it.
    pub(crate) async fn payment(&self, id: &str) -> anyhow::Result<Value> {
        let (status, body) = self.call(Method::GET, &format!("/v1/payments/{id}"), "read", None).await?;
        anyhow::ensure!(status == 200, "{id} was answered with {status}: {body}");
        Ok(body)
    }

    /// The payment once it is so, if that is within a few seconds.
    pub(crate) async fn wait(
        &self,
        id: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Option<Value>> {
        let deadline = Instant::now() + Duration::from_secs(8);
        loop {
            let payment = self.payment(id).await?;
            if is_so(&payment) {
                return Ok(Some(payment));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Has the hub ask the provider, if it can.
    pub(crate) async fn sync(&self, id: &str) {
        let _ =
            self.attempt(Method::POST, &format!("/v1/payments/{id}/sync"), "sync", Some(&json!({}))).await;
    }

    /// The events of a type about an order that are no duplicates.
    pub(crate) async fn count_events(&self, event_type: &str, order: &str) -> anyhow::Result<usize> {
        let path = format!("/v1/events?type={event_type}&order_id={order}");
        let (_, listed) = self.call(Method::GET, &path, "read", None).await?;
        let events = listed["data"].as_array().context("no list of events")?;
        Ok(events.iter().filter(|event| event["duplicate_of"].is_null()).count())
    }

    /// What a buyer, a bank or the operator of the provider's panel does. What the state does not allow is not done.
    pub(crate) async fn provider(&self, path: &str, body: Value) -> anyhow::Result<bool> {
        let answer = client()?.post(format!("{}/control/{path}", self.provider)).json(&body).send().await?;
        Ok(answer.status().is_success())
    }

    /// What the provider has.
    pub(crate) async fn provider_has(&self, path: &str) -> anyhow::Result<Value> {
        let call = client()?.get(format!("{}{path}", self.provider)).bearer_auth(&self.token);
        Ok(call.send().await?.error_for_status()?.json().await?)
    }

    /// A card of somebody whose name says what becomes of it.
    pub(crate) async fn card(&self, holder: &str) -> anyhow::Result<String> {
        let body = json!({"card_number": "4509953566233704", "expiration_month": 11, "expiration_year": 2030,
            "security_code": "123", "cardholder": {"name": holder}});
        let call =
            client()?.post(format!("{}/v1/card_tokens", self.provider)).bearer_auth(&self.token).json(&body);
        let made: Value = call.send().await?.error_for_status()?.json().await?;
        made["id"].as_str().map(str::to_owned).context("no token")
    }
}
