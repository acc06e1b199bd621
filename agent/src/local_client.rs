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
use trastienda_protocol::problem::Problem;

use crate::recover::Report;
use crate::status::OwnStatus;

const PATIENCE: Duration = Duration::from_secs(3);
/// Reading a large damaged database takes its time.
const RECOVERY_PATIENCE: Duration = Duration::from_mins(30);
const ANSWER_MAX: usize = 1024 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Asks a running agent how it is doing.
///
/// # Errors
/// Nobody listens, or no answer in three seconds.
pub(crate) async fn status(socket: &Path) -> Result<OwnStatus, Error> {
    let stream = UnixStream::connect(socket).await?;
    tokio::time::timeout(PATIENCE, ask(stream, Method::GET, "/agent/overview")).await?
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
    let Some(stream) = connect(socket).await? else { return Ok(None) };
    let asking = ask::<Answer>(stream, Method::POST, "/agent/recover");
    let answer = tokio::time::timeout(RECOVERY_PATIENCE, asking).await??;
    Ok(Some(answer.data))
}

/// Has a running agent send a dead letter again. `None`: no agent runs there.
///
/// # Errors
/// An agent runs, and does not do it.
pub(crate) async fn retry(socket: &Path, id: &str) -> Result<Option<()>, Error> {
    change(socket, Method::POST, &format!("/agent/dead-letters/{id}/retry")).await
}

/// Has a running agent give a dead letter up. `None`: no agent runs there.
///
/// # Errors
/// An agent runs, and does not do it.
pub(crate) async fn discard(socket: &Path, id: &str) -> Result<Option<()>, Error> {
    change(socket, Method::DELETE, &format!("/agent/dead-letters/{id}")).await
}

async fn change(socket: &Path, method: Method, path: &str) -> Result<Option<()>, Error> {
    let Some(stream) = connect(socket).await? else { return Ok(None) };
    let _: serde::de::IgnoredAny = tokio::time::timeout(PATIENCE, ask(stream, method, path)).await??;
    Ok(Some(()))
}

/// `None`: nobody listens there.
async fn connect(socket: &Path) -> Result<Option<UnixStream>, Error> {
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
    // Some answers have nothing to say.
    Ok(serde_json::from_slice(if body.is_empty() { b"null" } else { &body })?)
}
