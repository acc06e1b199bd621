//! A receiver of webhooks that keeps count, slow or failing when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

/// What came under one `webhook-id`.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// When, each time.
    pub at: Vec<Instant>,
    /// How often it was answered with 200.
    pub taken: usize,
}

/// The receiver.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Where it listens.
    pub url: String,
    state: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    delay: Duration,
    /// Of so many new ones, the first is answered with 500; 0: none.
    fail_one_in: usize,
    in_flight: usize,
    most_in_flight: usize,
    arrivals: BTreeMap<String, Arrival>,
}

impl Sink {
    /// Starts one that answers after a while.
    pub async fn start(delay: Duration) -> anyhow::Result<Self> {
        let inner =
            Inner { delay, fail_one_in: 0, in_flight: 0, most_in_flight: 0, arrivals: BTreeMap::new() };
        let state = Arc::new(Mutex::new(inner));
        let router = Router::new().fallback(receive).with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhooks", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, state })
    }

    /// Where it listens, without a path.
    pub fn origin(&self) -> String {
        self.url.trim_end_matches("/webhooks").to_owned()
    }

    /// From now on, one of so many is answered with 500 the first time that it comes.
    pub fn fail_one_in(&self, several: usize) {
        self.with(|inner| inner.fail_one_in = several);
    }

    /// How long an answer takes from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.with(|inner| inner.delay = delay);
    }

    /// What came, by `webhook-id`.
    pub fn arrivals(&self) -> BTreeMap<String, Arrival> {
        self.with(|inner| inner.arrivals.clone())
    }

    /// How many different ones were answered with 200.
    pub fn taken(&self) -> usize {
        self.with(|inner| inner.arrivals.values().filter(|arrival| arrival.taken > 0).count())
    }

    /// How many are being answered.
    pub fn in_flight(&self) -> usize {
        self.with(|inner| inner.in_flight)
    }

    /// How many were being answered at once, at most.
    pub fn most_in_flight(&self) -> usize {
        self.with(|inner| inner.most_in_flight)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts down also when the caller hangs up and the answer is never finished.
struct InFlight(Arc<Mutex<Inner>>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_flight -= 1;
    }
}

async fn receive(State(state): State<Arc<Mutex<Inner>>>, headers: HeaderMap) -> StatusCode {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let (_in_flight, delay, fails) = {
        let mut inner = state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = inner.arrivals.len();
        let arrival = inner.arrivals.entry(id.clone()).or_default();
        arrival.at.push(Instant::now());
        let is_first = arrival.at.len() == 1;
        inner.in_flight += 1;
        inner.most_in_flight = inner.most_in_flight.max(inner.in_flight);
        let fails = is_first && inner.fail_one_in > 0 && number.is_multiple_of(inner.fail_one_in);
        (InFlight(state.clone()), inner.delay, fails)
    };
    tokio::time::sleep(delay).await;
    if fails {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let mut inner = state.lock().unwrap_or_else(PoisonError::into_inner);
    inner.arrivals.entry(id).or_default().taken += 1;
    StatusCode::OK
}
