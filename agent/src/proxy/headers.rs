//! Which headers go on, and which come back.
//!
//! Dropped both ways are those that belong to one connection (RFC 9110, section 7.6.1), with those
//! that `Connection` names; towards the hub also the caller's key, since the agent puts its own, and
//! whatever claims to be from a proxy.

use axum::http::header::{AUTHORIZATION, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST};
use axum::http::{HeaderMap, HeaderName};

const OF_ONE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The request's headers, for the hub.
pub(super) fn onward(headers: &HeaderMap) -> HeaderMap {
    let own = [AUTHORIZATION, HOST, EXPECT, COOKIE, FORWARDED];
    let named = named(headers);
    keep(headers, |name| {
        let claimed = name.as_str().starts_with("x-forwarded-") || name == "x-api-key";
        !claimed && !own.contains(name) && !named.contains(&name.as_str().to_owned())
    })
}

/// The answer's headers, for the caller. Its length stays: the body goes through byte by byte.
pub(super) fn back(headers: &HeaderMap) -> HeaderMap {
    let named = named(headers);
    keep(headers, |name| !named.contains(&name.as_str().to_owned()))
}

fn keep(headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !OF_ONE_CONNECTION.contains(&name.as_str()) && wanted(name));
    let mut result = HeaderMap::with_capacity(headers.len());
    for (name, value) in kept {
        result.append(name, value.clone());
    }
    result
}

/// What `Connection` names, in lower case.
fn named(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_callers_key_and_the_connections_headers_stay_here() {
        let pairs = [
            ("x-api-key", "k"),
            ("authorization", "Bearer k"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("host", "localhost"),
            ("idempotency-key", "order-1"),
            ("prefer", "wait=3"),
        ];
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let mut names: Vec<_> = onward(&headers).keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["idempotency-key", "prefer"]);
    }
}
