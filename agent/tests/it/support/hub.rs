//! A stub of the hub: takes batches, remembers what it took, and can be told to misbehave.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt as _};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trastienda_protocol::api_key::ApiKey;
use trastienda_protocol::batch::Operation;
use trastienda_protocol::problem::Problem;
use url::Url;

/// An operation that the stub took.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) operation: Operation,
    /// Its body, byte by byte.
    pub(crate) text: String,
    /// How often it came.
    pub(crate) times: usize,
}

/// What the stub answers to an operation: a status and a body.
type Judge = Box<dyn Fn(&Operation) -> (u16, Value) + Send>;
/// What the stub answers to a batch before it looks into it.
type Porter = Box<dyn FnMut(usize) -> Option<Response> + Send>;

#[derive(Default)]
struct Memory {
    taken: HashMap<String, Taken>,
    order: Vec<String>,
    heartbeats: Vec<Value>,
    passed: Vec<(String, HeaderMap, Bytes)>,
    judge: Option<Judge>,
    porter: Option<Porter>,
    project: String,
    version: String,
    flags: BTreeMap<String, bool>,
    feature_questions: usize,
    batch_times: Vec<Instant>,
    key: Option<ApiKey>,
    inactive: bool,
    /// What it says that the time is, if not the truth.
    date: Option<String>,
    /// Lets the second half of `/v1/halves` go.
    second_half: Arc<Notify>,
}

type Shared = Arc<Mutex<Memory>>;

pub(crate) struct StubHub {
    address: SocketAddr,
    memory: Shared,
    key: ApiKey,
    running: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
}

impl StubHub {
    /// A stub that has an address and a project, and does not listen yet.
    pub(crate) async fn away() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let key = super::key();
        let memory = Memory {
            project: "prj_0192f0c1d2e37a4b8c5d6e7f8091a2b3".to_owned(),
            version: "1.0.0".to_owned(),
            key: Some(key.clone()),
            ..Memory::default()
        };
        Self { address, memory: Arc::new(Mutex::new(memory)), key, running: None }
    }

    pub(crate) async fn start() -> Self {
        let mut hub = Self::away().await;
        hub.come().await;
        hub
    }

    /// Starts to listen.
    pub(crate) async fn come(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let router = router(Arc::clone(&self.memory));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = stopped.cancelled() => break,
                };
                let service = TowerToHyperService::new(router.clone());
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            drop(listener);
            connections.shutdown().await;
        });
        self.running = Some((stop, task));
    }

    /// What it serves, for whoever serves it otherwise.
    pub(crate) fn router(&self) -> Router {
        router(Arc::clone(&self.memory))
    }

    /// Stops listening and cuts every connection.
    pub(crate) async fn go(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap();
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn key(&self) -> ApiKey {
        self.key.clone()
    }

    /// The stub knows another key from now on.
    pub(crate) fn rotate(&self, key: Option<ApiKey>) {
        self.with(|memory| memory.key = key);
    }

    /// The project may not call any more.
    pub(crate) fn deactivate(&self) {
        self.with(|memory| memory.inactive = true);
    }

    /// The stub's clock shows this from now on.
    pub(crate) fn set_date(&self, date: DateTime<Utc>) {
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        self.with(|memory| memory.date = Some(date));
    }

    pub(crate) fn set_project(&self, project: &str) {
        self.with(|memory| project.clone_into(&mut memory.project));
    }

    pub(crate) fn set_flag(&self, flag: &str, enabled: bool) {
        self.with(|memory| memory.flags.insert(flag.to_owned(), enabled));
    }

    /// How often the flags were asked for.
    pub(crate) fn feature_questions(&self) -> usize {
        self.with(|memory| memory.feature_questions)
    }

    /// When batches came.
    pub(crate) fn batch_times(&self) -> Vec<Instant> {
        self.with(|memory| memory.batch_times.clone())
    }

    /// The stub says that it has another version from now on.
    pub(crate) fn upgrade(&self, version: &str) {
        self.with(|memory| version.clone_into(&mut memory.version));
    }

    pub(crate) fn release_second_half(&self) {
        self.with(|memory| memory.second_half.notify_one());
    }

    pub(crate) fn judge(&self, judge: impl Fn(&Operation) -> (u16, Value) + Send + 'static) {
        self.with(|memory| memory.judge = Some(Box::new(judge)));
    }

    pub(crate) fn porter(&self, porter: impl FnMut(usize) -> Option<Response> + Send + 'static) {
        self.with(|memory| memory.porter = Some(Box::new(porter)));
    }

    pub(crate) fn taken(&self) -> HashMap<String, Taken> {
        self.with(|memory| memory.taken.clone())
    }

    /// Ids in the order in which they were first taken.
    pub(crate) fn order(&self) -> Vec<String> {
        self.with(|memory| memory.order.clone())
    }

    pub(crate) fn heartbeats(&self) -> Vec<Value> {
        self.with(|memory| memory.heartbeats.clone())
    }

    pub(crate) fn passed(&self) -> Vec<(String, HeaderMap, Bytes)> {
        self.with(|memory| memory.passed.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.memory.lock().unwrap())
    }
}

