//! A shop's webhook route that is slow, or fails the first time, when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::TimeDelta;
use serde_json::Value;
use tokio::net::TcpListener;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::webhook::{Headers, Secret, verify};

/// What goes wrong with webhooks that are seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Nothing.
    Well,
    /// The answer comes late.
    Slow,
    /// It is a 500.
    Failing,
}

/// What came for one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival {
    /// Its `data`, of the first time.
    pub(crate) data: Value,
    /// How often it was answered with 200.
    pub(crate) taken: usize,
}

/// The receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Where it listens.
    pub(crate) url: String,
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    mood: Mood,
    secret: Option<Secret>,
    forged: usize,
    arrivals: BTreeMap<String, Arrival>,
}

impl Receiver {
    /// Starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let inner = Inner { mood: Mood::Well, secret: None, forged: 0, arrivals: BTreeMap::new() };
        let state = Arc::new(Mutex::new(inner));
        let router = Router::new().fallback(receive).with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhooks", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, state })
    }

    /// Tells it the endpoint's secret.
    pub(crate) fn trust(&self, secret: &str) -> anyhow::Result<()> {
        self.with(|inner| inner.secret = Secret::parse(secret).ok());
        anyhow::ensure!(self.with(|inner| inner.secret.is_some()), "the hub gave an odd secret");
        Ok(())
    }

    /// How it is from now on.
    pub(crate) fn set_mood(&self, mood: Mood) {
        self.with(|inner| inner.mood = mood);
    }

    /// What came for an event.
    pub(crate) fn arrival(&self, id: &str) -> Option<Arrival> {
        self.with(|inner| inner.arrivals.get(id).cloned())
    }

    /// How many of these were not yet answered with 200.
    pub(crate) fn missing(&self, ids: &BTreeSet<String>) -> usize {
        self.with(|inner| {
            ids.iter().filter(|id| inner.arrivals.get(*id).is_none_or(|one| one.taken == 0)).count()
        })
    }

    /// How often something came again after it had been answered with 200.
    pub(crate) fn repeated(&self) -> usize {
        self.with(|inner| inner.arrivals.values().map(|arrival| arrival.taken.saturating_sub(1)).sum())
    }

    /// How many were not signed as they must be.
    pub(crate) fn forged(&self) -> usize {
        self.with(|inner| inner.forged)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn receive(State(state): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let (status, slow) = take(&mut state.lock().unwrap_or_else(PoisonError::into_inner), &headers, &body);
    if slow {
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    status
}

fn take(inner: &mut Inner, headers: &HeaderMap, body: &Bytes) -> (StatusCode, bool) {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = Headers {
        id: get("webhook-id"),
        timestamp: get("webhook-timestamp"),
        signature: get("webhook-signature"),
    };
    let secrets: Vec<Secret> = inner.secret.iter().cloned().collect();
    let now = SystemClock.now();
    if verify(signed, body, &secrets, now, TimeDelta::minutes(5)).is_err() {
        inner.forged += 1;
        return (StatusCode::UNAUTHORIZED, false);
    }
    let id = get("webhook-id").unwrap_or_default().to_owned();
    let first = !inner.arrivals.contains_key(&id);
    let arrival = inner.arrivals.entry(id).or_default();
    if first {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        arrival.data = document["data"].clone();
        if inner.mood == Mood::Failing {
            return (StatusCode::INTERNAL_SERVER_ERROR, false);
        }
    }
    arrival.taken += 1;
    (StatusCode::OK, first && inner.mood == Mood::Slow)
}
