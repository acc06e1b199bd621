//! The only HTTP client: for every address that a project names and for the providers that the operator names.
//!
//! What projects name ([`Outbound::project`]) is checked at connection time, on the address that is connected
//! to: loopback, private, link-local, carrier-grade, multicast and reserved addresses are refused, also when
//! they come wrapped in IPv6, unless the operator allows a range ([`address`]). So a name that resolves to something
//! else a moment later gains nothing. No redirects are followed and no proxy is taken from the environment.

mod address;
mod lookup;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

pub use address::{AllowList, Refused};
use address::{Guard, Purpose};
use lookup::{CheckedResolver, PURPOSE};
pub use lookup::{Lookup, SystemLookup};

/// How long a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole exchange with a project's address may take.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a reply that are read.
pub const REPLY_MAX: usize = 16 * 1024;

/// Who is calling, as servers see it.
pub const USER_AGENT: &str = concat!("Trastienda/", env!("CARGO_PKG_VERSION"));

/// How addresses that projects name are called. Fixed for a running hub; tests shorten the times.
#[derive(Debug, Clone)]
pub struct Manner {
    /// How long a connection may take, the look-up of its name included.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take.
    pub total_timeout: Duration,
    /// Certificate authorities beside the system's, in DER.
    pub more_roots: Vec<Vec<u8>>,
    /// Who turns names into addresses.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            total_timeout: TOTAL_TIMEOUT,
            more_roots: Vec::new(),
            lookup: Arc::new(SystemLookup),
        }
    }
}

/// Why a request to a project's address was not answered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The address may not be called.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It may, and the call failed.
    #[error(transparent)]
    Failed(#[from] reqwest::Error),
}

/// The client for a kind of addresses.
#[derive(Clone)]
pub struct Outbound {
    project: reqwest::Client,
    operator: reqwest::Client,
    guard: Arc<Guard>,
    manner: Manner,
}

impl Outbound {
    /// A client that lets projects reach public addresses and `allow`, never `own` (the hub's listeners, its database).
    pub fn new(allow: AllowList, own: Vec<SocketAddr>, manner: Manner) -> anyhow::Result<Self> {
        let guard = Arc::new(Guard { allow, own });
        let roots = manner.more_roots.iter().map(|root| reqwest::Certificate::from_der(root));
        let project = builder()
            .connect_timeout(manner.connect_timeout)
            .timeout(manner.total_timeout)
            .tls_certs_merge(roots.collect::<Result<Vec<_>, _>>()?)
            .dns_resolver(CheckedResolver { guard: guard.clone(), lookup: manner.lookup.clone() })
            .build()?;
        let operator = builder().connect_timeout(CONNECT_TIMEOUT).timeout(Duration::from_secs(30)).build()?;
        Ok(Self { project, operator, guard, manner })
    }

    /// Starts a request to an address that a project named; [`Self::send`] sends it.
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.project.request(method, url)
    }

    /// Sends a request to an address that a project named, checking the address when it is connected to.
    pub async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, SendError> {
        let purpose = shape(request.url())?;
        self.check_host(request.url(), purpose).await?;
        Ok(PURPOSE.scope(purpose, self.project.execute(request)).await?)
    }

    /// For addresses that the operator configured.
    pub fn operator(&self) -> &reqwest::Client {
        &self.operator
    }

    /// Whether a project may name this URL. A host that is a literal address is decided here; a name is
    /// decided at each connection, and over plain HTTP only if every address that it has now is allowed.
    pub async fn check_url(&self, url: &Url) -> Result<(), Refused> {
        self.check_host(url, shape(url)?).await
    }

    async fn check_host(&self, url: &Url, purpose: Purpose) -> Result<(), Refused> {
        match url.host().ok_or(Refused::Shape)? {
            Host::Ipv4(address) => self.guard.check(address.into(), Some(purpose)),
            Host::Ipv6(address) => self.guard.check(address.into(), Some(purpose)),
            Host::Domain(name) if purpose.plain => {
                let addresses = self.look_up(name).await;
                if addresses.is_empty() {
                    return Err(Refused::PlainHttp);
                }
                addresses.into_iter().try_for_each(|address| self.guard.check(address, Some(purpose)))
            }
            Host::Domain(_) => Ok(()),
        }
    }

    async fn look_up(&self, name: &str) -> Vec<IpAddr> {
        let looked_up =
            tokio::time::timeout(self.manner.connect_timeout, self.manner.lookup.lookup(name)).await;
        looked_up.ok().and_then(Result::ok).unwrap_or_default()
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound(allow {:?})", self.guard.allow)
    }
}

/// What a URL asks for, if it has the shape of one that a project may name.
fn shape(url: &Url) -> Result<Purpose, Refused> {
    let well_formed = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(Refused::Shape)?;
    if well_formed { Ok(Purpose { port, plain: url.scheme() == "http" }) } else { Err(Refused::Shape) }
}

#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_idle_timeout(Duration::from_mins(1))
        .tcp_nodelay(true)
}

#[cfg(test)]
mod tests;
