//! Webhooks that the agent pulls: posted as they are, reported until the hub answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::Url;

use crate::support::{StubHub, TestAgent, eventually};

/// A hub that has deliveries.
#[derive(Clone, Default)]
struct Hub {
    memory: Arc<Mutex<Memory>>,
    more: Arc<Notify>,
}

#[derive(Default)]
struct Memory {
    project: Option<&'static str>,
    waiting: VecDeque<Value>,
    polls: Vec<Value>,
    results: Vec<Value>,
    /// So many calls with results get no proper answer.
    refusals: usize,
    heartbeats: usize,
}

impl Hub {
    fn with<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.memory.lock().unwrap())
    }

    fn hand_out(&self, deliveries: impl IntoIterator<Item = Value>) {
        self.with(|memory| memory.waiting.extend(deliveries));
        self.more.notify_waiters();
    }

    async fn result(&self, lease: &str) -> Value {
        eventually(lease, || async {
            self.with(|memory| memory.results.iter().find(|result| result["lease"] == lease).cloned())
        })
        .await
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn start_hub(hub: &Hub) -> Url {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { Json(json!({"version": "1.0.0"})) }))
        .route("/v1/features", get(|| async { Json(json!({"features": {}})) }))
        .route("/v1/project", get(project))
        .route("/v1/agent/heartbeat", post(heartbeat))
        .route("/v1/agent/poll", post(poll))
        .route("/v1/agent/results", post(results))
        .with_state(hub.clone());
    Url::parse(&format!("http://{}", serve(router).await)).unwrap()
}

async fn project(State(hub): State<Hub>) -> Json<Value> {
    let id = hub.with(|memory| memory.project).unwrap_or("prj_0192f0c1d2e37a4b8c5d6e7f8091a2b3");
    Json(json!({"id": id}))
}

async fn heartbeat(State(hub): State<Hub>) -> StatusCode {
    hub.with(|memory| memory.heartbeats += 1);
    StatusCode::NO_CONTENT
}

async fn poll(State(hub): State<Hub>, Json(body): Json<Value>) -> Json<Value> {
    let max = usize::try_from(body["max"].as_u64().unwrap()).unwrap();
    hub.with(|memory| memory.polls.push(body));
    let more = hub.more.notified();
    if hub.with(|memory| memory.waiting.is_empty()) {
        let _ = tokio::time::timeout(Duration::from_secs(5), more).await;
    }
    let deliveries: Vec<Value> = hub.with(|memory| {
        let count = memory.waiting.len().min(max);
        memory.waiting.drain(..count).collect()
    });
    Json(json!({"deliveries": deliveries}))
}

