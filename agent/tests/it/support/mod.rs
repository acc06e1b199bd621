//! What the tests stand on: an agent, a stub of the hub, a client for the socket.

mod agent;
mod client;
mod hub;

use std::time::{Duration, Instant};

pub(crate) use agent::{TestAgent, key};
pub(crate) use client::Client;
pub(crate) use hub::{StubHub, problem};

/// Polls until the condition gives something; panics when it has not after ten seconds.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
