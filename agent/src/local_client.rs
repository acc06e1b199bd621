//! The command line's way to a running agent: one request over its socket.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use axum::http::header::HOST;
use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use trastienda_protocol::heartbeat::AgentStatus;
use trastienda_protocol::problem::Problem;

use crate::recover::Report;

const PATIENCE: Duration = Duration::from_secs(3);
/// Reading a large damaged database takes its time.
const RECOVERY_PATIENCE: Duration = Duration::from_mins(30);
const ANSWER_MAX: usize = 1024 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Asks a running agent how it is doing.
///
/// # Errors
/// Nobody listens, or no answer in three seconds.
pub(crate) async fn status(socket: &Path) -> Result<AgentStatus, Error> {
    let stream = UnixStream::connect(socket).await?;
    tokio::time::timeout(PATIENCE, ask(stream, Method::GET, "/agent/status")).await?
}

/// Has a running agent recover what damaged databases hold. `None`: no agent runs there.
///
/// # Errors
/// An agent runs, and does not do it.
pub(crate) async fn recover(socket: &Path) -> Result<Option<Vec<Report>>, Error> {
    #[derive(serde::Deserialize)]
    struct Answer {
        data: Vec<Report>,
    }
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let asking = ask::<Answer>(stream, Method::POST, "/agent/recover");
    let answer = tokio::time::timeout(RECOVERY_PATIENCE, asking).await??;
    Ok(Some(answer.data))
}

async fn ask<T: DeserializeOwned>(stream: UnixStream, method: Method, path: &str) -> Result<T, Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?.to_bytes();
    drop(sender);
    connection.abort();
    if !status.is_success() {
        let problem: Option<Problem> = serde_json::from_slice(&body).ok();
        return Err(problem.map_or_else(|| format!("HTTP {status}"), |problem| problem.detail).into());
    }
    Ok(serde_json::from_slice(&body)?)
}
