//! Deliveries that an agent pulls: their addresses, and what the agent and the hub say to each other.
//!
//! An address is `agent://` and an absolute path, nothing else. What is refused here is refused by the hub when the
//! endpoint is made and by the agent before it calls the application: one rule, at both ends ([`AgentPath`]).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::{self, Errors, Fields};
use crate::heartbeat::AgentStatus;
use crate::ids::DeliveryId;
use crate::problem::FieldError;

/// What the address of a pulled endpoint begins with.
pub const SCHEME: &str = "agent://";
/// Characters of a path at most.
pub const PATH_MAX: usize = 1_024;
/// The longest that a poll waits, in seconds.
pub const WAIT_MAX: u32 = 30;
/// How long a poll waits when it does not say.
pub const WAIT_DEFAULT: u32 = 25;
/// Deliveries that one poll may ask for.
pub const MAX: u32 = 256;
/// Results in one call at most.
pub const RESULTS_MAX: usize = 256;
/// Bytes of the reply that are reported.
pub const EXCERPT_MAX: usize = 1_024;
/// Where receivers put their own name for a request; the first that is there counts.
pub const REQUEST_ID_HEADERS: [&str; 4] = ["x-request-id", "request-id", "x-correlation-id", "cf-ray"];
/// The other header of the reply that the hub looks at.
pub const RETRY_AFTER: &str = "retry-after";

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not our scheme, or a host after it.
    #[error("must be `agent:///` and a path, as `agent:///webhooks/trastienda`, with no host")]
    Authority,
    /// It does not begin with a slash.
    #[error("must have an absolute path")]
    Relative,
    /// Too long.
    #[error("may have at most {PATH_MAX} characters")]
    TooLong,
    /// `//` somewhere in it.
    #[error("must not have an empty part (`//`)")]
    EmptyPart,
    /// `.` or `..`.
    #[error("must not have `.` or `..` as a part")]
    Dots,
    /// Something encoded that need not be: a slash, a dot, a control character.
    #[error("may encode (`%`) only letters outside of ASCII")]
    Encoded,
    /// A query, a fragment, a backslash, a space, a control character, …
    #[error(
        "may consist of ASCII letters, digits and `-._~!$&'()*+,=:@/` only: no query, fragment or backslash"
    )]
    Character,
}

/// A path at the application beside the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPath(String);

impl AgentPath {
    /// Reads a whole address, `agent:///path`.
    ///
    /// # Errors
    /// [`PathError`]
    pub fn of_url(url: &str) -> Result<Self, PathError> {
        let path = url.strip_prefix(SCHEME).ok_or(PathError::Authority)?;
        if !path.starts_with('/') {
            return Err(PathError::Authority);
        }
        Self::parse(path)
    }

    /// Reads a path alone.
    ///
    /// # Errors
    /// [`PathError`]
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let rest = path.strip_prefix('/').ok_or(PathError::Relative)?;
        if path.len() > PATH_MAX {
            return Err(PathError::TooLong);
        }
        check_characters(rest)?;
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            // One slash may end it.
            if part.is_empty() && (parts.peek().is_some() || path.ends_with("//")) {
                return Err(PathError::EmptyPart);
            }
            if part == "." || part == ".." {
                return Err(PathError::Dots);
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, as endpoints have it.
    pub fn url(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }
}

impl fmt::Display for AgentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_characters(text: &str) -> Result<(), PathError> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.and_then(hex_digit));
                let [Some(high), Some(low)] = digits else { return Err(PathError::Encoded) };
                // Every ASCII character is either allowed as it is or not at all.
                if high * 16 + low < 0x80 {
                    return Err(PathError::Encoded);
                }
            }
            byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte) => {}
            _ => return Err(PathError::Character),
        }
    }
    Ok(())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What an agent sends to `POST /v1/agent/poll`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Poll {
    /// The agent's name for itself, as in its heartbeat.
    pub agent_id: String,
    /// Seconds to wait until there is a delivery, at most 30; 25 by default.
    pub wait: u32,
    /// Deliveries that it takes now, at most 256; 1 by default.
    pub max: u32,
    /// Its state: a poll is a heartbeat.
    pub status: AgentStatus,
}

impl Poll {
    /// Reads a poll.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let poll = Fields::of(body, &mut errors).and_then(|mut fields| {
            let agent_id = fields.required("agent_id", check::line(1, 128));
            let wait = fields.optional("wait", number(0, WAIT_MAX)).unwrap_or(WAIT_DEFAULT);
            let max = fields.optional("max", number(1, MAX)).unwrap_or(1);
            // A newer agent may say more in it.
            let status = fields.required("status", |value| {
                serde_json::from_value(value.clone())
                    .map_err(|error| format!("must be an agent's status: {error}"))
            });
            fields.finish();
            Some(Self { agent_id: agent_id?, wait, max, status: status? })
        });
        errors.finish(poll)
    }
}

