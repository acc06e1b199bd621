//! What a request must carry, by the door it came through.
//!
//! The socket's file rights are its authentication; a key sent along must still be the agent's own,
//! so that a shop with another project's key learns it at once. The loopback door can be reached by
//! any process of the host and, through a browser, by any web page: it asks for the key, for a loopback
//! `Host` (a page that rebinds its name cannot send one) and for JSON (a page cannot send that without
//! asking first).

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq as _;
use trastienda_protocol::problem::Problem;

use super::Refusal;
use crate::agent::Core;

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// The Unix socket.
    Socket,
    /// The loopback port.
    Tcp,
}

/// Lets a request in, or says what is missing.
pub(super) fn check(core: &Core, door: Door, headers: &HeaderMap) -> Result<(), Refusal> {
    if door == Door::Tcp {
        check_host(headers)?;
    }
    let mut keys = keys(headers).peekable();
    if keys.peek().is_some() {
        let live = core.live();
        let own = live.api_key.expose().as_bytes();
        if !keys.all(|key| bool::from(key.ct_eq(own))) {
            return Err(unauthorized("the key sent along is not this agent's own"));
        }
    } else if door == Door::Tcp {
        return Err(unauthorized("the loopback port asks for the project's key in `X-API-KEY`"));
    }
    if door == Door::Tcp && has_body(headers) && !is_json(headers) {
        return Err(Problem::new(
            415,
            "unsupported_media_type",
            "Unsupported media type",
            "the loopback port takes bodies of `Content-Type: application/json` only",
        )
        .into());
    }
    Ok(())
}

/// Every key that was sent along.
fn keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let named = headers.get_all("x-api-key").iter().map(HeaderValue::as_bytes);
    let bearer = headers.get_all(AUTHORIZATION).iter().map(|value| {
        let (scheme, token) = value.as_bytes().split_at(value.len().min(7));
        // Anything but a bearer token is a key that fits nothing.
        if scheme.eq_ignore_ascii_case(b"bearer ") { token.trim_ascii() } else { b"" }
    });
    named.chain(bearer)
}

fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    };
    if is_loopback(host) {
        return Ok(());
    }
    Err(Problem::new(
        403,
        "host_not_loopback",
        "Host not loopback",
        "the loopback port answers to `Host: 127.0.0.1`, `[::1]` and `localhost` only",
    )
    .into())
}

/// Whether a `Host` header's value names this host by a loopback name.
fn is_loopback(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !name.ends_with(':') => name,
        Some(_) if !host.ends_with(']') => return false,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn unauthorized(detail: &str) -> Refusal {
    Problem::new(401, "unauthorized", "Unauthorized", detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for host in [
            "localhost",
            "LOCALHOST:7070",
            "127.0.0.1",
            "127.0.0.1:7070",
            "127.1.2.3:1",
            "[::1]",
            "[::1]:7070",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "shop.example",
            "127.0.0.1.nip.io",
            "localhost.evil.example:80",
            "10.0.0.1",
            "[::2]:1",
            "localhost:x",
            ":80",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn every_key_sent_along_is_seen() {
        let mut headers = HeaderMap::new();
        headers.append("x-api-key", HeaderValue::from_static("a"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("bearer  b"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic c"));
        assert_eq!(keys(&headers).collect::<Vec<_>>(), [b"a".as_slice(), b"b", b""]);
    }
}
