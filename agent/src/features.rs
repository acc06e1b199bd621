//! The project's feature flags, remembered: a page of a shop asks for them on every request, and must
//! get an answer when the hub is slow or away.
//!
//! What was learnt a moment ago answers by itself. Older than that, the hub is asked and has a
//! fraction of a second; when it does not answer in time, what was known before answers, also after a
//! restart. An agent that never learnt anything passes the question through. How old an answer is is
//! said by its `Age`; one that the hub did not confirm in time carries `Trastienda-Stale: true`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::HeaderValue;
use axum::http::header::AGE;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::agent::Core;
use crate::project::STALE;
use crate::proxy;
use crate::server::Refusal;

/// So long, what was learnt answers without asking the hub.
const FRESH: TimeDelta = TimeDelta::seconds(3);
/// So long, the hub may take while something older is known.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Features {
    known: Mutex<Option<Known>>,
    /// Held by the one question that is on its way to the hub.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    flags: BTreeMap<String, bool>,
    learnt_at: DateTime<Utc>,
}

impl Features {
    /// What an earlier run learnt.
    pub(crate) fn remembered(note: Option<Vec<u8>>) -> Self {
        let known = note.and_then(|bytes| {
            let note: Value = serde_json::from_slice(&bytes).ok()?;
            let learnt_at = DateTime::from_timestamp_millis(note["learnt_at"].as_i64()?)?;
            Some(Known { flags: serde_json::from_value(note["flags"].clone()).ok()?, learnt_at })
        });
        Self { known: Mutex::new(known), asking: Arc::default() }
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives what was known before.
    fn learn(&self, known: Known) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).replace(known)
    }
}

/// `GET /v1/features`
pub(crate) async fn list(State(core): State<Arc<Core>>, request: Request) -> Result<Response, Refusal> {
    match current(&core).await {
        Some(known) => Ok(answer(&core, &known, json!({"features": known.flags}))),
        None => proxy::pass(State(core), request).await,
    }
}

/// `GET /v1/features/{flag}`: one that nobody knows is off, as at the hub.
pub(crate) async fn one(
    State(core): State<Arc<Core>>,
    Path(flag): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    match current(&core).await {
        Some(known) if is_flag(&flag) => {
            let enabled = known.flags.get(&flag).copied();
            let body =
                json!({"flag": flag, "enabled": enabled.unwrap_or(false), "is_known": enabled.is_some()});
            Ok(answer(&core, &known, body))
        }
        // The hub says what is wrong with it.
        _ => proxy::pass(State(core), request).await,
    }
}

fn answer(core: &Core, known: &Known, body: Value) -> Response {
    let age = (core.clock.now() - known.learnt_at).num_seconds().max(0);
    let mut response = ([(AGE, age.to_string())], Json(body)).into_response();
    if age >= FRESH.num_seconds() {
        response.headers_mut().insert(STALE, HeaderValue::from_static("true"));
    }
    response
}

fn is_flag(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

async fn current(core: &Arc<Core>) -> Option<Known> {
    let known = core.features.known()?;
    let age = core.clock.now() - known.learnt_at;
    if age >= TimeDelta::zero() && age < FRESH {
        return Some(known);
    }
    if let Ok(asking) = Arc::clone(&core.features.asking).try_lock_owned() {
        let asked = Arc::clone(core);
        // On its own: when it takes longer than the patience, its answer serves the next caller.
        let question = core.workers.spawn(async move {
            ask(&asked).await;
            drop(asking);
        });
        let _ = tokio::time::timeout(PATIENCE, question).await;
    }
    core.features.known()
}

/// Asks the hub, and remembers what it says.
pub(crate) async fn ask(core: &Core) {
    let flags = match core.hub().features(core.clock.as_ref()).await {
        Ok(flags) => flags,
        Err(error) => {
            tracing::debug!(error = %error, "the feature flags could not be learnt");
            return;
        }
    };
    let known = Known { flags, learnt_at: core.clock.now() };
    let before = core.features.learn(known.clone());
    if before.is_some_and(|before| before.flags == known.flags) {
        return;
    }
    let note = json!({"flags": known.flags, "learnt_at": known.learnt_at.timestamp_millis()});
    if let Err(error) = core.buffer.save_features(note.to_string().into_bytes()).await {
        tracing::warn!(error = %error, "the feature flags could not be saved");
    }
}