/// What the hub answers to a poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Polled {
    /// Deliveries, each leased to this agent; empty when there was none in time.
    pub deliveries: Vec<PulledDelivery>,
}

/// A delivery that is leased to an agent: to be posted to the application as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PulledDelivery {
    /// The delivery.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: DeliveryId,
    /// What its result is reported under.
    pub lease: String,
    /// So long, in seconds. A result that comes later changes nothing.
    pub lease_seconds: u64,
    /// Where, at the application.
    pub path: String,
    /// The request's headers, the signature among them.
    pub headers: BTreeMap<String, String>,
    /// The request's body.
    pub body: String,
}

/// What an agent sends to `POST /v1/agent/results`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Results {
    /// The agent that polled.
    pub agent_id: String,
    /// What became of deliveries, at most 256.
    pub results: Vec<PullResult>,
}

/// What became of a leased delivery: the application's reply, or why there was none, or that it was not tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullResult {
    /// The lease.
    pub lease: String,
    /// How long the exchange took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// The application's status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_code: Option<u16>,
    /// Of the reply's headers `retry-after` and whatever names the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The first 1 KiB of the reply.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response: String,
    /// Without a reply: what kind of failure it was: `dns`, `connect`, `tls`, `timeout`, `broken` or `refused_address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// And in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// It was not tried: the agent is stopping.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
}

impl Results {
    /// Reads results.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let results = Fields::of(body, &mut errors).and_then(|mut fields| {
            let agent_id = fields.required("agent_id", check::line(1, 128));
            let results = fields.list("results", RESULTS_MAX, result);
            fields.finish();
            Some(Self { agent_id: agent_id?, results })
        });
        errors.finish(results)
    }
}

fn result(fields: &mut Fields<'_, '_>) -> Option<PullResult> {
    let lease = fields.required("lease", check::line(1, 64));
    let duration_ms = fields.optional("duration_ms", number(0, 3_600_000)).unwrap_or(0);
    let response_code = fields.optional("response_code", number(100, 999));
    let headers = fields.optional("headers", headers).unwrap_or_default();
    let response = fields.optional("response", any_text).unwrap_or_default();
    let error_class = fields.optional("error_class", check::line(1, 32));
    let error = fields.optional("error", any_text);
    let returned = fields.optional("returned", check::boolean).unwrap_or(false);
    if usize::from(response_code.is_some()) + usize::from(error_class.is_some()) + usize::from(returned) != 1
    {
        fields.refuse(
            "response_code",
            "exactly one of `response_code`, `error_class` and `returned` says what became of it",
        );
    }
    Some(PullResult {
        lease: lease?,
        duration_ms: duration_ms.into(),
        response_code: response_code.and_then(|code| u16::try_from(code).ok()),
        headers,
        response,
        error_class,
        error,
        returned,
    })
}

/// What the hub answers to results, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Received {
    /// For each result what became of it.
    pub results: Vec<ReceivedResult>,
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReceivedResult {
    /// It counts.
    Taken,
    /// The lease is another hub's, which was told.
    PassedOn,
    /// The lease is over, or was never this agent's: nothing changes, and the delivery goes again.
    Late,
}

fn number(min: u32, max: u32) -> impl Fn(&Value) -> Result<u32, String> {
    move |value| {
        let number = check::integer(min.into(), max.into())(value)?;
        u32::try_from(number).map_err(|error| error.to_string())
    }
}

fn any_text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "must be a string".to_owned())
}

fn headers(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let map = check::object(value)?;
    map.into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name.to_ascii_lowercase(), text.clone())),
            _ => Err("must be an object of strings".to_owned()),
        })
        .collect()
}

