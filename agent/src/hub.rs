//! The one HTTP client to the hub: what is asked of it, and how its refusals are read.
//!
//! No redirects are followed and no proxy is taken from the environment: the key goes to the
//! configured address and nowhere else. Certificates are checked against the system's
//! roots, or against those that the operator names.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta};
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use trastienda_protocol::api_key::ApiKey;
use trastienda_protocol::clock::Clock;
use trastienda_protocol::heartbeat::Heartbeat;
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::problem::Problem;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// For a batch: the hub works through up to a thousand operations.
const BATCH_TIMEOUT: Duration = Duration::from_mins(1);
/// What is read of an answer; a batch of a thousand results stays far below.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Why the hub did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// No connection, or none that lasted.
    #[error("the hub cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the hub did not answer in time")]
    TimedOut,
    /// It answered with something else than success.
    #[error("the hub answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// Its problem document. Absent when something else than the hub answered.
        problem: Option<Box<Problem>>,
    },
    /// It answered with something that is no answer.
    #[error("the hub's answer is not understood: {0}")]
    Malformed(String),
}

impl From<reqwest::Error> for HubError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            return Self::TimedOut;
        }
        Self::Unreachable(chain(&error.without_url()))
    }
}

/// What the hub says of one operation of a batch.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// The status that a single call would have got.
    pub status: u16,
    /// The body that it would have got. Most are never looked at, so they are kept as they came.
    pub body: Box<RawValue>,
}

impl Outcome {
    /// The code of its problem document; empty when it is none.
    pub fn code(&self) -> String {
        #[derive(Deserialize)]
        struct Coded {
            code: String,
        }
        serde_json::from_str(self.body.get()).map_or_else(|_| String::new(), |Coded { code }| code)
    }
}

/// The answer to a batch.
#[derive(Deserialize)]
struct Outcomes {
    results: Vec<Outcome>,
}

/// The hub, as one project's agent reaches it.
#[derive(Debug, Clone)]
pub struct Hub {
    client: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
}

