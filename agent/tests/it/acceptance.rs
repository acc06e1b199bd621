//! What is taken, what is refused, and what a repeat gets.

use std::sync::Arc;

use axum::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};
use trastienda_agent::buffer::Limits;
use trastienda_protocol::ids::{EventId, Id as _, IdSource as _, RandomIds};

use crate::support::{StubHub, TestAgent, eventually};

fn event(order: usize) -> Value {
    json!({"type": "order.created", "data": {"order_id": format!("A-{order}"), "total": "1500.00"}})
}

#[tokio::test]
async fn calls_taken_while_the_hub_is_away_all_arrive_exactly_once_when_it_is_back() {
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    let mut client = agent.client().await;
    let mut ids = Vec::new();
    for order in 0..50 {
        let answer = client.post("/v1/events", &[], &event(order)).await;
        assert_eq!(answer.status, 202);
        let body = answer.json();
        assert_eq!(body["type"], "order.created");
        assert!(body["created_at"].as_str().unwrap().ends_with('Z'));
        ids.push(body["id"].as_str().unwrap().to_owned());
    }
    let mail = json!({"channel": "email", "to": "ana@example.com", "template": "gracias", "data": {"n": 1}});
    let answer = client.post("/v1/notifications", &[], &mail).await;
    assert_eq!(answer.status, 202);
    let body = answer.json();
    assert_eq!((&body["channel"], &body["status"]), (&json!("email"), &json!("pending")));
    assert!(body["id"].as_str().unwrap().starts_with("ntf_"));
    ids.push(body["id"].as_str().unwrap().to_owned());

    let status = agent.status().await;
    assert_eq!((&status["hub"], &status["buffered"]), (&json!("down"), &json!(51)));
    assert!(status["disk_bytes"].as_u64().unwrap() > 0);

    hub.come().await;
    agent.until("buffered", 0).await;
    // The mail does not wait behind the events, which keep their order.
    let order = hub.order();
    let events = |ids: &[String]| ids.iter().filter(|id| id.starts_with("evt_")).cloned().collect::<Vec<_>>();
    assert_eq!((order.len(), events(&order)), (51, events(&ids)));
    let taken = hub.taken();
    assert!(taken.contains_key(&ids[50]));
    assert!(taken.values().all(|taken| taken.times == 1));
    assert_eq!(taken[&ids[7]].operation.body, event(7));
    assert_eq!(agent.status().await["hub"], "up");

    // And again after it has gone a second time.
    hub.go().await;
    let late = client.post("/v1/events", &[], &event(99)).await.json()["id"].as_str().unwrap().to_owned();
    agent.stop().await;
    agent.start_again().await;
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.taken()[&late].times, 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_all_at_once() {
    let hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    let mut client = agent.client().await;
    let wrong = json!({"type": "Order", "data": 7, "occurred_at": "ayer", "extra": 1});
    let answer = client.post("/v1/events", &[("x-request-id", "req-7")], &wrong).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "validation_failed"));
    let body = answer.json();
    assert_eq!(body["request_id"], "req-7");
    let pointers: Vec<_> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(pointers, ["/type", "/data", "/occurred_at", "/extra"]);

    let unknown = json!({"type": "stock.low", "data": {}, "extra": 1});
    assert_eq!(client.post("/v1/events", &[], &unknown).await.problem(), "unknown_field");
    let answer = client.send(Method::POST, "/v1/events", &[], "{").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "invalid_json"));
    let answer = client.post("/v1/events", &[("idempotency-key", "ñ")], &event(1)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "invalid_idempotency_key"));
    let big = json!({"type": "stock.low", "data": {"x": "y".repeat(300 * 1024)}});
    let answer = agent.client().await.post("/v1/events", &[], &big).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "body_too_large"));
    let mut mail =
        json!({"channel": "email", "to": "a@b.co", "subject": "s", "html": "y".repeat(300 * 1024)});
    assert_eq!(agent.client().await.post("/v1/notifications", &[], &mail).await.status, 202);
    mail["text"] = json!("z".repeat(10 * 1024 * 1024));
    assert_eq!(agent.client().await.post("/v1/notifications", &[], &mail).await.status, 413);

    let far = agent.now() + TimeDelta::minutes(6);
    let id = EventId::from_uuid(RandomIds.uuid(far)).to_string();
    let answer = client.post("/v1/events", &[], &json!({"id": id, "type": "stock.low", "data": {}})).await;
    assert_eq!(answer.json()["errors"][0]["pointer"], "/id");
    let deep = format!(r#"{{"type":"stock.low","data":{{"x":{}{}}}}}"#, "[".repeat(120), "]".repeat(120));
    assert_eq!(client.send(Method::POST, "/v1/events", &[], deep).await.unwrap().status, 422);
    assert_eq!(agent.status().await["buffered"], 1);
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_another_body_is_refused() {
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    let mut client = agent.client().await;
    let id = EventId::from_uuid(RandomIds.uuid(agent.now())).to_string();
    let mut with_id = event(1);
    with_id["id"] = json!(id);
    let first = client.post("/v1/events", &[("idempotency-key", "k-1")], &with_id).await;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (202, None));
    assert_eq!(first.json()["id"], id);

    agent.clock.advance(TimeDelta::seconds(30));
    for (round, headers, body) in [
        ("same id", vec![], with_id.clone()),
        ("same key, no id", vec![("idempotency-key", "k-1")], event(1)),
        ("both", vec![("idempotency-key", "k-1")], with_id.clone()),
    ] {
        let repeat = client.post("/v1/events", &headers, &body).await;
        assert_eq!(repeat.status, 202, "{round}");
        assert_eq!(repeat.json(), first.json(), "{round}");
        assert_eq!(repeat.header("idempotent-replayed"), Some("true"), "{round}");
    }
    let mut other = event(2);
    assert_eq!(
        client.post("/v1/events", &[("idempotency-key", "k-1")], &other).await.problem(),
        "idempotency_key_reused"
    );
    other["id"] = json!(id);
    let refused = client.post("/v1/events", &[], &other).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (422, "idempotency_key_reused"));
    // The same key for another kind of call is another call.
    let mail = json!({"channel": "whatsapp", "to": "+5491123456789", "text": "Hola"});
    assert_eq!(client.post("/v1/notifications", &[("idempotency-key", "k-1")], &mail).await.status, 422);
    assert_eq!(agent.status().await["buffered"], 1);

    // The receipt outlives forwarding and a restart, for seven days.
    hub.come().await;
    agent.until("buffered", 0).await;
    agent.stop().await;
    agent.clock.advance(TimeDelta::days(6));
    agent.start_again().await;
    let mut client = agent.client().await;
    let repeat = client.post("/v1/events", &[], &with_id).await;
    assert_eq!((repeat.json(), repeat.header("idempotent-replayed")), (first.json(), Some("true")));
    agent.stop().await;
    agent.clock.advance(TimeDelta::days(2));
    agent.start_again().await;
    let answer = eventually("the receipt is forgotten", || async {
        let answer = agent.client().await.post("/v1/events", &[], &with_id).await;
        answer.header("idempotent-replayed").is_none().then_some(answer)
    })
    .await;
    assert_eq!(answer.json()["id"], id);
    agent.until("buffered", 0).await;
    assert_eq!(hub.taken().len(), 1);
}

