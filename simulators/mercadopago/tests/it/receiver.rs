//! A seller's webhook address that writes down what arrives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::Value;

use crate::world::eventually;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) query: HashMap<String, String>,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Inbox {
    received: Mutex<Vec<Received>>,
    /// What the next requests are answered with, before it is 200 again.
    answers: Mutex<Vec<u16>>,
}

pub(crate) struct Receiver {
    addr: SocketAddr,
    inbox: Arc<Inbox>,
}

impl Receiver {
    pub(crate) async fn new() -> Self {
        Self::answering(&[]).await
    }

    pub(crate) async fn answering(statuses: &[u16]) -> Self {
        let inbox = Arc::new(Inbox {
            answers: Mutex::new(statuses.iter().rev().copied().collect()),
            ..Inbox::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = Router::new().fallback(take).with_state(Arc::clone(&inbox));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { addr, inbox }
    }

    /// The address for signed notices only.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?source_news=webhooks", self.addr)
    }

    /// The address that hears everything.
    pub(crate) fn url_for_all(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.inbox.received.lock().unwrap().clone()
    }

    /// Waits until that many have arrived.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} notices"), async || {
            Some(self.received()).filter(|all| all.len() >= count)
        })
        .await
    }
}

impl Received {
    /// The two parts of `x-signature`.
    pub(crate) fn signature(&self) -> (String, String) {
        let parts: HashMap<&str, &str> =
            self.headers["x-signature"].split(',').filter_map(|part| part.split_once('=')).collect();
        (parts["ts"].to_owned(), parts["v1"].to_owned())
    }

    /// Whether the holder of that secret signed it.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let (ts, v1) = self.signature();
        let manifest =
            format!("id:{};request-id:{};ts:{ts};", self.query["data.id"], self.headers["x-request-id"]);
        trastienda_mercadopago_sim::sign(secret, &manifest) == v1
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let query = parts.uri.query().unwrap_or_default();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let received = Received {
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers,
        body: serde_json::from_slice(&body).unwrap(),
    };
    inbox.received.lock().unwrap().push(received);
    let status = inbox.answers.lock().unwrap().pop().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}