/// A problem document as the hub writes it.
pub(crate) fn problem(status: u16, code: &str) -> Response {
    let body = serde_json::to_vec(&Problem::new(status, code, code, code)).unwrap();
    let headers = [("content-type", "application/problem+json")];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}

fn router(memory: Shared) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/v1/project", get(project))
        .route("/v1/features", get(features))
        .route("/v1/halves", get(halves))
        .route("/v1/batch", post(batch))
        .route("/v1/agent/heartbeat", post(heartbeat))
        .route("/v1/slow", any(|| async { std::future::pending::<()>().await }))
        .fallback(pass)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(memory)
}

fn refuse(memory: &Memory, headers: &HeaderMap) -> Option<Response> {
    let expected = memory.key.as_ref().map(|key| format!("Bearer {}", key.expose()));
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if expected.is_none() || given != expected.as_deref() {
        return Some(problem(401, "unauthorized"));
    }
    memory.inactive.then(|| problem(403, "project_inactive"))
}

async fn healthz(State(memory): State<Shared>) -> Response {
    let date = memory.lock().unwrap().date.clone();
    let mut answer = "ok".into_response();
    if let Some(date) = date {
        answer.headers_mut().insert("date", date.parse().unwrap());
    }
    answer
}

async fn project(State(memory): State<Shared>, headers: HeaderMap) -> Response {
    let memory = memory.lock().unwrap();
    refuse(&memory, &headers)
        .unwrap_or_else(|| Json(json!({"id": memory.project, "name": "Shop"})).into_response())
}

async fn readyz(State(memory): State<Shared>) -> Response {
    // A hub that lacks something still says its version.
    let body = json!({"ready": false, "version": memory.lock().unwrap().version});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn features(State(memory): State<Shared>, headers: HeaderMap) -> Response {
    let mut memory = memory.lock().unwrap();
    memory.feature_questions += 1;
    refuse(&memory, &headers).unwrap_or_else(|| Json(json!({"features": memory.flags})).into_response())
}

/// An answer whose second half comes when the test says so.
async fn halves(State(memory): State<Shared>) -> Response {
    let second = Arc::clone(&memory.lock().unwrap().second_half);
    let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"first ")) });
    let second = stream::once(async move {
        second.notified().await;
        Ok(Bytes::from_static(b"second"))
    });
    Response::new(axum::body::Body::from_stream(first.chain(second)))
}

async fn heartbeat(State(memory): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut memory = memory.lock().unwrap();
    refuse(&memory, &headers).unwrap_or_else(|| {
        memory.heartbeats.push(body);
        StatusCode::NO_CONTENT.into_response()
    })
}

async fn batch(State(memory): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut memory = memory.lock().unwrap();
    if let Some(refusal) = refuse(&memory, &headers) {
        return refusal;
    }
    memory.batch_times.push(Instant::now());
    assert_eq!(headers["content-encoding"], "zstd");
    let written = zstd::decode_all(body.as_ref()).unwrap();
    let operations = read_batch(&written);
    if let Some(porter) = memory.porter.as_mut()
        && let Some(answer) = porter(operations.len())
    {
        return answer;
    }
    let results: Vec<Value> = operations
        .into_iter()
        .map(|(operation, text)| {
            let verdict = memory.judge.as_ref().map(|judge| judge(&operation));
            let (status, body) = verdict.unwrap_or((202, json!({"id": operation.id})));
            if status < 300 {
                if !memory.taken.contains_key(&operation.id) {
                    memory.order.push(operation.id.clone());
                }
                let taken =
                    memory.taken.entry(operation.id.clone()).or_insert(Taken { operation, text, times: 0 });
                taken.times += 1;
            }
            json!({"status": status, "body": body})
        })
        .collect();
    Json(json!({"results": results})).into_response()
}

/// Each operation, and its body byte by byte.
fn read_batch(written: &[u8]) -> Vec<(Operation, String)> {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        operations: Vec<&'a RawValue>,
    }
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        body: &'a RawValue,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(written).unwrap();
    let read = |raw: &RawValue| {
        let operation = Operation::parse(&serde_json::from_str(raw.get()).unwrap()).unwrap();
        let body: Body<'_> = serde_json::from_str(raw.get()).unwrap();
        (operation, body.body.get().to_owned())
    };
    envelope.operations.into_iter().map(read).collect()
}

async fn pass(State(memory): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut memory = memory.lock().unwrap();
    if let Some(refusal) = refuse(&memory, &parts.headers) {
        return refusal;
    }
    let line = format!("{} {}", parts.method, parts.uri);
    memory.passed.push((line.clone(), parts.headers, body.clone()));
    let headers =
        [("content-type", "application/json"), ("x-from", "hub"), ("ratelimit", "\"default\";r=1;t=2")];
    (StatusCode::CREATED, headers, json!({"line": line, "bytes": body.len()}).to_string()).into_response()
}
