//! An agent in this process, with its own directory, a clock that is moved by hand and short pauses.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use trastienda_agent::agent::Agent;
use trastienda_agent::buffer::{Durability, Limits};
use trastienda_agent::config::{Config, Pace, SocketRights};
use trastienda_protocol::api_key::{ApiKey, Mode};
use trastienda_protocol::clock::{Clock as _, ManualClock, SystemClock};
use trastienda_protocol::ids::RandomIds;

use super::{Client, StubHub, eventually};

pub(crate) fn key() -> ApiKey {
    ApiKey::generate(Mode::Test).unwrap()
}

/// Pauses so short that a test does not notice them.
pub(crate) fn pace() -> Pace {
    Pace {
        backoff_first: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
        retry_first: Duration::from_millis(1),
        retry_max: Duration::from_millis(1),
        heartbeat: Duration::from_millis(20),
        grace: Duration::from_secs(5),
    }
}

pub(crate) struct TestAgent {
    pub(crate) config: Config,
    pub(crate) clock: ManualClock,
    _directory: TempDir,
    agent: Option<Agent>,
}

impl TestAgent {
    /// An agent of the stub's project.
    pub(crate) async fn start(hub: &StubHub) -> Self {
        Self::start_with(hub, |_| {}).await
    }

    pub(crate) async fn start_with(hub: &StubHub, change: impl FnOnce(&mut Config)) -> Self {
        let mut agent = Self::prepare(hub, change);
        agent.start_again().await;
        agent
    }

    /// Not yet started.
    pub(crate) fn prepare(hub: &StubHub, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config {
            hub_url: hub.url(),
            api_key: hub.key(),
            socket: directory.path().join("run/agent.sock"),
            listen: None,
            app_url: None,
            data_dir: directory.path().join("data"),
            durability: Durability::Disk,
            limits: Limits { max_bytes: 64 * 1024 * 1024, max_rows: 100_000, min_free: Some(0) },
            hub_ca: None,
            socket_rights: SocketRights::default(),
            activated: None,
            max_age: None,
            pace: pace(),
        };
        change(&mut config);
        let clock = ManualClock::new(SystemClock.now());
        Self { config, clock, _directory: directory, agent: None }
    }

    pub(crate) async fn start_again(&mut self) {
        let clock = Arc::new(self.clock.clone());
        self.agent = Some(Agent::start(&self.config, clock, Arc::new(RandomIds)).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.agent.take().unwrap().stop().await;
    }

    pub(crate) fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::socket(&self.config.socket).await
    }

    pub(crate) async fn status(&self) -> Value {
        let answer = self.client().await.get("/agent/status").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Polls the status until a field has a value.
    pub(crate) async fn until(&self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        let what = format!("status {field} = {value}");
        eventually(&what, || async { (self.status().await[field] == value).then_some(()) }).await;
    }
}
