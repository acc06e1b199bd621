//! The only HTTP client: for every address that a project names and for the providers that the operator names.
//!
//! What projects name ([`Outbound::project`]) is checked at connection time, on the address that is connected
//! to: loopback, private, link-local, carrier-grade, multicast and reserved addresses are refused, also when
//! they come wrapped in IPv6, unless the operator allows a range. So a name that resolves to something else a
//! moment later gains nothing. No redirects are followed and no proxy is taken from the environment.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How long a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole exchange with a project's address may take.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a reply that are read.
pub const REPLY_MAX: usize = 16 * 1024;

/// Who is calling, as servers see it.
pub const USER_AGENT: &str = concat!("Trastienda/", env!("CARGO_PKG_VERSION"));

/// Private ranges that the operator opened.
#[derive(Debug, Clone, Default)]
pub struct AllowList(Vec<(IpNet, Option<u16>)>);

impl AllowList {
    // A range that is opened for one port does not allow a connection whose port is not known.
    fn allows(&self, address: IpAddr, port: Option<u16>) -> bool {
        let opened = |(net, only): &(IpNet, Option<u16>)| {
            net.contains(&address) && only.is_none_or(|only| port == Some(only))
        };
        !is_link_local(address) && self.0.iter().any(opened)
    }
}

impl FromStr for AllowList {
    type Err = String;

    /// Reads `CIDR[:port]`, comma-separated, as `127.0.0.0/8:9000,10.1.0.0/16`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let wrong = || format!("`{entry}` must be `CIDR` or `CIDR:port`, as `127.0.0.0/8:9000`");
            let slash = entry.find('/').ok_or_else(wrong)?;
            let (net, port) = match entry[slash..].find(':') {
                Some(colon) => {
                    let port = entry[slash + colon + 1..].parse::<u16>().map_err(|_| wrong())?;
                    (&entry[..slash + colon], Some(port))
                }
                None => (entry, None),
            };
            ranges.push((net.parse::<IpNet>().map_err(|_| wrong())?, port));
        }
        Ok(Self(ranges))
    }
}

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not `https://`, and plain HTTP is not allowed there.
    #[error(
        "must start with `https://`; the operator has to allow plain HTTP to this address (TRASTIENDA_OUTBOUND_ALLOW)"
    )]
    PlainHttp,
    /// A private or reserved address.
    #[error("{0} is a private or reserved address; the operator has to allow it (TRASTIENDA_OUTBOUND_ALLOW)")]
    Address(IpAddr),
    /// No address behind the name.
    #[error("has no address: check the host's name")]
    Unknown,
    /// Not a web address.
    #[error("must be an absolute `https://` URL without user, password or fragment")]
    Shape,
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

tokio::task_local! {
    // The port of the request being sent: a resolver is told names only, and a range may be opened for one port.
    static PORT: u16;
}

/// The client for a kind of addresses.
#[derive(Clone)]
pub struct Outbound {
    project: reqwest::Client,
    operator: reqwest::Client,
    guard: Arc<Guard>,
}

struct Guard {
    allow: AllowList,
    own: Vec<SocketAddr>,
}

