//! Which calls go first, and that they keep the order of their order.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use trastienda_protocol::batch::Kind;

use crate::support::{StubHub, TestAgent, eventually, problem};

fn event(order: &str, number: usize) -> Value {
    json!({"type": "order.changed", "data": {"order_id": order, "number": number}})
}

fn mail(order: Option<&str>) -> Value {
    json!({"channel": "email", "to": "ana@example.com", "subject": "s", "text": "t", "order_id": order})
}

async fn accept(agent: &TestAgent, path: &str, body: &Value) -> String {
    let answer = agent.client().await.post(path, &[], body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn mail_goes_while_a_backlog_of_events_cannot_and_takes_its_order_along() {
    let hub = StubHub::start().await;
    // The hub fails at every event but those of order B.
    hub.judge(|operation| {
        let held = operation.kind == Kind::Event && operation.body["data"]["order_id"] != "B";
        if held { (503, json!({"code": "unavailable"})) } else { (202, json!({})) }
    });
    let agent = TestAgent::start(&hub).await;
    for number in 0..20 {
        accept(&agent, "/v1/events", &event("A", number)).await;
    }
    let of_b = accept(&agent, "/v1/events", &event("B", 1)).await;
    let alone = accept(&agent, "/v1/notifications", &mail(None)).await;
    let with_b = accept(&agent, "/v1/notifications", &mail(Some("B"))).await;
    let of_a = accept(&agent, "/v1/notifications", &mail(Some("A"))).await;
    eventually("what can go has gone", async || (hub.taken().len() >= 3).then_some(())).await;
    let order = hub.order();
    let place = |id: &String| order.iter().position(|taken| taken == id);
    assert!(place(&alone).is_some() && place(&of_b).unwrap() < place(&with_b).unwrap(), "{order:?}");
    assert_eq!(place(&of_a), None, "a mail overtook an event of its order");
}

#[tokio::test]
async fn fresh_events_go_beside_a_backlog_but_not_before_their_order_s_older_ones() {
    let mut hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    let backlog = 2_500;
    let mut client = agent.client().await;
    for number in 0..backlog {
        let order = format!("old-{number}");
        assert_eq!(client.post("/v1/events", &[], &event(&order, number)).await.status, 202);
    }
    // From the moment that full batches come, the hub takes small ones only.
    let backlog_came = Arc::new(AtomicBool::new(false));
    let came = Arc::clone(&backlog_came);
    hub.porter(move |size| {
        if size > 100 {
            came.store(true, Ordering::SeqCst);
            return Some(problem(503, "unavailable"));
        }
        None
    });
    hub.come().await;
    eventually("the backlog is tried", async || backlog_came.load(Ordering::SeqCst).then_some(())).await;
    let fresh = accept(&agent, "/v1/events", &event("new", 1)).await;
    let behind = accept(&agent, "/v1/events", &event("old-2499", 2)).await;
    eventually("the fresh one arrives", async || hub.taken().contains_key(&fresh).then_some(())).await;
    assert!(!hub.taken().contains_key(&behind), "it overtook the older event of its order");
    agent.until("buffered", backlog + 1).await;
}

#[tokio::test]
async fn nothing_overtakes_what_failed_before_it_in_its_order() {
    for status in [429, 503] {
        let mut hub = StubHub::away().await;
        let agent = TestAgent::start(&hub).await;
        let mut of_a = Vec::new();
        for number in 0..4 {
            of_a.push(accept(&agent, "/v1/events", &event("A", number)).await);
        }
        of_a.push(accept(&agent, "/v1/notifications", &mail(Some("A"))).await);
        of_a.push(accept(&agent, "/v1/events", &event("A", 5)).await);
        let of_b = accept(&agent, "/v1/events", &event("B", 1)).await;
        // Every other call of order A fails when it comes first, and is taken the second time.
        let failing = [of_a[0].clone(), of_a[2].clone()];
        let seen = Mutex::new(HashSet::new());
        hub.judge(move |operation| {
            if failing.contains(&operation.id) && seen.lock().unwrap().insert(operation.id.clone()) {
                (status, json!({"code": "later"}))
            } else {
                (202, json!({"id": operation.id}))
            }
        });
        hub.come().await;
        eventually("everything is taken", async || {
            // Between tries time has to pass.
            agent.clock.advance(chrono::TimeDelta::seconds(1));
            (agent.status().await["buffered"] == 0).then_some(())
        })
        .await;
        let order = hub.order();
        let taken_of_a: Vec<&String> = order.iter().filter(|id| **id != of_b).collect();
        assert_eq!(taken_of_a, of_a.iter().collect::<Vec<_>>(), "after {status}");
        assert_eq!(order[0], of_b, "another order does not wait for it");
    }
}

#[tokio::test]
async fn a_single_order_is_handed_over_call_by_call_without_pauses() {
    let mut hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    let mut ids = Vec::new();
    for number in 0..300 {
        ids.push(accept(&agent, "/v1/events", &event("A", number)).await);
    }
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.order(), ids);
    assert_eq!(hub.batch_times().len(), ids.len(), "one call of an order in a batch");
    assert!(hub.taken().values().all(|taken| taken.times == 1));
}