#[tokio::test]
async fn a_full_buffer_refuses_new_calls_and_keeps_the_old() {
    let mut hub = StubHub::away().await;
    let limits = Limits { max_bytes: 10_000, max_rows: 3, min_free: Some(0) };
    let agent = TestAgent::start_with(&hub, |config| config.limits = limits).await;
    let mut client = agent.client().await;
    let big = json!({"type": "stock.low", "data": {"x": "y".repeat(9_900)}});
    let answer = client.post("/v1/events", &[], &big).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (507, "buffer_full"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("TRASTIENDA_BUFFER_MAX_BYTES"));
    for order in 0..3 {
        assert_eq!(
            client.post("/v1/events", &[("idempotency-key", &order.to_string())], &event(order)).await.status,
            202
        );
    }
    let answer = client.post("/v1/events", &[], &event(3)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (507, "buffer_full"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("TRASTIENDA_BUFFER_MAX_ROWS"));
    // A repeat needs no room.
    assert_eq!(client.post("/v1/events", &[("idempotency-key", "1")], &event(1)).await.status, 202);
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.taken().len(), 3);
    assert_eq!(client.post("/v1/events", &[], &event(3)).await.status, 202);
}

#[tokio::test]
async fn calls_that_arrive_together_share_commits() {
    const CALLERS: usize = 64;
    let hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    // However fast the disk is: while somebody else holds the database, the first commit waits and the calls gather.
    let other = rusqlite::Connection::open(agent.config.data_dir.join("buffer.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let mut callers = tokio::task::JoinSet::new();
    let started = Arc::new(tokio::sync::Barrier::new(CALLERS + 1));
    for caller in 0..CALLERS {
        let mut client = agent.client().await;
        let started = Arc::clone(&started);
        callers.spawn(async move {
            started.wait().await;
            assert_eq!(client.post("/v1/events", &[], &event(caller)).await.status, 202);
        });
    }
    started.wait().await;
    assert_eq!(agent.agent().metrics().accepted.get(), 0, "acknowledged before it was committed");
    let before = agent.agent().metrics().commits.get();
    other.execute_batch("rollback").unwrap();
    callers.join_all().await;
    let commits = agent.agent().metrics().commits.get() - before;
    assert_eq!(agent.agent().metrics().accepted.get(), CALLERS as u64);
    assert!(commits < CALLERS as u64 / 4, "{commits} commits for {CALLERS} calls");
    assert_eq!(agent.status().await["buffered"], CALLERS);
}

#[tokio::test]
async fn payments_wait_here_only_when_asked_to_and_never_after_their_time() {
    let mut hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    let mut client = agent.client().await;
    let payment = |method: &str| {
        let mut body = json!({"order_id": "A-1", "amount": "1500.00", "currency": "ARS", "description": "Yerba",
            "method": method, "payer": {"email": "ana@example.com"}});
        if method == "card" {
            body["card"] = json!({"token": "t", "payment_method_id": "visa", "installments": 1});
        }
        body
    };
    let asynchronous = ("prefer", "respond-async");
    let answer = client.post("/v1/payments", &[asynchronous], &payment("checkout")).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "idempotency_key_required"));
    let answer =
        client.post("/v1/payments", &[asynchronous, ("idempotency-key", "c")], &payment("card")).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "hub_unreachable"));
    let answer = client.post("/v1/payments", &[("idempotency-key", "w")], &payment("checkout")).await;
    assert_eq!(answer.problem(), "hub_unreachable");

    let kept =
        client.post("/v1/payments", &[asynchronous, ("idempotency-key", "1")], &payment("checkout")).await;
    assert_eq!(kept.status, 202);
    assert_eq!((&kept.json()["status"], &kept.json()["amount"]), (&json!("pending"), &json!("1500.00")));
    let mut longer = payment("pix");
    longer["expires_at"] = json!(agent.now() + TimeDelta::hours(2));
    let longer = client.post("/v1/payments", &[asynchronous, ("idempotency-key", "2")], &longer).await;
    assert_eq!(agent.status().await["buffered"], 2);

    agent.clock.advance(TimeDelta::minutes(16));
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.order(), [longer.json()["id"].as_str().unwrap()]);
    let dead = client.get("/agent/dead-letters").await.json();
    assert_eq!(dead["data"][0]["id"], kept.json()["id"]);
    assert_eq!(dead["data"][0]["reason"], "expired");
    let retry = format!("/agent/dead-letters/{}/retry", kept.json()["id"].as_str().unwrap());
    assert_eq!(client.post(&retry, &[], &json!({})).await.status, 404);
}

