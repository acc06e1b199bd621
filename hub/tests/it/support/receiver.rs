//! A real receiver of webhooks: it records what comes and answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use trastienda_protocol::webhook::{Headers, Secret, VerifyError, verify};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as a shop would.
    pub(crate) fn verify(&self, secret: &str, now: DateTime<Utc>) -> Result<(), VerifyError> {
        let get = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let headers = Headers {
            id: get("webhook-id"),
            timestamp: get("webhook-timestamp"),
            signature: get("webhook-signature"),
        };
        verify(headers, &self.body, &[Secret::parse(secret).unwrap()], now, TimeDelta::minutes(5))
    }
}

/// A receiver on a port of its own.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<Inner>>,
    held: Arc<watch::Sender<bool>>,
}

struct Inner {
    answer: StatusCode,
    headers: Vec<(&'static str, &'static str)>,
    received: Vec<Received>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let inner = Inner { answer: StatusCode::OK, headers: Vec::new(), received: Vec::new() };
        let state = Arc::new(Mutex::new(inner));
        let held = Arc::new(watch::Sender::new(false));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self { address, state, held };
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What to answer from now on.
    pub(crate) fn answer(&self, status: u16, headers: &[(&'static str, &'static str)]) {
        let mut inner = self.state.lock().unwrap();
        inner.answer = StatusCode::from_u16(status).unwrap();
        inner.headers = headers.to_vec();
    }

    /// Whether it takes and leaves its callers waiting for an answer, from now on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, &'static str) {
    receiver.state.lock().unwrap().received.push(Received { headers, body });
    receiver.held.subscribe().wait_for(|is_held| !is_held).await.unwrap();
    let inner = receiver.state.lock().unwrap();
    let mut answer = HeaderMap::new();
    for (name, value) in &inner.headers {
        answer.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    (inner.answer, answer, "thanks")
}
