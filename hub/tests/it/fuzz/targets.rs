//! The doors, and how an input becomes a request.

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::support::TestApp;

/// A door.
pub(super) struct Target {
    pub(super) name: &'static str,
    /// What its parsers know.
    pub(super) words: &'static [&'static str],
    request: fn(&Door, &[u8]) -> Option<Request<Body>>,
}

/// Every door that takes bytes from outside.
pub(super) const TARGETS: [Target; 14] = [
    Target {
        name: "batch",
        words: &["operations", "kind", "event", "notification", "payment", "accepted_at", "body"],
        // The first byte says how the rest is compressed.
        request: |door, input| {
            let (first, rest) = input.split_first()?;
            let encoding = ["identity", "gzip", "zstd"][usize::from(*first) % 3];
            let request = door.request("POST", "/v1/batch").header(header::CONTENT_ENCODING, encoding);
            request.body(rest.to_vec().into()).ok()
        },
    },
    Target {
        name: "endpoint",
        words: &[
            "http://[::1]/",
            "https://user@h/",
            "agent:///a/../b",
            "agent:////x",
            "https://0x7f.1/",
            "*",
            "order.*",
            "retry_schedule",
            "headers",
        ],
        request: |door, input| door.post("/v1/webhook-endpoints", input),
    },
    Target {
        name: "event",
        words: &["type", "order.created", "order.paid", "occurred_at", "order_id", "items", "total"],
        request: |door, input| door.post("/v1/events", input),
    },
    Target {
        name: "headers",
        words: &[
            "Bearer ",
            "tk_live_",
            "wait=9",
            "respond-async",
            "x-request-id",
            "idempotency-key",
            "prefer",
            "x-api-key",
            "authorization",
        ],
        // A field a line.
        request: |_, input| {
            let mut request = Request::builder().method("POST").uri("/v1/events");
            for line in input.split(|byte| *byte == b'\n') {
                let colon = line.iter().position(|byte| *byte == b':')?;
                request = request.header(&line[..colon], &line[colon + 1..]);
            }
            request.body(r#"{"type": "gift.made", "data": {}}"#.into()).ok()
        },
    },
    Target {
        name: "heartbeat",
        words: &["agent_id", "status", "buffered", "oldest_seconds", "dead_letters", "hub"],
        request: |door, input| door.post("/v1/agent/heartbeat", input),
    },
    Target {
        name: "lists",
        words: &[
            "limit=",
            "cursor=",
            "created_after=",
            "created_before=",
            "status=",
            "order_id=",
            "type=",
            "&",
            "%ff",
            "+",
        ],
        // A list and its query.
        request: |door, input| {
            const LISTS: [&str; 7] = [
                "events",
                "webhook-deliveries",
                "notifications",
                "payments",
                "payment-cases",
                "suppressions",
                "templates",
            ];
            let (first, query) = input.split_first()?;
            let query = std::str::from_utf8(query).ok()?;
            let uri = format!("/v1/{}?{query}", LISTS[usize::from(*first) % LISTS.len()]);
            door.request("GET", &uri).body(Body::empty()).ok()
        },
    },
    Target {
        name: "notice",
        words: &["data.id=", "type=payment", "topic=", "id=", "ts=", ",v1=", "&", "resource", "action"],
        // A query, two fields and a body, a line each.
        request: |door, input| {
            let mut lines = input.splitn(4, |byte| *byte == b'\n');
            let query = std::str::from_utf8(lines.next()?).ok()?;
            let (signature, id, body) = (lines.next()?, lines.next()?, lines.next()?);
            let uri = format!("/webhooks/mercadopago/{}?{query}", door.project);
            let request = Request::builder().method("POST").uri(uri);
            let request = request.header("x-signature", signature).header("x-request-id", id);
            request.body(body.to_vec().into()).ok()
        },
    },
    Target {
        name: "notification",
        words: &[
            "to",
            "template",
            "subject",
            "html",
            "attachments",
            "send_at",
            "expires_at",
            "metadata",
            "a@b.example",
            "\"A\" <a@b>",
            "locale",
        ],
        request: |door, input| door.post("/v1/notifications", input),
    },
    Target {
        name: "payment",
        words: &[
            "amount",
            "1500.00",
            "ARS",
            "CLP",
            "checkout",
            "pix",
            "card",
            "payer",
            "items",
            "back_urls",
            "installments",
            "expires_at",
        ],
        request: |door, input| {
            let request = door.request("POST", "/v1/payments").header("idempotency-key", "fuzz");
            request.header("prefer", "respond-async").body(input.to_vec().into()).ok()
        },
    },
    Target {
        name: "phone",
        words: &["+54 9 11", "15", "00", "(", ")", "+52 1", "\u{a0}", "+55", "x123"],
        request: |door, input| {
            let to = String::from_utf8_lossy(input);
            let body = json!({"channel": "whatsapp", "to": to, "text": "x"});
            door.post("/v1/notifications", body.to_string().as_bytes())
        },
    },
    Target {
        name: "poll",
        words: &["agent_id", "wait", "max", "status"],
        request: |door, input| {
            // It is not waited for.
            let mut body: Option<Value> = serde_json::from_slice(input).ok();
            if let Some(wait) = body.as_mut().and_then(|body| body.get_mut("wait")) {
                if wait.as_u64().is_some_and(|seconds| seconds > 0) {
                    *wait = json!(0);
                }
            } else if let Some(Value::Object(fields)) = &mut body {
                fields.insert("wait".to_owned(), json!(0));
            }
            let text = body.map_or_else(|| input.to_vec(), |body| body.to_string().into_bytes());
            door.post("/v1/agent/poll", &text)
        },
    },
    Target {
        name: "results",
        words: &["agent_id", "results", "lease", "status", "error", "duration_ms", "response", "1."],
        request: |door, input| door.post("/v1/agent/results", input),
    },
    Target {
        name: "smtp_account",
        words: &["host", "port", "security", "starttls", "username", "password", "sender", "position"],
        request: |door, input| door.post("/v1/smtp-accounts", input),
    },
    Target {
        name: "template",
        words: &[
            "{{ ",
            " }}",
            "{% for a in b %}",
            "{% endfor %}",
            "<mjml>",
            "<mj-body>",
            "<style>",
            "| money('ARS')",
            "<mj-text>",
            "channel",
            "sample",
        ],
        request: |door, input| door.request("PUT", "/v1/templates/fuzzed").body(input.to_vec().into()).ok(),
    },
];

pub(super) fn find(name: &str) -> Target {
    TARGETS.into_iter().find(|target| target.name == name).unwrap()
}

/// A hub and a project without limits.
pub(super) struct Door {
    test: TestApp,
    project: String,
    key: String,
}

impl Door {
    pub(super) async fn open(pool: PgPool) -> Self {
        let test = TestApp::new(pool).await;
        let (project, key) = test.project().await;
        let most = 1_000_000_000;
        let limits = json!({"requests_per_minute": most, "events_per_day": most, "emails_per_day": most,
            "whatsapp_per_day": most, "payments_per_day": most, "endpoints": most});
        let set = test.admin("PUT", &format!("/admin/v1/projects/{project}/limits"), limits).await;
        assert_eq!(set.status, 200, "{set:?}");
        Self { test, project, key }
    }

    fn request(&self, method: &str, uri: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(uri).header("x-api-key", &self.key)
    }

    fn post(&self, path: &str, body: &[u8]) -> Option<Request<Body>> {
        self.request("POST", path).body(body.to_vec().into()).ok()
    }

    /// What came of an input, or what must not come of any.
    pub(super) async fn send(&self, target: &Target, input: &[u8]) -> Result<String, String> {
        // What is no HTTP never comes here.
        let Some(request) = (target.request)(self, input) else { return Ok("no request".to_owned()) };
        let response = self.test.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let status = parts.status.as_u16();
        if status >= 500 {
            return Err(format!("{status} {}", String::from_utf8_lossy(&bytes)));
        }
        if status < 400 {
            return Ok(status.to_string());
        }
        let problem: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{status}: {error}"))?;
        let kind = parts.headers.get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
        if kind != Some(b"application/problem+json")
            || !problem["code"].is_string()
            || !problem["request_id"].is_string()
        {
            return Err(format!("{status} is no problem document: {problem}"));
        }
        let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Where, without the numbers of a list and the names that the hub does not know: of those there is no end.
        let name = |part: &str| match part {
            part if part.bytes().all(|c| c.is_ascii_digit()) => String::new(),
            part if target.words.iter().any(|word| word.contains(part)) => part.to_owned(),
            _ => "?".to_owned(),
        };
        let places = errors.iter().map(|error| {
            let pointer = error["pointer"].as_str().unwrap_or_default();
            let place: Vec<String> = pointer.split('/').map(name).collect();
            place.join("/")
                + error["message"].as_str().unwrap_or_default().split(' ').next().unwrap_or_default()
        });
        let mut places: Vec<String> = places.collect();
        places.sort();
        places.dedup();
        places.truncate(4);
        Ok(format!("{status} {} {}", problem["code"], places.join(" ")))
    }
}