impl Outbound {
    /// A client that lets projects reach public addresses and `allow`, never `own` (the hub's listeners, its database).
    pub fn new(allow: AllowList, own: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let guard = Arc::new(Guard { allow, own });
        let project =
            builder().timeout(TOTAL_TIMEOUT).dns_resolver(CheckedResolver(guard.clone())).build()?;
        let operator = builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { project, operator, guard })
    }

    /// Starts a request to an address that a project named; [`Self::send`] sends it.
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.project.request(method, url)
    }

    /// Sends a request to an address that a project named, checking the address when it is connected to.
    pub async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, SendError> {
        self.check_url(request.url()).await?;
        let port = request.url().port_or_known_default().unwrap_or(0);
        Ok(PORT.scope(port, self.project.execute(request)).await?)
    }

    /// For addresses that the operator configured.
    pub fn operator(&self) -> &reqwest::Client {
        &self.operator
    }

    /// The addresses of a server that a project named and that is not called over HTTP, to be connected to as they are;
    /// `plain`: nothing hides what is said from others.
    pub async fn addresses(&self, host: &str, port: u16, plain: bool) -> Result<Vec<SocketAddr>, Refused> {
        let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
        let mut allowed = Vec::new();
        let mut refused = Refused::Unknown;
        for address in found.map_err(|_| Refused::Unknown)? {
            match self.guard.check(address, plain) {
                Ok(()) => allowed.push(address),
                Err(reason) => refused = reason,
            }
        }
        if allowed.is_empty() { Err(refused) } else { Ok(allowed) }
    }

    /// Whether a project may name this URL. A host that is a literal address is decided here; a name is
    /// decided at each connection, and over plain HTTP only if every address that it has now is allowed.
    pub async fn check_url(&self, url: &Url) -> Result<(), Refused> {
        let shape = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(Refused::Shape)?;
        let plain = url.scheme() == "http";
        let (Some(host), true) = (url.host(), shape) else { return Err(Refused::Shape) };
        match host {
            Host::Ipv4(address) => self.guard.check(SocketAddr::new(address.into(), port), plain),
            Host::Ipv6(address) => self.guard.check(SocketAddr::new(address.into(), port), plain),
            Host::Domain(name) if plain => {
                let addresses =
                    tokio::net::lookup_host((name, port)).await.map_err(|_| Refused::PlainHttp)?;
                let mut any = false;
                for address in addresses {
                    any = true;
                    self.guard.check(address, plain)?;
                }
                if any { Ok(()) } else { Err(Refused::PlainHttp) }
            }
            Host::Domain(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound(allow {:?})", self.guard.allow)
    }
}

impl Guard {
    fn check(&self, address: SocketAddr, plain: bool) -> Result<(), Refused> {
        let ip = unwrap_mapped(address.ip());
        self.check_ip(ip, Some(address.port()))?;
        if plain && !self.allow.allows(ip, Some(address.port())) { Err(Refused::PlainHttp) } else { Ok(()) }
    }

    fn check_ip(&self, ip: IpAddr, port: Option<u16>) -> Result<(), Refused> {
        let own = self.own.iter().any(|own| port == Some(own.port()) && reaches(own.ip(), ip));
        if own || (is_reserved(ip) && !self.allow.allows(ip, port)) {
            Err(Refused::Address(ip))
        } else {
            Ok(())
        }
    }
}

/// Whether calling `target` arrives at something that listens on `listener`.
fn reaches(listener: IpAddr, target: IpAddr) -> bool {
    listener == target
        || listener.is_unspecified()
        || (target.is_loopback() && listener.is_loopback())
        || target.is_unspecified()
}

#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_idle_timeout(Duration::from_mins(1))
        .tcp_nodelay(true)
}

struct CheckedResolver(Arc<Guard>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let port = PORT.try_with(|port| *port).ok();
            let mut allowed = Vec::new();
            let mut refused = None;
            for address in tokio::net::lookup_host((name.as_str(), 0)).await? {
                match guard.check_ip(unwrap_mapped(address.ip()), port) {
                    Ok(()) => allowed.push(address),
                    Err(reason) => refused = Some(reason),
                }
            }
            match refused {
                Some(refused) if allowed.is_empty() => {
                    Err(Box::new(refused) as Box<dyn std::error::Error + Send + Sync>)
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// An IPv4 address in IPv6 clothes is what it is inside.
fn unwrap_mapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let octets = v6.octets();
    let last: [u8; 4] = [octets[12], octets[13], octets[14], octets[15]];
    let nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let compatible = v6.segments()[..6] == [0; 6] && !v6.is_loopback() && !v6.is_unspecified();
    let six_to_four = v6.segments()[0] == 0x2002;
    if nat64 || compatible {
        IpAddr::from(last)
    } else if six_to_four {
        IpAddr::from([octets[2], octets[3], octets[4], octets[5]])
    } else {
        address
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Addresses that are not public: the registries of special-purpose addresses (RFC 6890 and its updates).
fn is_reserved(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b == 18 || b == 19))
        }
        IpAddr::V6(v6) => is_reserved_v6(v6),
    }
}

