//! Endpoints and deliveries, as callers write and see them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::event::EventPattern;
use trastienda_protocol::ids::{DeliveryId, EndpointId, EventId};
use trastienda_protocol::problem::FieldError;
use trastienda_protocol::pull::AgentPath;
use utoipa::ToSchema;

/// Deliveries in flight to an endpoint that does not say.
pub const MAX_IN_FLIGHT: i32 = 10;

/// Headers that an endpoint cannot set: they are the protocol's or the connection's.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// And all that begin so.
const RESERVED_PREFIXES: &[&str] = &["proxy-", "trastienda-", "webhook-", "x-forwarded-"];

/// Where a project wants its events.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// The address.
    pub url: String,
    /// The event types: `*`, `order.*` or exact.
    pub events: Vec<String>,
    /// The project's note.
    pub description: String,
    /// The names of its own headers; their values may be secret and are not shown.
    pub header_names: Vec<String>,
    /// Deliveries in flight at most.
    pub max_in_flight: i32,
    /// Deliveries started per second at most.
    pub rate_per_second: Option<i32>,
    /// One at a time, in order.
    pub ordered: bool,
    /// Seconds before each retry.
    pub retry_schedule: Vec<i32>,
    /// Whether it receives anything.
    pub enabled: bool,
    /// Since when not.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub disabled_at: Option<DateTime<Utc>>,
    /// Why not.
    pub disabled_reason: Option<String>,
    /// `closed`: deliveries go. `open`: it was down, and they wait. `half_open`: one goes, to see.
    pub circuit: &'static str,
    /// Until when the circuit is open; past it, until the probe's outcome is known.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub circuit_open_until: Option<DateTime<Utc>>,
    /// The first failure since the last success.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub failing_since: Option<DateTime<Utc>>,
    /// Deliveries that wait until it is enabled, or its circuit closed.
    pub held: i64,
    /// When it was made.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
}

/// A new endpoint, with the secret that is shown this once (null in a repeat).
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointCreated {
    #[serde(flatten)]
    #[expect(missing_docs, reason = "documented on the type")]
    pub endpoint: Endpoint,
    /// `whsec_…`
    pub secret: Option<String>,
}

/// An endpoint's settings as a caller writes them; in a change, `None` stays.
#[derive(Debug, Default)]
pub struct EndpointBody {
    /// The address.
    pub url: Option<url::Url>,
    /// The event types.
    pub events: Option<Vec<String>>,
    /// The note.
    pub description: Option<String>,
    /// Own headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// Deliveries in flight at most.
    pub max_in_flight: Option<i32>,
    /// Deliveries per second at most; `Some(None)`: no limit.
    pub rate_per_second: Option<Option<i32>>,
    /// One at a time, in order.
    pub ordered: Option<bool>,
    /// Seconds before each retry; `Some(None)`: the default.
    pub retry_schedule: Option<Option<Vec<i32>>>,
}

impl EndpointBody {
    /// Reads a body; `url` and `events` are required in a new endpoint.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn parse(body: &Value, is_new: bool) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let parsed = Fields::of(body, &mut errors).map(|mut fields| {
            let parsed = Self {
                url: if is_new { fields.required("url", url) } else { fields.optional("url", url) },
                events: if is_new {
                    fields.required("events", events)
                } else {
                    fields.optional("events", events)
                },
                description: fields.optional("description", check::text(0, 512)),
                headers: fields.optional("headers", headers),
                max_in_flight: fields.optional("max_in_flight", int(1, 1_000)),
                rate_per_second: fields.nullable("rate_per_second", int(1, 10_000)),
                ordered: fields.optional("ordered", check::boolean),
                retry_schedule: fields.nullable("retry_schedule", schedule),
            };
            fields.finish();
            parsed
        });
        errors.finish(parsed)
    }
}

fn int(min: i32, max: i32) -> impl Fn(&Value) -> Result<i32, String> {
    move |value| {
        let number = check::integer(min.into(), max.into())(value)?;
        i32::try_from(number).map_err(|error| error.to_string())
    }
}

fn url(value: &Value) -> Result<url::Url, String> {
    let text = check::line(1, 2_048)(value)?;
    let malformed = |error| format!("must be an absolute URL, as `https://shop.example.com/hook`: {error}");
    if text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("agent:")) {
        // Checked as it stands: a URL's parser mends what it reads.
        let path = AgentPath::of_url(&text).map_err(|error| error.to_string())?;
        return url::Url::parse(&path.url()).map_err(malformed);
    }
    let url = url::Url::parse(&text).map_err(malformed)?;
    match url.scheme() {
        "https" | "http" => Ok(url),
        _ => Err("must start with `https://` (or be `agent:///` and a path)".to_owned()),
    }
}

