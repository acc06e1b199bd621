//! What goes over the wire: Standard Webhooks (<https://www.standardwebhooks.com>).

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::BodyExt as _;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Map, Value};
use trastienda_protocol::ids::{EventId, Id as _, ProjectId};
use trastienda_protocol::pull::{EXCERPT_MAX, REQUEST_ID_HEADERS};
use trastienda_protocol::webhook::{self, Secret};
use url::Url;
use uuid::Uuid;

use super::failure::Failure;
use super::store::{self, ClaimedDelivery, Target};
use crate::app::App;
use crate::events::Event;
use crate::outbound::REPLY_MAX;
use crate::seal::SealError;

/// Names a replayed delivery on the wire.
const REPLAY_HEADER: &str = "trastienda-replay";
const REQUEST_ID_MAX: usize = 128;

/// The parts of an event that go over the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) event_id: Uuid,
    pub(crate) event_type: &'a str,
    pub(crate) happened_at: DateTime<Utc>,
    pub(crate) data: &'a Map<String, Value>,
}

impl<'a> From<&'a Event> for Said<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            event_id: event.id.uuid(),
            event_type: &event.event_type,
            happened_at: event.occurred_at.unwrap_or(event.created_at),
            data: &event.data,
        }
    }
}

impl<'a> From<&&'a Event> for Said<'a> {
    fn from(event: &&'a Event) -> Self {
        Self::from(*event)
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    id: EventId,
    #[serde(rename = "type")]
    event_type: &'a str,
    timestamp: String,
    project: ProjectId,
    data: &'a Map<String, Value>,
}

/// The body of every delivery of an event.
pub(crate) fn body(project: Uuid, said: &Said<'_>) -> Bytes {
    let payload = Payload {
        id: EventId::from_uuid(said.event_id),
        event_type: said.event_type,
        timestamp: trastienda_protocol::time::format(said.happened_at),
        project: ProjectId::from_uuid(project),
        data: said.data,
    };
    // Strings, a time and parsed JSON: nothing in it can fail to be written.
    serde_json::to_vec(&payload).unwrap_or_default().into()
}

/// What a receiver answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// The receiver's own name for the request.
    pub(super) request_id: Option<String>,
    pub(super) excerpt: String,
}

/// Signs and sends.
pub(super) async fn send(
    app: &App,
    delivery: &ClaimedDelivery,
    body: Bytes,
    now: DateTime<Utc>,
) -> Result<Reply, Failure> {
    let url = Url::parse(&delivery.target.url).map_err(|error| Failure::Build(error.to_string()))?;
    let mut request = app.outbound.request(Method::POST, url);
    for (name, value) in headers(app, delivery, &body, now)? {
        request = request.header(name, value);
    }
    let request = request.body(body).build().map_err(|error| Failure::Build(error.to_string()))?;
    let response = app.outbound.send(request).await?;
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    let request_id = request_id(response.headers());
    Ok(Reply { status, retry_after, request_id, excerpt: read_excerpt(response).await })
}

/// All headers of an attempt: the endpoint's own, the signature, and the mark of a replay.
pub(super) fn headers(
    app: &App,
    delivery: &ClaimedDelivery,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Vec<(String, String)>, SealError> {
    let secrets = secrets(app, &delivery.target, now)?;
    let signed = signed_headers(delivery.event_id, now.timestamp(), body, &secrets);
    let mut headers = own_headers(app, &delivery.target)?;
    headers.extend(signed.map(|(name, value)| (name.to_owned(), value)));
    if delivery.is_replay {
        headers.push((REPLAY_HEADER.to_owned(), delivery.delivery_id().to_string()));
    }
    Ok(headers)
}

/// The headers that say what it is and who says so: one signature per secret.
pub(crate) fn signed_headers(
    event: Uuid,
    timestamp: i64,
    body: &[u8],
    secrets: &[Secret],
) -> [(&'static str, String); 4] {
    let id = EventId::from_uuid(event).to_string();
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(&id, timestamp, body)).collect();
    [
        ("content-type", "application/json".to_owned()),
        (webhook::HEADER_TIMESTAMP, timestamp.to_string()),
        (webhook::HEADER_SIGNATURE, signatures.join(" ")),
        (webhook::HEADER_ID, id),
    ]
}

/// The current secret, and the one before while the rotation's overlap lasts.
fn secrets(app: &App, target: &Target, now: DateTime<Utc>) -> Result<Vec<Secret>, SealError> {
    let previous = target
        .previous_secret_sealed
        .as_ref()
        .filter(|_| target.previous_secret_expires_at.is_some_and(|at| at > now));
    std::iter::once(&target.secret_sealed)
        .chain(previous)
        .map(|sealed| {
            let text = app.sealer.open_text(store::SECRET_PURPOSE, sealed)?;
            Secret::parse(text.expose_secret()).map_err(|_| SealError::Damaged)
        })
        .collect()
}

fn own_headers(app: &App, target: &Target) -> Result<Vec<(String, String)>, SealError> {
    let Some(sealed) = &target.headers_sealed else { return Ok(Vec::new()) };
    let json = app.sealer.open(store::HEADERS_PURPOSE, sealed)?;
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&json).map_err(|_| SealError::Damaged)?;
    Ok(headers.into_iter().collect())
}

// Reading stops at the limit; a reply that goes on for ever costs no more than that.
async fn read_excerpt(response: reqwest::Response) -> String {
    let mut body = reqwest::Body::from(response);
    let mut read = 0;
    let mut kept = Vec::new();
    while read < REPLY_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Ok(data) = frame.into_data() else { continue };
        read += data.len();
        let room = EXCERPT_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    String::from_utf8_lossy(&kept).replace('\0', "")
}

/// What the receiver calls the request, so that both sides can find it in their logs.
pub(super) fn request_id(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let text = REQUEST_ID_HEADERS.iter().find_map(|name| headers.get(*name))?.to_str().ok()?.trim();
    Some(text.chars().take(REQUEST_ID_MAX).collect::<String>()).filter(|text| !text.is_empty())
}

/// `Retry-After` in seconds or as a date.
pub(super) fn retry_after(headers: &reqwest::header::HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What no number can hold is long enough.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    (date.to_utc() - now).to_std().ok()
}