/// A text's beginning of at most so many bytes, cut between two characters.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_path_is_taken_and_comes_back_as_it_was() {
        for path in ["/", "/webhooks/trastienda", "/a/b/", "/caf%C3%A9", "/a..b/.well-known/x:y@z"] {
            let url = format!("agent://{path}");
            assert_eq!(AgentPath::of_url(&url).map(|path| path.url()), Ok(url));
        }
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for url in [
            "agent:",
            "agent:/x",
            "agent://",
            "agent://host/x",
            "agent://@/x",
            "agent://127.0.0.1:80/x",
            "AGENT:///x",
            " agent:///x",
            "agent:////x",
            "agent:///x//y",
            "agent:///x//",
            "agent:////evil.example/x",
            "agent:///../x",
            "agent:///x/..",
            "agent:///x/../y",
            "agent:///x/./y",
            "agent:///%2e%2e/x",
            "agent:///.%2E/x",
            "agent:///%2Fx",
            "agent:///x%5cy",
            "agent:///%252e%252e/x",
            "agent:///%00",
            "agent:///%0d%0aX:%20y",
            "agent:///x%",
            "agent:///x%4",
            "agent:///x%zz",
            "agent:///x\\y",
            "agent:///\\evil.example/x",
            "agent:///x?y=1",
            "agent:///x#y",
            "agent:///x;y",
            "agent:///..;/x",
            "agent:///x y",
            "agent:///x\r\nHost: y",
            "agent:///x\0",
            "agent:///x\u{7f}",
            "agent:///ñ",
            "http:///x",
            "agent:///<script>",
        ] {
            assert!(AgentPath::of_url(url).is_err(), "{url:?} was taken");
        }
        assert_eq!(AgentPath::parse(&format!("/{}", "x".repeat(PATH_MAX))), Err(PathError::TooLong));
        assert_eq!(AgentPath::parse("x"), Err(PathError::Relative));
    }

    /// What a lenient server might make of a path: decoded as often as it changes, backslashes turned.
    fn as_a_lenient_server_reads(path: &str) -> String {
        let mut text = path.to_owned();
        for _ in 0..4 {
            let mut decoded = Vec::new();
            let bytes = text.as_bytes();
            let mut at = 0;
            while at < bytes.len() {
                let digits = bytes.get(at + 1).zip(bytes.get(at + 2));
                let byte = digits.and_then(|(a, b)| Some(hex_digit(*a)? * 16 + hex_digit(*b)?));
                if let Some(byte) = byte.filter(|_| bytes[at] == b'%') {
                    decoded.push(byte);
                    at += 3;
                } else {
                    decoded.push(bytes[at]);
                    at += 1;
                }
            }
            text = String::from_utf8_lossy(&decoded).into_owned();
        }
        text.replace('\\', "/")
    }

    proptest! {
        #[test]
        fn what_is_taken_is_harmless_however_it_is_read(
            path in "/?[a-c./%\\\\;?#@: \u{e9}2eEfF5cC0d-]{0,24}",
        ) {
            if let Ok(taken) = AgentPath::parse(&path) {
                let read = as_a_lenient_server_reads(taken.as_str());
                prop_assert!(read.starts_with('/') && !read.contains("//"), "{}", read);
                prop_assert!(read.split('/').all(|part| part != ".." && part != "."), "{}", read);
                prop_assert!(!read.contains(['?', '#', ';', '%']) && !read.contains(char::is_control), "{}", read);
                prop_assert_eq!(AgentPath::of_url(&taken.url()), Ok(taken));
            }
        }

        #[test]
        fn anything_at_all_is_refused_or_harmless(url in any::<String>()) {
            if let Ok(path) = AgentPath::of_url(&url) {
                prop_assert_eq!(path.url(), url);
            }
        }

        #[test]
        fn ordinary_paths_are_taken(parts in prop::collection::vec("[a-z0-9_-]{1,12}", 1..6)) {
            let path = format!("/{}", parts.join("/"));
            prop_assert!(AgentPath::parse(&path).is_ok(), "{}", path);
        }
    }

    #[test]
    fn a_result_says_exactly_one_thing() {
        let parse = |result: Value| Results::parse(&json!({"agent_id": "a", "results": [result]}));
        assert!(parse(json!({"lease": "x", "response_code": 200})).is_ok());
        assert!(parse(json!({"lease": "x", "error_class": "timeout", "error": "timed out"})).is_ok());
        assert!(parse(json!({"lease": "x", "returned": true})).is_ok());
        assert!(parse(json!({"lease": "x"})).is_err());
        assert!(parse(json!({"lease": "x", "response_code": 200, "returned": true})).is_err());
        assert!(parse(json!({"lease": "x", "response_code": 99})).is_err());
    }

    #[test]
    fn what_an_agent_writes_the_hub_reads() {
        let results = Results {
            agent_id: "agent".to_owned(),
            results: vec![PullResult {
                lease: "1-ab".to_owned(),
                duration_ms: 7,
                response_code: Some(503),
                headers: [(RETRY_AFTER.to_owned(), "7".to_owned())].into(),
                response: "später".to_owned(),
                ..PullResult::default()
            }],
        };
        assert_eq!(Results::parse(&serde_json::to_value(&results).unwrap()), Ok(results));
    }
}
