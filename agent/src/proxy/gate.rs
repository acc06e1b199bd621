//! What does not go through the agent.
//!
//! Segments are looked at decoded, and paths that could mean something else at the hub than here
//! (`..`, encoded slashes, empty segments) are refused.

use axum::http::Method;
use trastienda_protocol::problem::Problem;

use crate::server::Refusal;

/// Lets through what is the shop's to ask for.
pub(super) fn check(method: &Method, path: &str) -> Result<(), Refusal> {
    let segments = segments(path).ok_or_else(|| {
        Problem::new(
            400,
            "invalid_path",
            "Invalid path",
            "the path has empty, relative or doubly encoded segments",
        )
    })?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let reserved = match segments.as_slice() {
        ["admin", ..] => Some("administration"),
        ["v1", "payment-providers", ..] if method != Method::GET && method != Method::HEAD => {
            Some("payment providers' credentials")
        }
        ["v1", "smtp-accounts", ..] if method != Method::GET && method != Method::HEAD => {
            Some("an SMTP account's credentials")
        }
        ["v1", .., "rotate-secret"] => Some("rotating secrets"),
        _ => None,
    };
    if let Some(what) = reserved {
        let detail = format!("{what} does not go through the agent: ask the hub itself");
        return Err(Problem::new(403, "not_through_the_agent", "Not through the agent", detail).into());
    }
    if segments.first() != Some(&"v1") || segments.len() < 2 {
        return Err(Problem::new(404, "not_found", "Not found", "the agent has nothing at this path").into());
    }
    Ok(())
}

/// The decoded segments; `None` when a path is not what it seems.
fn segments(path: &str) -> Option<Vec<String>> {
    let decoded: Option<Vec<String>> = path.strip_prefix('/')?.split('/').map(decode).collect();
    decoded.filter(|segments| segments.iter().all(|segment| is_plain(segment)))
}

fn is_plain(segment: &str) -> bool {
    let strange = |c: char| matches!(c, '/' | '\\' | '%' | ';') || c.is_control();
    !segment.is_empty() && segment != "." && segment != ".." && !segment.contains(strange)
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next())? << 4 | digit(rest.next())?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, path: &str) -> Option<u16> {
        check(method, path).err().map(|refusal| refusal.status())
    }

    #[test]
    fn the_shops_own_calls_pass() {
        for path in [
            "/v1/payments/pay_1",
            "/v1/features",
            "/v1/templates/order%2Dpaid",
            "/v1/suppressions/ana@example.com",
        ] {
            assert_eq!(status(&Method::GET, path), None, "{path}");
        }
        assert_eq!(status(&Method::GET, "/v1/payment-providers"), None);
        assert_eq!(status(&Method::POST, "/v1/webhook-endpoints/whe_1/test"), None);
    }

    #[test]
    fn administration_and_secrets_do_not() {
        let put = Method::PUT;
        for path in [
            "/admin/v1/projects",
            "/%61dmin/v1/projects",
            "/v1/payment-providers/mercadopago",
            "/v1/payment%2Dproviders/mercadopago",
            "/v1/smtp-accounts/sma_1",
            "/v1/webhook-endpoints/whe_1/rotate-secret",
        ] {
            assert_eq!(status(&put, path), Some(403), "{path}");
        }
        for path in ["/healthz", "/", "/v1", "/openapi.json"] {
            assert!(matches!(status(&Method::GET, path), Some(400 | 404)), "{path}");
        }
    }

    #[test]
    fn paths_that_are_not_what_they_seem_are_refused() {
        for path in [
            "/v1/../admin/v1/projects",
            "/v1/x/%2e%2e/%2E%2e/admin",
            "/v1//payment-providers",
            "/v1/x%2f..%2fadmin",
            "/v1/%252e%252e/admin",
            "/v1/./events",
            "/v1/events%",
            "/v1/..;/admin",
        ] {
            assert_eq!(status(&Method::PUT, path), Some(400), "{path}");
        }
    }
}
