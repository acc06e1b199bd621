//! Waiting on conditions, and free ports.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::bail;

/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until there is an answer, at most a minute. An error counts as no answer, and the last one is told.
pub async fn until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let last = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > deadline {
            bail!("waited in vain for this: {what} ({last})");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
