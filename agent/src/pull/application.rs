//! The application: where it is, and one POST to it.
//!
//! Only the operator of the shop says where it is. A delivery has nothing but a path below that, which is checked here as
//! it was at the hub. No redirects are followed and no proxy is taken from the environment.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use trastienda_protocol::pull::{
    AgentPath, EXCERPT_MAX, PullResult, PulledDelivery, REQUEST_ID_HEADERS, RETRY_AFTER,
};
use url::Url;

use crate::hub::HubError;
use crate::status::VERSION;

/// As the hub's for its own calls.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a reply that are read.
const REPLY_MAX: usize = 16 * 1024;
/// Headers that belong to the connection.
const NOT_THE_HUBS: [&str; 8] =
    ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// The application beside the agent.
#[derive(Debug)]
pub(crate) struct Application {
    client: reqwest::Client,
    base: Url,
}

/// Why there was no reply: a word for programs and a sentence.
struct Failure(&'static str, String);

impl Application {
    /// Prepares a client; nothing is connected yet.
    ///
    /// # Errors
    /// The system's certificates cannot be read (with `https`).
    pub(crate) fn new(base: &Url) -> Result<Self, HubError> {
        // Already installed by an earlier agent of this process: the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "the one place where the application's client is made")]
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(format!("Trastienda/{VERSION}"));
        if base.scheme() == "http" {
            // Without TLS the roots are not needed, and a container may have none.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(HubError::from)?;
        Ok(Self { client, base: base.clone() })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Url {
        &self.base
    }

    /// Posts a delivery as it is, and says what came of it.
    pub(crate) async fn post(&self, delivery: &PulledDelivery) -> PullResult {
        let started = Instant::now();
        let exchanged = self.exchange(delivery).await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let result = match exchanged {
            Ok(result) => result,
            Err(Failure(class, error)) => {
                tracing::info!(delivery.id = %delivery.id, class, error, "a webhook could not be posted to the application");
                PullResult {
                    error_class: Some(class.to_owned()),
                    error: Some(error),
                    ..PullResult::default()
                }
            }
        };
        PullResult { lease: delivery.lease.clone(), duration_ms, ..result }
    }

    async fn exchange(&self, delivery: &PulledDelivery) -> Result<PullResult, Failure> {
        let url = self.url_of(&delivery.path)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &delivery.headers {
            let refused = || Failure("refused_address", format!("the header `{name}` may not be sent"));
            if NOT_THE_HUBS.contains(&name.as_str()) {
                return Err(refused());
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| refused())?);
        }
        let request = self.client.post(url).headers(headers).body(delivery.body.clone());
        let mut reply = request.send().await.map_err(|error| failure(&error))?;
        let looked_at = REQUEST_ID_HEADERS.into_iter().chain([RETRY_AFTER]);
        let headers = looked_at.filter_map(|name| {
            let text = reply.headers().get(name)?.to_str().ok()?;
            Some((name.to_owned(), text.chars().take(128).collect()))
        });
        let result = PullResult {
            response_code: Some(reply.status().as_u16()),
            headers: headers.collect(),
            ..PullResult::default()
        };
        // Reading stops at the limit, and at what goes wrong: the code has been said.
        let (mut read, mut kept) = (0, Vec::new());
        while read < REPLY_MAX {
            let Ok(Some(chunk)) = reply.chunk().await else { break };
            read += chunk.len();
            let room = EXCERPT_MAX - kept.len();
            kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Ok(PullResult { response: String::from_utf8_lossy(&kept).into_owned(), ..result })
    }

    fn url_of(&self, path: &str) -> Result<Url, Failure> {
        let path = AgentPath::parse(path).map_err(|error| {
            Failure("refused_address", format!("the agent does not call this path: it {error}"))
        })?;
        let whole = format!("{}{path}", self.base.path().trim_end_matches('/'));
        let mut url = self.base.clone();
        url.set_path(&whole);
        if url.path() == whole {
            Ok(url)
        } else {
            Err(Failure("refused_address", "the path does not come out as it went in".to_owned()))
        }
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    let causes = || {
        let first = std::error::Error::source(error);
        std::iter::successors(first, |cause| {
            let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source())
        })
    };
    let last = causes().last().map_or_else(|| "no reason is known".to_owned(), ToString::to_string);
    let (class, what) = if causes().any(<dyn std::error::Error>::is::<rustls::Error>) {
        ("tls", "no secure connection")
    } else if error.is_timeout() {
        ("timeout", "timed out")
    } else if causes().any(|cause| cause.to_string().starts_with("dns error")) {
        ("dns", "the name does not resolve")
    } else if error.is_connect() {
        ("connect", "could not connect")
    } else {
        ("broken", "the exchange broke off")
    };
    Failure(class, format!("{what}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(base: &str) -> Application {
        Application::new(&Url::parse(base).unwrap()).unwrap()
    }

    #[test]
    fn a_path_goes_below_the_applications_own() {
        let url = |base: &str, path: &str| application(base).url_of(path).map(String::from).ok();
        let plain = url("http://127.0.0.1:8000", "/webhooks/trastienda");
        assert_eq!(plain.as_deref(), Some("http://127.0.0.1:8000/webhooks/trastienda"));
        let below = url("http://127.0.0.1/shop/", "/webhooks/trastienda");
        assert_eq!(below.as_deref(), Some("http://127.0.0.1/shop/webhooks/trastienda"));
    }

    #[test]
    fn a_hostile_hub_reaches_nothing_else() {
        let application = application("http://127.0.0.1:8000/shop");
        for path in [
            "",
            "x",
            "//evil.example/x",
            "/../admin",
            "/a/../../admin",
            "/%2e%2e/admin",
            "/a%2f..%2fb",
            "/\\evil.example",
            "/x?y",
            "/x#y",
            "@evil.example/x",
            "http://evil.example/x",
            "/x\r\nHost: evil.example",
            "/%252e%252e/admin",
            "/..;/admin",
        ] {
            assert!(application.url_of(path).is_err(), "{path:?} was taken");
        }
    }
}
