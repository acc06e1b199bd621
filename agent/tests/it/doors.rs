//! What passes through, what does not, and who is let in.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Client, StubHub, TestAgent, key};

#[tokio::test]
async fn everything_else_passes_through_with_the_agent_s_key() {
    let hub = StubHub::start().await;
    let agent = TestAgent::start(&hub).await;
    let mut client = agent.client().await;
    let answer =
        client.post("/v1/webhook-endpoints?x=1", &[("idempotency-key", "k")], &json!({"url": "u"})).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-from")), (201, Some("hub")));
    assert!(answer.header("ratelimit").is_some());
    assert_eq!(answer.json()["line"], "POST /v1/webhook-endpoints?x=1");
    let (_, headers, body) = hub.passed().pop().unwrap();
    assert_eq!(headers["authorization"], format!("Bearer {}", hub.key().expose()));
    assert_eq!(
        (headers["idempotency-key"].to_str().unwrap(), body.as_ref()),
        ("k", br#"{"url":"u"}"#.as_slice())
    );
    // A mail that must be answered with its link is not buffered.
    let wanted = json!({"channel": "whatsapp", "to": "+541123456789", "text": "Hola"});
    assert_eq!(client.post("/v1/notifications", &[("prefer", "wait=5")], &wanted).await.status, 201);
}

#[tokio::test]
async fn an_answer_is_streamed_as_it_comes() {
    use http_body_util::BodyExt as _;
    let hub = StubHub::start().await;
    let agent = TestAgent::start(&hub).await;
    let answer = agent.client().await.begin(Method::GET, "/v1/halves", &[], "").await.unwrap();
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first.as_ref(), b"first ");
    hub.release_second_half();
    assert_eq!(body.collect().await.unwrap().to_bytes().as_ref(), b"second");
}

#[tokio::test]
async fn without_the_hub_what_passes_through_is_refused_at_once() {
    let hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    let answer = agent.client().await.get("/v1/project").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "hub_unreachable"));
}

#[tokio::test]
async fn the_operator_s_addresses_do_not_pass() {
    let hub = StubHub::start().await;
    let agent = TestAgent::start(&hub).await;
    let mut client = agent.client().await;
    for (method, path) in [
        (Method::GET, "/admin/v1/projects"),
        (Method::POST, "/v1/webhook-endpoints/whe_0192f0c1d2e37a4b8c5d6e7f8091a2b3/rotate-secret"),
        (Method::PUT, "/v1/payment-providers/mercadopago"),
    ] {
        let answer = client.send(method, path, &[], "{}").await.unwrap();
        assert!([403, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
        answer.problem();
    }
    assert!(hub.passed().is_empty());
}

#[tokio::test]
async fn the_socket_is_for_its_group_and_a_key_sent_along_must_be_its_own() {
    let hub = StubHub::start().await;
    let agent = TestAgent::start(&hub).await;
    let mode = std::fs::metadata(&agent.config.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut client = agent.client().await;
    let event = json!({"type": "a.b", "data": {}});
    let (own, other) = (hub.key(), key());
    assert_eq!(client.post("/v1/events", &[("x-api-key", own.expose())], &event).await.status, 202);
    let refused = client.post("/v1/events", &[("x-api-key", other.expose())], &event).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (401, "unauthorized"));
}

#[tokio::test]
async fn the_port_asks_for_the_key_a_loopback_host_and_json() {
    let hub = StubHub::start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let agent = TestAgent::start_with(&hub, |config| config.listen = Some(address)).await;
    let (own, other) = (agent.config.api_key.clone(), key());
    let event = json!({"type": "a.b", "data": {}});
    let send = async |headers: &[(&str, &str)], body: &Value| {
        Client::tcp(address).await.post("/v1/events", headers, body).await.status.as_u16()
    };
    let (host, kind) = (("host", "127.0.0.1"), ("content-type", "application/json"));
    assert_eq!(send(&[host, kind, ("x-api-key", own.expose())], &event).await, 202);
    assert_eq!(send(&[host, kind], &event).await, 401);
    assert_eq!(send(&[host, kind, ("x-api-key", other.expose())], &event).await, 401);
    assert_ne!(send(&[("host", "evil.example.com"), kind, ("x-api-key", own.expose())], &event).await, 202);
    assert_ne!(send(&[host, ("content-type", "text/plain"), ("x-api-key", own.expose())], &event).await, 202);
}

#[tokio::test]
async fn a_hub_that_does_not_answer_is_left_alone_for_some_seconds() {
    let mut hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    for _ in 0..6 {
        assert_eq!(agent.client().await.get("/v1/payments").await.problem(), "hub_unreachable");
    }
    assert_eq!(agent.agent().metrics().pass_spared.get(), 1, "the sixth did not even try");
    hub.come().await;
    assert_eq!(agent.client().await.get("/v1/payments").await.problem(), "hub_unreachable");
    agent.clock.advance(chrono::TimeDelta::seconds(6));
    assert_eq!(agent.client().await.get("/v1/payments").await.status, 201);
    assert_eq!(agent.client().await.get("/v1/payments").await.status, 201);
}

#[tokio::test]
async fn the_project_is_told_from_memory_while_the_hub_is_away_and_marked() {
    let mut hub = StubHub::start().await;
    let mut agent = TestAgent::start(&hub).await;
    agent.until("hub", "up").await;
    let fresh = agent.client().await.get("/v1/project").await;
    assert_eq!((fresh.status.as_u16(), fresh.header("trastienda-stale")), (200, None));
    hub.go().await;
    agent.stop().await;
    agent.start_again().await;
    agent.clock.advance(chrono::TimeDelta::seconds(90));
    let stale = agent.client().await.get("/v1/project").await;
    assert_eq!((stale.status.as_u16(), stale.header("trastienda-stale")), (200, Some("true")));
    assert!(stale.header("age").unwrap().parse::<u64>().unwrap() >= 90);
    assert_eq!(stale.json(), fresh.json());
}
