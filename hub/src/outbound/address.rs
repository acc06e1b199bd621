//! Which addresses a project may name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

use ipnet::IpNet;

/// Private ranges that the operator opened.
#[derive(Debug, Clone, Default)]
pub struct AllowList(Vec<(IpNet, Option<u16>)>);

impl AllowList {
    // A range that is opened for one port does not allow a connection whose port is not known.
    fn allows(&self, address: IpAddr, port: Option<u16>) -> bool {
        let opened = |(net, only): &(IpNet, Option<u16>)| {
            net.contains(&address) && only.is_none_or(|only| port == Some(only))
        };
        !is_never_opened(address) && self.0.iter().any(opened)
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
    /// Not a web address.
    #[error("must be an absolute `https://` URL without user, password or fragment")]
    Shape,
}

/// What a connection is for. A resolver is told names only, and a range may be opened for one port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    pub(super) port: u16,
    /// Without TLS.
    pub(super) plain: bool,
}

/// Decides on addresses.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) allow: AllowList,
    pub(super) own: Vec<SocketAddr>,
}

impl Guard {
    /// Whether this address may be connected to. An unknown purpose is the worst one.
    pub(super) fn check(&self, address: IpAddr, purpose: Option<Purpose>) -> Result<(), Refused> {
        let ip = unwrap_v4(address);
        let port = purpose.map(|purpose| purpose.port);
        let is_own = |own: &SocketAddr| port.is_none_or(|port| port == own.port()) && reaches(own.ip(), ip);
        let allowed = self.allow.allows(ip, port);
        if self.own.iter().any(is_own) || is_never_opened(ip) || (is_reserved(ip) && !allowed) {
            Err(Refused::Address(ip))
        } else if purpose.is_none_or(|purpose| purpose.plain) && !allowed {
            Err(Refused::PlainHttp)
        } else {
            Ok(())
        }
    }
}

/// Whether calling `target` arrives at something that listens on `listener`.
fn reaches(listener: IpAddr, target: IpAddr) -> bool {
    listener == target
        || (target.is_loopback() && listener.is_loopback())
        || target.is_unspecified()
        || (listener.is_unspecified() && is_of_this_host(target))
}

/// Only an address of one's own can be bound.
fn is_of_this_host(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// What arrives at an IPv4 address by the system itself or by a NAT64 gateway is that address.
fn unwrap_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    v6.to_ipv4_mapped().or_else(|| nat64.then(|| last_v4(v6))).map_or(address, IpAddr::V4)
}

fn last_v4(v6: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = v6.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// Every IPv4 address that an IPv6 address could be a tunnel to.
fn embedded_v4(v6: Ipv6Addr) -> Vec<Ipv4Addr> {
    let o = v6.octets();
    match v6.segments() {
        // IPv4-compatible, and NAT64's own prefix.
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![last_v4(v6)],
        // NAT64 of a network's own choice: the prefix may be 48, 56, 64 or 96 bits long (RFC 6052).
        [0x64, 0xff9b, 1, ..] => vec![
            Ipv4Addr::new(o[6], o[7], o[9], o[10]),
            Ipv4Addr::new(o[7], o[9], o[10], o[11]),
            Ipv4Addr::new(o[9], o[10], o[11], o[12]),
            last_v4(v6),
        ],
        // 6to4.
        [0x2002, ..] => vec![Ipv4Addr::new(o[2], o[3], o[4], o[5])],
        // Teredo: the server, and the client with its bits turned.
        [0x2001, 0, ..] => {
            vec![Ipv4Addr::new(o[4], o[5], o[6], o[7]), Ipv4Addr::from_bits(!last_v4(v6).to_bits())]
        }
        _ => Vec::new(),
    }
}

/// Link-local, and the addresses where clouds tell a machine its secrets: no allow list opens them.
pub(super) fn is_never_opened(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || matches!(v4.octets(), [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192])
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || matches!(
                    v6.segments(),
                    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
                )
                || embedded_v4(v6).into_iter().any(|v4| is_never_opened(v4.into()))
        }
    }
}

/// Addresses that are not public: the registries of special-purpose addresses (RFC 6890 and its updates). Also those of
/// them that are reachable: nobody's shop is there.
pub(super) fn is_reserved(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_reserved_v4(v4),
        IpAddr::V6(v6) => is_reserved_v6(v6),
    }
}

fn is_reserved_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        || matches!(
            (a, b, c),
            (100, 64..128, _)
                | (198, 18 | 19, _)
                | (192, 0, 0)
                | (192, 31, 196)
                | (192, 52, 193)
                | (192, 88, 99)
                | (192, 175, 48)
        )
}

fn is_reserved_v6(v6: Ipv6Addr) -> bool {
    let [first, second, third, ..] = v6.segments();
    // Only 2000::/3 is handed out for the public internet; within it protocols (Teredo, ORCHID), documentation, 6to4
    // and the black hole for reverse look-ups are not.
    first & 0xe000 != 0x2000
        || (first == 0x2001 && second < 0x0200)
        || (first == 0x2001 && second == 0x0db8)
        || first == 0x2002
        || (first, second, third) == (0x2620, 0x004f, 0x8000)
        || (first == 0x3fff && second < 0x1000)
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
