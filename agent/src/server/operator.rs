//! The agent's own paths, for its operator: state, counters, dead letters.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};
use trastienda_protocol::heartbeat::AgentStatus;
use trastienda_protocol::problem::{FieldError, Problem};
use trastienda_protocol::time;

use super::Refusal;
use crate::agent::Core;
use crate::buffer::{DeadLetter, parse_id, public_id};
use crate::status::OwnStatus;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// `GET /agent/status`
pub(super) async fn status(State(core): State<Arc<Core>>) -> Result<Json<AgentStatus>, Refusal> {
    Ok(Json(crate::status::status(&core.buffer, &core.hub_view, &core.clock).await?))
}

/// `GET /agent/overview`: the status, and what else the operator wants to see.
pub(super) async fn overview(State(core): State<Arc<Core>>) -> Result<Json<OwnStatus>, Refusal> {
    Ok(Json(crate::status::own(&core).await?))
}

/// `GET /agent/metrics`
pub(super) async fn metrics(State(core): State<Arc<Core>>) -> Result<Response, Refusal> {
    let text = core.metrics.render(&crate::status::own(&core).await?);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// `POST /agent/recover`: what damaged databases still hold goes back among what is sent.
pub(super) async fn recover(State(core): State<Arc<Core>>) -> Result<Json<Value>, Refusal> {
    let reports = crate::recover::recover(&core.buffer).await.map_err(|error| {
        Problem::new(500, "recovery_failed", "Recovery failed", format!("it ended early: {error}"))
    })?;
    Ok(Json(json!({"data": reports})))
}

/// The page of a list that is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /agent/dead-letters`
pub(super) async fn list_dead_letters(
    State(core): State<Arc<Core>>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Refusal> {
    let limit = match page.limit.as_deref().map(str::parse::<u32>) {
        None => LIMIT_DEFAULT,
        Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
        Some(_) => return Err(refused("/limit", format!("must be a whole number from 1 to {LIMIT_MAX}"))),
    };
    let before = match page.cursor.as_deref().map(str::parse::<i64>) {
        None => None,
        Some(Ok(before)) => Some(before),
        Some(Err(_)) => return Err(refused("/cursor", "must be a `next_cursor` of this list".to_owned())),
    };
    let mut letters = core.buffer.list_dead_letters(limit + 1, before).await?;
    let limit = limit as usize;
    let more = letters.len() > limit;
    letters.truncate(limit);
    let next_cursor = letters.last().filter(|_| more).map(|letter| letter.seq.to_string());
    let data: Vec<Value> = letters.iter().map(describe).collect();
    Ok(Json(json!({"data": data, "next_cursor": next_cursor})))
}

/// `POST /agent/dead-letters/{id}/retry`
pub(super) async fn retry_dead_letter(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let not_found = || {
        Refusal::from(Problem::new(
            404,
            "not_found",
            "Not found",
            "there is no dead letter of this id that can be tried again (an expired one cannot)",
        ))
    };
    let (kind, uuid) = parse_id(&id).ok_or_else(not_found)?;
    if !core.buffer.revive(kind, uuid).await? {
        return Err(not_found());
    }
    tracing::info!(operation.id = id, "a dead letter is tried again");
    let body = Json(json!({"id": id, "status": "pending"}));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

/// `GET /agent/dead-letters/{id}`: with the body that would have been sent.
pub(super) async fn get_dead_letter(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (kind, uuid) = parse_id(&id).ok_or_else(no_dead_letter)?;
    let (letter, body) = core.buffer.find_dead_letter(kind, uuid).await?.ok_or_else(no_dead_letter)?;
    let mut described = describe(&letter);
    described["body"] = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Json(described))
}

/// `DELETE /agent/dead-letters/{id}`: the operator gives it up.
pub(super) async fn discard_dead_letter(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let (kind, uuid) = parse_id(&id).ok_or_else(no_dead_letter)?;
    if !core.buffer.discard(kind, uuid).await? {
        return Err(no_dead_letter());
    }
    tracing::warn!(operation.id = id, "a dead letter was given up by the operator");
    Ok(StatusCode::NO_CONTENT)
}

fn no_dead_letter() -> Refusal {
    Problem::new(404, "not_found", "Not found", "there is no dead letter of this id").into()
}

fn describe(letter: &DeadLetter) -> Value {
    let at = |millis| DateTime::from_timestamp_millis(millis).map(time::format);
    json!({
        "id": public_id(letter.kind, letter.id),
        "kind": letter.kind,
        "reason": letter.reason,
        "problem": letter.answer,
        "order_id": letter.order_id,
        "idempotency_key": letter.idempotency_key,
        "accepted_at": at(letter.accepted_at),
        "failed_at": at(letter.failed_at),
        "attempts": letter.attempts,
    })
}

fn refused(pointer: &str, message: String) -> Refusal {
    Problem::validation(vec![FieldError::new(pointer, message)]).into()
}
