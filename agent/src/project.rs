//! What the hub last said of the project itself: a shop that asks while the hub is away gets that, marked.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::AGE;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use trastienda_protocol::heartbeat::HubState;

use crate::agent::Core;
use crate::proxy;
use crate::server::Refusal;

/// Marks an answer that the hub would perhaps not give any more.
pub(crate) const STALE: &str = "trastienda-stale";

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Project(Mutex<Option<Known>>);

#[derive(Debug, Clone)]
struct Known {
    answer: Value,
    learnt_at: DateTime<Utc>,
}

impl Project {
    /// What an earlier run learnt.
    pub(crate) fn remembered(note: Option<Vec<u8>>) -> Self {
        let known = note.and_then(|bytes| {
            let note: Value = serde_json::from_slice(&bytes).ok()?;
            let learnt_at = DateTime::from_timestamp_millis(note["learnt_at"].as_i64()?)?;
            Some(Known { answer: note["answer"].clone(), learnt_at })
        });
        Self(Mutex::new(known))
    }

    fn known(&self) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Remembers what the hub said.
pub(crate) async fn learn(core: &Core, answer: Value) {
    let learnt_at = core.clock.now();
    let note = json!({"answer": answer, "learnt_at": learnt_at.timestamp_millis()});
    let known = Known { answer, learnt_at };
    *core.project.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    if let Err(error) = core.buffer.save_project_answer(note.to_string().into_bytes()).await {
        tracing::warn!(error = %error, "what the hub said of the project could not be saved");
    }
}

/// `GET /v1/project`
pub(crate) async fn show(State(core): State<Arc<Core>>, request: Request) -> Result<Response, Refusal> {
    let known = core.project.known();
    if core.hub_view.state() != HubState::Down || known.is_none() {
        let passed = proxy::pass(State(Arc::clone(&core)), request).await;
        let Some(known) = known else { return passed };
        return match passed {
            Ok(answer) if !answer.status().is_server_error() => Ok(answer),
            _ => Ok(stale(&core, known)),
        };
    }
    Ok(known.map_or_else(|| Json(Value::Null).into_response(), |known| stale(&core, known)))
}

fn stale(core: &Core, known: Known) -> Response {
    let age = (core.clock.now() - known.learnt_at).num_seconds().max(0);
    let mut response = ([(AGE, age.to_string())], Json(known.answer)).into_response();
    response.headers_mut().insert(STALE, HeaderValue::from_static("true"));
    response
}