fn is_reserved_v6(v6: Ipv6Addr) -> bool {
    let first = v6.segments()[0];
    // Only 2000::/3 is handed out for the public internet; within it documentation, Teredo and ORCHID are not.
    first & 0xe000 != 0x2000
        || (first == 0x2001 && v6.segments()[1] < 0x0200)
        || (first == 0x2001 && v6.segments()[1] == 0x0db8)
        || (first == 0x3fff && v6.segments()[1] < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(allow: &str) -> Outbound {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Outbound::new(allow.parse().unwrap(), vec!["127.0.0.1:8080".parse().unwrap()]).unwrap()
    }

    async fn check(outbound: &Outbound, url: &str) -> Result<(), Refused> {
        outbound.check_url(&Url::parse(url).unwrap()).await
    }

    #[tokio::test]
    async fn private_and_reserved_addresses_are_refused_in_every_spelling() {
        let outbound = outbound("");
        for host in [
            "127.0.0.1",
            "2130706433",
            "0177.0.0.1",
            "0x7f.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fc00::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[::127.0.0.1]",
            "[2001:db8::1]",
            "[ff02::1]",
        ] {
            let result = check(&outbound, &format!("https://{host}/hook")).await;
            assert!(matches!(result, Err(Refused::Address(_))), "{host}: {result:?}");
        }
        assert_eq!(check(&outbound, "https://93.184.216.34/hook").await, Ok(()));
        assert_eq!(check(&outbound, "https://[2606:2800:220:1::1]/hook").await, Ok(()));
    }

    #[tokio::test]
    async fn plain_http_needs_the_operator() {
        assert_eq!(check(&outbound(""), "http://93.184.216.34/").await, Err(Refused::PlainHttp));
        let allowed = outbound("127.0.0.0/8:9000,93.184.216.0/24");
        assert_eq!(check(&allowed, "http://93.184.216.34/").await, Ok(()));
        assert_eq!(check(&allowed, "http://127.0.0.1:9000/").await, Ok(()));
        assert!(check(&allowed, "http://127.0.0.1:9001/").await.is_err());
    }

    #[tokio::test]
    async fn the_allow_list_opens_neither_the_hub_nor_link_local() {
        let all = outbound("0.0.0.0/0");
        assert!(check(&all, "http://127.0.0.1:8080/").await.is_err());
        assert!(check(&all, "http://0.0.0.0:8080/").await.is_err());
        assert!(check(&all, "http://169.254.169.254/").await.is_err());
        assert!(check(&all, "http://user@127.0.0.1:9000/").await.is_err());
    }

    #[tokio::test]
    async fn a_name_is_checked_when_it_is_connected_to() {
        let outbound = outbound("");
        let call = |outbound: Outbound, url: &str| {
            let request = outbound.request(reqwest::Method::GET, Url::parse(url).unwrap()).build().unwrap();
            async move { format!("{:?}", outbound.send(request).await.unwrap_err()) }
        };
        let error = call(outbound, "https://localhost:9/").await;
        assert!(error.contains("127.0.0.1") || error.contains("::1"), "{error}");
        // The range is open for another port only.
        let error =
            call(super::tests::outbound("127.0.0.0/8:9000,::1/128:9000"), "https://localhost:9/").await;
        assert!(error.contains("Address("), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_called_over_http_is_checked_too() {
        let closed = outbound("");
        assert!(matches!(closed.addresses("127.0.0.1", 25, false).await, Err(Refused::Address(_))));
        assert!(matches!(closed.addresses("localhost", 25, false).await, Err(Refused::Address(_))));
        assert!(matches!(closed.addresses("[::1]", 25, false).await, Err(Refused::Address(_))));
        assert_eq!(closed.addresses("93.184.216.34", 587, false).await.unwrap().len(), 1);
        assert_eq!(closed.addresses("93.184.216.34", 587, true).await, Err(Refused::PlainHttp));
        let open = outbound("127.0.0.0/8:2525");
        assert_eq!(open.addresses("127.0.0.1", 2525, true).await.unwrap().len(), 1);
        assert!(open.addresses("127.0.0.1", 8080, true).await.is_err());
    }

    #[test]
    fn wrong_ranges_are_named() {
        assert!("10.0.0.0".parse::<AllowList>().unwrap_err().contains("10.0.0.0"));
        assert!("10.0.0.0/8:x".parse::<AllowList>().is_err());
    }
}