#[tokio::test]
async fn too_little_free_disk_refuses_new_calls_until_there_is_more() {
    let hub = StubHub::start().await;
    let agent = TestAgent::start_with(&hub, |config| config.limits.min_free = Some(u64::MAX)).await;
    let refused = agent.client().await.post("/v1/events", &[], &event(1)).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (507, "buffer_full"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("TRASTIENDA_BUFFER_MIN_FREE"));
    let mut config = agent.config.clone();
    config.limits.min_free = Some(0);
    agent.agent().reload(&config).unwrap();
    assert_eq!(agent.client().await.post("/v1/events", &[], &event(1)).await.status, 202);
}

#[tokio::test]
async fn calls_wait_for_as_long_as_it_takes_unless_an_age_is_set() {
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    assert_eq!(agent.client().await.post("/v1/events", &[], &event(1)).await.status, 202);
    agent.clock.advance(TimeDelta::days(400));
    agent.stop().await;
    agent.start_again().await;
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.taken().len(), 1);

    hub.go().await;
    let old = agent.client().await.post("/v1/events", &[], &event(2)).await.json()["id"].clone();
    agent.clock.advance(TimeDelta::hours(13));
    let young = agent.client().await.post("/v1/events", &[], &event(3)).await.json()["id"].clone();
    agent.stop().await;
    agent.config.max_age = Some(TimeDelta::hours(12));
    agent.start_again().await;
    hub.come().await;
    agent.until("buffered", 0).await;
    let dead = agent.client().await.get("/agent/dead-letters").await.json();
    assert_eq!((&dead["data"][0]["id"], &dead["data"][0]["reason"]), (&old, &json!("expired")));
    assert!(
        hub.taken().contains_key(young.as_str().unwrap()) && !hub.taken().contains_key(old.as_str().unwrap())
    );
}
