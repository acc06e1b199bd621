//! A hub in the test's own process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chrono::{DateTime, Utc};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt as _;
use trastienda_hub::app::{App, Parts};
use trastienda_hub::config::Config;
use trastienda_hub::outbound::Manner;
use trastienda_hub::queue::wake::Wakes;
use trastienda_hub::seal::Sealer;
use trastienda_hub::shutdown::Shutdown;
use trastienda_hub::{db, events, router, serve, telemetry};
use trastienda_protocol::clock::{Clock as _, ManualClock, SystemClock};
use trastienda_protocol::ids::RandomIds;

pub(crate) const ADMIN_TOKEN: &str = "test-admin-token-of-at-least-32-characters";

/// A running hub, its clock and its router.
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) clock: ManualClock,
    router: Router,
}

/// What the hub answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The pointers of the refused fields.
    pub(crate) fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
    }

    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {self:?}")).to_owned()
    }
}

impl TestApp {
    /// A hub on the test's database, with its queues running.
    pub(crate) async fn new(pool: PgPool) -> Self {
        Self::with(pool, |_| {}).await
    }

    /// A second hub on the same database, with the same master key.
    pub(crate) async fn sharing(other: &Self) -> Self {
        Self::build(other.app.db.clone(), other.app.sealer.clone(), true, |_| {}).await
    }

    /// A hub on the same database that takes calls and tells the others, and runs no job itself.
    pub(crate) async fn front_of(other: &Self) -> Self {
        Self::build(other.app.db.clone(), other.app.sealer.clone(), false, |_| {}).await
    }

    /// A hub that runs no job: the test does.
    pub(crate) async fn idle(pool: PgPool) -> Self {
        Self::build(pool, sealer(), false, |_| {}).await
    }

    /// A hub that runs no job and has another master key.
    pub(crate) async fn restarted_with_key(pool: PgPool, master_key: &str) -> Self {
        Self::build(pool, Sealer::new(&SecretString::from(master_key)).unwrap(), false, |_| {}).await
    }

    /// A second hub on the same database, with other settings.
    pub(crate) async fn sharing_with(other: &Self, change: impl FnOnce(&mut Config)) -> Self {
        Self::build(other.app.db.clone(), other.app.sealer.clone(), true, change).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(pool: PgPool, change: impl FnOnce(&mut Config)) -> Self {
        Self::build(pool, sealer(), true, change).await
    }

    async fn build(pool: PgPool, sealer: Sealer, runs_jobs: bool, change: impl FnOnce(&mut Config)) -> Self {
        serve::install_tls();
        // It starts at the real time: webhook signatures are checked against it by receivers.
        let clock = ManualClock::new(SystemClock.now());
        db::migrate(&pool, clock.now()).await.unwrap();
        let mut config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 1)),
            limits: trastienda_hub::server::Limits::default(),
            tls: None,
            metrics_listen: None,
            redis_url: None,
            public_url: "http://hub.test".parse().unwrap(),
            admin_token: Some(SecretString::from(ADMIN_TOKEN)),
            outbound_allow: "127.0.0.0/8".parse().unwrap(),
            outbound_manner: Manner::default(),
            pull_manner: trastienda_hub::webhooks::pull::Manner::default(),
            smtp_url: None,
            mail_from: "Tienda <tienda@example.com>".parse().unwrap(),
            operator_email: None,
            alerts: trastienda_hub::alerts::Configured {
                webhook: None,
                rules: trastienda_hub::alerts::Rules::default(),
                data_dir: None,
                is_watching: false,
            },
            mercadopago_url: "http://127.0.0.1:1".parse().unwrap(),
        };
        change(&mut config);
        let parts = Parts {
            db: pool,
            config,
            sealer,
            clock: Arc::new(clock.clone()),
            ids: Arc::new(RandomIds),
            shutdown: Shutdown::default(),
            metrics: telemetry::start_metrics().unwrap(),
        };
        let (app, inboxes) = App::build(parts).await.unwrap();
        if runs_jobs {
            serve::start_tasks(&app, inboxes);
        } else {
            tokio::spawn(Wakes::tell_others(app.clone(), inboxes.wakes));
            events::gather::run(&app, inboxes.lanes);
        }
        let (router, _) = router::build(&app);
        let router = router.layer(Extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9)))));
        let test = Self { app, clock, router };
        if runs_jobs {
            test.until("the hub is a member", async || test.app.member.number()).await;
        }
        test
    }

    /// The router, for tests that serve it on a port.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Sends a request; `headers` as pairs.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.send("GET", path, &[("x-api-key", key)], Body::empty()).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[("x-api-key", key)], body.to_string()).await
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        let token = format!("Bearer {ADMIN_TOKEN}");
        self.send(method, path, &[("authorization", &token)], body.to_string()).await
    }

    /// A project made through the API: its id and key.
    pub(crate) async fn project(&self) -> (String, String) {
        self.project_on("free").await
    }

    pub(crate) async fn project_on(&self, plan: &str) -> (String, String) {
        let body = json!({"name": "Mates", "domain": "mates.example.com", "plan": plan});
        let answer = self.admin("POST", "/admin/v1/projects", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&answer.body["project"]["id"]), text(&answer.body["api_key"]))
    }

    /// Asks until there is an answer, at most ten seconds.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        self.until_within(Duration::from_secs(10), what, ask).await
    }

    /// The same for what takes longer.
    pub(crate) async fn until_within<T>(
        &self,
        patience: Duration,
        what: &str,
        ask: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        self.until_saying(patience, || what.to_owned(), ask).await
    }

    /// The same; what was seen last is said when it is in vain.
    pub(crate) async fn until_saying<T>(
        &self,
        patience: Duration,
        what: impl Fn() -> String,
        mut ask: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(Instant::now() < deadline, "waited in vain: {}", what());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The only delivery, once it has this status.
    pub(crate) async fn delivery(&self, key: &str, status: &str) -> Value {
        let what = format!("a delivery becomes {status}");
        self.until(&what, async || {
            let answer = self.get(key, &format!("/v1/webhook-deliveries?status={status}")).await;
            answer.body["data"].get(0).cloned()
        })
        .await
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// Several hubs of one test share the database and so the key that sealed its secrets.
fn sealer() -> Sealer {
    Sealer::new(&SecretString::from("dGVzdC1tYXN0ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc=")).unwrap()
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.app.shutdown.token.cancel();
    }
}