fn events(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().filter(|items| (1..=100).contains(&items.len()));
    let items = items.ok_or("must be a list of 1 to 100 event types, as `[\"order.*\"]`")?;
    let pattern = |item: &Value| {
        let text = item.as_str().ok_or_else(|| "must be a list of strings".to_owned())?;
        EventPattern::parse(text)
            .map(|pattern| pattern.as_str().to_owned())
            .map_err(|message| format!("`{text}` {message}"))
    };
    items.iter().map(pattern).collect()
}

fn headers(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let map = check::object(value)?;
    if map.len() > 20 {
        return Err("may have at most 20 headers".to_owned());
    }
    map.into_iter()
        .map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let reserved = RESERVED.contains(&lower.as_str())
                || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
            if reserved {
                return Err(format!("`{name}` is reserved"));
            }
            axum::http::HeaderName::from_bytes(lower.as_bytes())
                .map_err(|_| format!("`{name}` is not a header name"))?;
            let text = value
                .as_str()
                .filter(|text| text.len() <= 1_024 && text.bytes().all(|b| (0x20..=0x7e).contains(&b)));
            let text = text.ok_or_else(|| {
                format!("the value of `{name}` must be at most 1,024 printable ASCII characters")
            })?;
            Ok((lower, text.to_owned()))
        })
        .collect()
}

fn schedule(value: &Value) -> Result<Vec<i32>, String> {
    let items = value.as_array().filter(|items| items.len() <= 30);
    let items = items.ok_or("must be a list of at most 30 delays in seconds")?;
    items
        .iter()
        .map(|item| int(1, 604_800)(item).map_err(|message| format!("each delay {message} (seconds)")))
        .collect()
}

/// The delivery of one event to one endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: String,
    /// The order that the event is about.
    pub order_id: Option<String>,
    /// `pending`, `sent` or `failed`.
    pub status: String,
    /// Attempts so far.
    pub attempt_count: i32,
    /// When it is tried next, while pending.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What the receiver answered last.
    pub last_response_code: Option<i32>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was written.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
    /// When it was over.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub finished_at: Option<DateTime<Utc>>,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    /// When.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub at: DateTime<Utc>,
    /// Which one, from 1.
    pub attempt: i32,
    /// What the receiver answered.
    pub response_code: Option<i32>,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// What went wrong.
    pub error: Option<String>,
    /// What kind of failure that was: `dns`, `connect`, `tls`, `timeout`, `broken`, `http_status`, `refused_address`
    /// or `hub`.
    pub error_class: Option<String>,
    /// What the receiver called the request (`X-Request-Id` and the like).
    pub request_id: Option<String>,
    /// The first 1 KiB of the reply.
    pub response: Option<String>,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryDetail {
    #[serde(flatten)]
    #[expect(missing_docs, reason = "documented on the type")]
    pub delivery: Delivery,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_of_the_protocol_and_of_the_connection_are_reserved() {
        let parse = |name: &str| {
            let body = json!({"url": "https://x.example", "events": ["*"], "headers": {name: "v"}});
            EndpointBody::parse(&body, true).is_ok()
        };
        for name in ["Authorization", "X-Shop", "Cookie", "Accept", "traceparent", "X-API-KEY"] {
            assert!(parse(name), "{name}");
        }
        for name in [
            "Host",
            "Content-Length",
            "Webhook-Signature",
            "webhook-anything",
            "Trastienda-Replay",
            "User-Agent",
            "Proxy-Authorization",
            "X-Forwarded-For",
            "Transfer-Encoding",
            "not a name",
            "",
        ] {
            assert!(!parse(name), "{name}");
        }
    }

    #[test]
    fn all_mistakes_of_an_endpoint_are_named() {
        let body = json!({"url": "ftp://x", "events": ["Order"], "headers": {"Host": "x"}, "max_in_flight": 0,
            "rate_per_second": "fast", "ordered": 1, "retry_schedule": [0], "secret": "mine"});
        let pointers: Vec<_> =
            EndpointBody::parse(&body, true).unwrap_err().into_iter().map(|e| e.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/url",
                "/events",
                "/headers",
                "/max_in_flight",
                "/rate_per_second",
                "/ordered",
                "/retry_schedule",
                "/secret"
            ]
        );
    }
}