impl Hub {
    /// Prepares a client; nothing is connected yet.
    ///
    /// # Errors
    /// The certificates cannot be read (with `https`).
    pub fn new(base: &Url, key: &ApiKey, ca: Option<&[u8]>) -> Result<Self, HubError> {
        // Already installed by an earlier agent of this process: the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "the one place where the agent makes an HTTP client")]
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .user_agent(concat!("trastienda-agent/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // Without TLS the roots are not needed, and a container may have none.
            builder = builder.tls_certs_only([]);
        }
        if let Some(pem) = ca {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| HubError::Malformed(format!("TRASTIENDA_HUB_CA_FILE: {}", chain(&error))))?;
            if certificates.is_empty() {
                return Err(HubError::Malformed(
                    "TRASTIENDA_HUB_CA_FILE: it holds no certificate".to_owned(),
                ));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
            .map_err(|error| HubError::Malformed(error.to_string()))?;
        authorization.set_sensitive(true);
        let client = builder.build().map_err(|error| HubError::Unreachable(chain(&error)))?;
        Ok(Self { client, base: base.clone(), authorization })
    }

    /// The address of a path (which starts with `/`) and its query.
    pub fn address(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    /// A request with the project's key.
    pub fn request(&self, method: Method, address: Url) -> RequestBuilder {
        self.client.request(method, address).header(AUTHORIZATION, self.authorization.clone())
    }

    /// Whether the hub's process answers. Cheap, and asks for no key.
    pub async fn answers(&self) -> bool {
        let probe = self.client.get(self.address("/healthz", None)).timeout(PROBE_TIMEOUT).send().await;
        probe.is_ok_and(|answer| answer.status().is_success())
    }

    /// The project that the key belongs to, and all that the hub says of it.
    ///
    /// # Errors
    /// [`HubError`]
    pub async fn project(&self, clock: &dyn Clock) -> Result<(ProjectId, serde_json::Value), HubError> {
        let request = self.request(Method::GET, self.address("/v1/project", None)).timeout(CALL_TIMEOUT);
        let body = success(request.send().await?, clock).await?;
        let body: serde_json::Value =
            serde_json::from_slice(&body).map_err(|error| HubError::Malformed(error.to_string()))?;
        let id = body.get("id").and_then(serde_json::Value::as_str).and_then(|id| ProjectId::parse(id).ok());
        let id = id.ok_or_else(|| HubError::Malformed("`GET /v1/project` names no project id".to_owned()))?;
        Ok((id, body))
    }

    /// The hub's version, if it says. Asks for no key.
    pub async fn version(&self) -> Option<String> {
        let request = self.client.get(self.address("/readyz", None)).timeout(PROBE_TIMEOUT);
        // A hub that is not ready says its version as well.
        let body = read(request.send().await.ok()?).await.ok()?;
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        body.get("version").and_then(serde_json::Value::as_str).map(str::to_owned)
    }

    /// By how much the hub's clock is ahead of this one. Asks for no key.
    pub async fn clock_skew(&self, clock: &dyn Clock) -> Option<TimeDelta> {
        let probe =
            self.client.get(self.address("/healthz", None)).timeout(PROBE_TIMEOUT).send().await.ok()?;
        let date = probe.headers().get(DATE)?.to_str().ok()?;
        Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc() - clock.now())
    }

    /// The project's feature flags.
    ///
    /// # Errors
    /// [`HubError`]
    pub async fn features(&self, clock: &dyn Clock) -> Result<BTreeMap<String, bool>, HubError> {
        #[derive(serde::Deserialize)]
        struct Features {
            features: BTreeMap<String, bool>,
        }
        let request = self.request(Method::GET, self.address("/v1/features", None)).timeout(CALL_TIMEOUT);
        let body = success(request.send().await?, clock).await?;
        let read: Features =
            serde_json::from_slice(&body).map_err(|error| HubError::Malformed(error.to_string()))?;
        Ok(read.features)
    }

    /// Hands over a batch, compressed with zstd.
    ///
    /// # Errors
    /// [`HubError`], when the batch as a whole was not worked on.
    pub async fn batch(&self, compressed: Vec<u8>, clock: &dyn Clock) -> Result<Vec<Outcome>, HubError> {
        let request = self
            .request(Method::POST, self.address("/v1/batch", None))
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "zstd")
            .timeout(BATCH_TIMEOUT)
            .body(compressed);
        let body = success(request.send().await?, clock).await?;
        let read: Outcomes =
            serde_json::from_slice(&body).map_err(|error| HubError::Malformed(error.to_string()))?;
        Ok(read.results)
    }

    /// Says that the agent lives.
    ///
    /// # Errors
    /// [`HubError`]
    pub async fn heartbeat(&self, heartbeat: &Heartbeat, clock: &dyn Clock) -> Result<(), HubError> {
        let body = serde_json::to_vec(heartbeat).map_err(|error| HubError::Malformed(error.to_string()))?;
        let request = self
            .request(Method::POST, self.address("/v1/agent/heartbeat", None))
            .header(CONTENT_TYPE, "application/json")
            .timeout(CALL_TIMEOUT)
            .body(body);
        success(request.send().await?, clock).await.map(drop)
    }
}

/// The body of a successful answer.
pub(crate) async fn success(answer: Response, clock: &dyn Clock) -> Result<Bytes, HubError> {
    let status = answer.status();
    let headers = answer.headers().clone();
    let body = read(answer).await?;
    if status.is_success() {
        return Ok(body);
    }
    let is_problem = headers.get(CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().starts_with(trastienda_protocol::problem::CONTENT_TYPE.as_bytes())
    });
    let problem = is_problem.then(|| serde_json::from_slice(&body).ok()).flatten();
    Err(HubError::Refused { status: status.as_u16(), retry_after: retry_after(&headers, clock), problem })
}

async fn read(mut answer: Response) -> Result<Bytes, HubError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(HubError::Malformed(format!("it has more than {ANSWER_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// `Retry-After`, in seconds or as an HTTP date. Never more than an hour.
fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if let Ok(seconds) = text.parse::<u64>() {
        seconds
    } else {
        let until = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
        u64::try_from((until - clock.now()).num_seconds()).ok()?
    };
    Some(Duration::from_secs(seconds.min(3_600)))
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use trastienda_protocol::api_key::Mode;
    use trastienda_protocol::clock::ManualClock;

    use super::*;

    #[test]
    fn addresses_keep_the_base_path() {
        let key = ApiKey::generate(Mode::Test).unwrap();
        let hub = Hub::new(&Url::parse("http://127.0.0.1:1/shop/").unwrap(), &key, None).unwrap();
        assert_eq!(hub.address("/v1/x", Some("a=b")).as_str(), "http://127.0.0.1:1/shop/v1/x?a=b");
        assert!(!format!("{hub:?}").contains(key.secret()));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let clock = ManualClock::new(DateTime::parse_from_rfc3339("2026-11-24T10:00:00Z").unwrap().to_utc());
        let read = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, &clock).map(|wait| wait.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("Tue, 24 Nov 2026 10:00:30 GMT"), Some(30));
        assert_eq!(read("999999"), Some(3_600));
        assert_eq!(read("soon"), None);
    }
}
