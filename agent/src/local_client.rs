//! The command line's way to a running agent: one request over its socket.

use std::path::Path;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::HOST;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use trastienda_protocol::heartbeat::AgentStatus;

const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_MAX: usize = 64 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Asks a running agent how it is doing.
///
/// # Errors
/// Nobody listens, or no answer in three seconds.
pub(crate) async fn status(socket: &Path) -> Result<AgentStatus, Error> {
    tokio::time::timeout(PATIENCE, ask(socket)).await?
}

async fn ask(socket: &Path) -> Result<AgentStatus, Error> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/agent/status").header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?.to_bytes();
    drop(sender);
    connection.abort();
    if !status.is_success() {
        return Err(format!("HTTP {status}").into());
    }
    Ok(serde_json::from_slice(&body)?)
}