async fn results(State(hub): State<Hub>, Json(body): Json<Value>) -> Response {
    hub.with(|memory| {
        if memory.refusals > 0 {
            memory.refusals -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let given = body["results"].as_array().unwrap().clone();
        let answers = vec!["taken"; given.len()];
        memory.results.extend(given);
        Json(json!({"results": answers})).into_response()
    })
}

fn delivery(lease: &str, path: &str) -> Value {
    json!({"id": "whd_0192f0c1d2e37a4b8c5d6e7f8091a2b3", "lease": lease, "lease_seconds": 30, "path": path,
        "headers": {"webhook-id": "evt_1", "webhook-signature": "v1,abc=", "webhook-timestamp": "7",
            "content-type": "application/json", "x-shop": "b"},
        "body": format!("{{\"lease\":\"{lease}\",  \"ñ\":1}}")})
}

/// An application that keeps what comes.
#[derive(Clone, Default)]
struct Application {
    received: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
    go_on: Arc<Notify>,
}

impl Application {
    fn received(&self) -> Vec<(String, HeaderMap, Bytes)> {
        self.received.lock().unwrap().clone()
    }

    async fn start(&self) -> Url {
        let router = Router::new().fallback(take).with_state(self.clone());
        Url::parse(&format!("http://{}", serve(router).await)).unwrap()
    }
}

async fn take(State(application): State<Application>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path().to_owned();
    application.received.lock().unwrap().push((parts.uri.to_string(), parts.headers, body));
    match path.as_str() {
        "/slow" => {
            application.go_on.notified().await;
            "done".into_response()
        }
        "/redirect" => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        "/busy" => {
            let headers = [("retry-after", "120"), ("x-request-id", "req-7"), ("x-other", "no")];
            (StatusCode::SERVICE_UNAVAILABLE, headers, "ñ".repeat(100_000)).into_response()
        }
        _ => (StatusCode::OK, "thanks").into_response(),
    }
}

async fn start(hub: &Hub, application: Option<&Url>) -> TestAgent {
    let url = start_hub(hub).await;
    let stub = StubHub::away().await;
    TestAgent::start_with(&stub, |config| {
        config.hub_url = url;
        config.app_url = application.cloned();
    })
    .await
}

#[tokio::test]
async fn a_delivery_is_posted_as_it_is_and_its_answer_reported() {
    let (hub, application) = (Hub::default(), Application::default());
    let mut url = application.start().await;
    url.set_path("/shop/");
    let agent = start(&hub, Some(&url)).await;
    hub.hand_out([delivery("1-a", "/webhooks/trastienda")]);
    let result = hub.result("1-a").await;
    assert_eq!((&result["response_code"], &result["response"]), (&json!(200), &json!("thanks")));
    let (uri, headers, body) = application.received().remove(0);
    assert_eq!(uri, "/shop/webhooks/trastienda");
    for (name, value) in [
        ("webhook-id", "evt_1"),
        ("webhook-signature", "v1,abc="),
        ("webhook-timestamp", "7"),
        ("x-shop", "b"),
    ] {
        assert_eq!(headers[name], value);
    }
    assert_eq!(body, delivery("1-a", "")["body"].as_str().unwrap());
    let poll = hub.with(|memory| memory.polls[0].clone());
    assert_eq!((&poll["status"]["hub"], poll["wait"].as_u64()), (&json!("up"), Some(25)));
    assert!(poll["max"].as_u64().unwrap() >= 1 && poll["agent_id"].is_string(), "{poll}");
    assert_eq!(agent.agent().metrics().pulled.get(), 1);
}

#[tokio::test]
async fn a_reply_is_read_to_its_limit_and_a_redirect_is_not_followed() {
    let (hub, application) = (Hub::default(), Application::default());
    let url = application.start().await;
    let _agent = start(&hub, Some(&url)).await;
    hub.hand_out([delivery("1-busy", "/busy"), delivery("1-moved", "/redirect")]);
    let busy = hub.result("1-busy").await;
    assert_eq!((&busy["response_code"], busy["response"].as_str().unwrap().len()), (&json!(503), 1_024));
    assert_eq!(busy["headers"], json!({"retry-after": "120", "x-request-id": "req-7"}));
    assert_eq!(hub.result("1-moved").await["response_code"], 302);
    assert_eq!(application.received().len(), 2);
}

#[tokio::test]
async fn a_hostile_hub_reaches_no_other_path_and_no_other_host() {
    let (hub, application) = (Hub::default(), Application::default());
    let url = application.start().await;
    let _agent = start(&hub, Some(&url)).await;
    let hostile = [
        "",
        "x",
        "//evil.example/x",
        "/../admin",
        "/%2e%2e/admin",
        "/a%2fb",
        "/\\evil.example",
        "/x?y",
        "/x#y",
        "@evil.example/",
        "http://evil.example/",
        "/x\r\nHost: evil.example",
        "/x\u{0}",
    ];
    let leases: Vec<String> = (0..hostile.len()).map(|number| format!("1-{number}")).collect();
    hub.hand_out(leases.iter().zip(hostile).map(|(lease, path)| delivery(lease, path)));
    let mut forged = delivery("1-host", "/x");
    forged["headers"]["host"] = "evil.example".into();
    let mut split = delivery("1-split", "/x");
    split["headers"]["x-shop"] = "b\r\nx-admin: 1".into();
    hub.hand_out([forged, split]);
    for lease in leases.iter().map(String::as_str).chain(["1-host", "1-split"]) {
        assert_eq!(hub.result(lease).await["error_class"], "refused_address", "{lease}");
    }
    assert_eq!(application.received().len(), 0);
}

#[tokio::test]
async fn results_are_reported_again_until_the_hub_answers() {
    let (hub, application) = (Hub::default(), Application::default());
    hub.with(|memory| memory.refusals = 3);
    let url = application.start().await;
    let _agent = start(&hub, Some(&url)).await;
    hub.hand_out([delivery("1-a", "/x")]);
    assert_eq!(hub.result("1-a").await["response_code"], 200);
    assert_eq!((hub.with(|memory| memory.refusals), application.received().len()), (0, 1));
}

#[tokio::test]
async fn an_application_that_is_not_there_is_reported_as_such() {
    let hub = Hub::default();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = Url::parse(&format!("http://{gone}")).unwrap();
    let _agent = start(&hub, Some(&url)).await;
    hub.hand_out([delivery("1-a", "/x")]);
    let result = hub.result("1-a").await;
    assert_eq!(result["error_class"], "connect", "{result}");
    assert!(result.get("response_code").is_none());
}

#[tokio::test]
async fn what_is_being_posted_when_the_agent_stops_ends_and_what_comes_then_is_given_back() {
    let (hub, application) = (Hub::default(), Application::default());
    let url = application.start().await;
    let mut agent = start(&hub, Some(&url)).await;
    hub.hand_out([delivery("1-slow", "/slow")]);
    let is_posted = || async {
        (application.received().len() == 1 && hub.with(|memory| memory.polls.len()) == 2).then_some(())
    };
    eventually("it is posted, and the next poll waits", is_posted).await;
    let (at_hub, at_application) = (hub.clone(), application.clone());
    let outside = tokio::spawn(async move {
        // One poll stays open while it stops.
        eventually("another poll", || async { at_hub.with(|it| it.polls.len() == 3).then_some(()) }).await;
        let late = eventually("what comes late is reported", || async {
            // The poll before may not have noticed yet that nobody waits for it.
            at_hub.hand_out([delivery("1-late", "/late")]);
            at_hub.with(|it| it.results.iter().find(|result| result["lease"] == "1-late").cloned())
        });
        assert_eq!(late.await["returned"], true);
        at_application.go_on.notify_one();
    });
    agent.stop().await;
    outside.await.unwrap();
    assert_eq!(hub.result("1-slow").await["response_code"], 200);
    assert_eq!(application.received().len(), 1);
}

#[tokio::test]
async fn what_has_not_ended_with_the_grace_time_is_given_back_at_once() {
    let (hub, application) = (Hub::default(), Application::default());
    let (url, hub_url) = (application.start().await, start_hub(&hub).await);
    let stub = StubHub::away().await;
    let mut agent = TestAgent::start_with(&stub, |config| {
        config.hub_url = hub_url;
        config.app_url = Some(url);
        config.pace.grace = Duration::from_millis(50);
    })
    .await;
    hub.hand_out([delivery("1-slow", "/slow"), delivery("1-done", "/x")]);
    assert_eq!(hub.result("1-done").await["response_code"], 200);
    eventually("both are posted", || async { (application.received().len() == 2).then_some(()) }).await;
    // The application never answers the other, and is not waited for: that would be 15 seconds.
    let stopping = tokio::time::Instant::now();
    agent.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
    let given_back = hub.with(|memory| memory.results.clone());
    let given_back: Vec<&Value> = given_back.iter().filter(|result| result["returned"] == true).collect();
    assert_eq!(given_back.len(), 1, "{given_back:?}");
    assert_eq!(given_back[0]["lease"], "1-slow");
}

#[tokio::test]
async fn without_an_application_nothing_is_pulled() {
    let silent = Hub::default();
    let _agent = start(&silent, None).await;
    eventually("a heartbeat", || async { silent.with(|it| it.heartbeats > 0).then_some(()) }).await;
    assert_eq!(silent.with(|memory| memory.polls.len()), 0);
}

#[tokio::test]
async fn nothing_is_pulled_for_another_project_than_the_buffers() {
    let (hub, application) = (Hub::default(), Application::default());
    let url = application.start().await;
    let mut agent = start(&hub, Some(&url)).await;
    eventually("a poll", || async { hub.with(|it| (!it.polls.is_empty()).then_some(())) }).await;
    agent.stop().await;
    hub.with(|memory| {
        memory.project = Some("prj_ffffffffffff7fff8fffffffffffffff");
        memory.polls.clear();
    });
    agent.start_again().await;
    agent.until("hub", "project_mismatch").await;
    assert_eq!(hub.with(|memory| memory.polls.len()), 0);
}
