//! The catalogue of event types, and what it does to events.

use serde_json::json;
use sqlx::PgPool;
use trastienda_protocol::ids::EventId;

use crate::support::{Receiver, TestApp};

#[sqlx::test(migrations = "../migrations")]
async fn every_built_in_type_is_listed_with_a_schema_that_its_example_satisfies(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let list = test.get(&key, "/v1/event-types").await;
    let types = list.body["data"].as_array().unwrap();
    let names: Vec<_> = types.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "order.created",
            "order.paid",
            "payment.paid",
            "payment.failed",
            "payment.refunded",
            "payment.disputed",
            "notification.sent",
            "notification.failed",
            "endpoint.disabled"
        ]
    );
    for one in types {
        assert_eq!(one["schema"]["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::draft202012::new(&one["schema"]).unwrap().is_valid(&one["example"]), "{one}");
        assert!(one["description"].is_string());
    }
    assert!(list.body["next_cursor"].is_null());
    assert_eq!(test.get("nobody", "/v1/event-types").await.status, 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_direct_call_is_refused_with_pointers_into_its_data(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let data = json!({"order_id": "A-1", "total": {"amount": 1}, "customer_name": 7, "gift": true});
    let refused = test.post(&key, "/v1/events", json!({"type": "order.created", "data": data})).await;
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    assert_eq!(
        (refused.status.as_u16(), refused.code(), pointers),
        (422, "validation_failed", vec!["/data/customer_name", "/data/total"])
    );
    let refused = test.post(&key, "/v1/events", json!({"type": "payment.paid", "data": {}})).await;
    assert!(refused.pointers().contains(&"/data/payment_id"), "{refused:?}");
    assert!(test.get(&key, "/v1/events").await.body["data"].as_array().unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_batch_s_event_is_taken_delivered_and_flagged(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    let (wrong, right): (EventId, EventId) = (test.app.new_id(), test.app.new_id());
    let operation = |id: EventId, total| {
        let body = json!({"type": "order.created", "data": {"order_id": "A-1", "total": total}});
        json!({"kind": "event", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": body})
    };
    let batch = json!({"operations": [operation(wrong, json!([])), operation(right, json!("10.00"))]});
    for _ in 0..2 {
        let answer = test.post(&key, "/v1/batch", batch.clone()).await;
        for result in answer.body["results"].as_array().unwrap() {
            assert_eq!(result["status"], 202, "{answer:?}");
        }
    }
    let flagged = test.get(&key, &format!("/v1/events/{wrong}")).await.body;
    assert_eq!((flagged["status"].as_str(), &flagged["data"]["total"]), (Some("accepted"), &json!([])));
    assert_eq!(flagged["schema_errors"][0]["pointer"], "/data/total");
    assert!(test.get(&key, &format!("/v1/events/{right}")).await.body.get("schema_errors").is_none());
    test.until("both are delivered", async || (receiver.received().len() == 2).then_some(())).await;
}
