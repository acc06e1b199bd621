//! Batches: each operation stands or falls alone.

use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_protocol::ids::EventId;

use crate::support::TestApp;

fn operation(id: EventId, body: Value) -> Value {
    json!({"kind": "event", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": body})
}

#[sqlx::test(migrations = "../migrations")]
async fn each_operation_stands_or_falls_alone_and_repeats_change_nothing(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let (right, wrong): (EventId, EventId) = (test.app.new_id(), test.app.new_id());
    let batch = json!({"operations": [
        operation(right, json!({"type": "order.created", "data": {"order_id": "A-1"}})),
        operation(wrong, json!({"type": "Nope", "data": {}})),
        {"kind": "letter", "id": "x", "accepted_at": "now", "body": {}},
    ]});
    for _ in 0..2 {
        let answer = test.post(&key, "/v1/batch", batch.clone()).await;
        let statuses: Vec<i64> = answer.body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["status"].as_i64().unwrap())
            .collect();
        assert_eq!(statuses, [202, 422, 422], "{answer:?}");
        assert_eq!(answer.body["results"][0]["body"]["id"], right.to_string());
        assert_eq!(answer.body["results"][1]["body"]["errors"][0]["pointer"], "/type");
    }
    let events = test.get(&key, "/v1/events").await;
    assert_eq!(events.body["data"].as_array().unwrap().len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_acknowledged_and_is_refused_is_kept_with_its_problem(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: EventId = test.app.new_id();
    let batch = json!({"operations": [operation(id, json!({"type": "order.paid", "data": {}}))]});
    test.post(&key, "/v1/batch", batch).await;
    let rejected = test.get(&key, "/v1/events?status=rejected").await;
    assert_eq!(rejected.body["data"][0]["id"], id.to_string());
    assert_eq!(rejected.body["data"][0]["problem"]["errors"][0]["pointer"], "/data/order_id");
    assert_eq!(rejected.body["data"][0]["data"]["body"]["type"], "order.paid");
}

#[sqlx::test(migrations = "../migrations")]
async fn compressed_batches_are_inflated_up_to_the_limit(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: EventId = test.app.new_id();
    let batch = json!({"operations": [operation(id, json!({"type": "a.b", "data": {}}))]}).to_string();
    let zstd = zstd::encode_all(batch.as_bytes(), 3).unwrap();
    let headers = |encoding| [("x-api-key", key.as_str()), ("content-encoding", encoding)];
    assert_eq!(
        test.send("POST", "/v1/batch", &headers("zstd"), zstd).await.body["results"][0]["status"],
        202
    );
    let bomb = zstd::encode_all(vec![b' '; 17 * 1024 * 1024].as_slice(), 3).unwrap();
    assert_eq!(test.send("POST", "/v1/batch", &headers("zstd"), bomb).await.status, 413);
    assert_eq!(test.send("POST", "/v1/batch", &headers("zstd"), "nonsense").await.code(), "invalid_encoding");
    assert_eq!(test.send("POST", "/v1/batch", &headers("br"), "x").await.code(), "unsupported_encoding");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_batch_that_is_no_batch_is_refused_whole(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    for body in [
        json!([]),
        json!({}),
        json!({"operations": {}}),
        json!({"operations": [], "x": 1}),
        json!({"operations": vec![0; 1001]}),
    ] {
        assert_eq!(test.post(&key, "/v1/batch", body).await.status, 422);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dead_letter_that_is_tried_again_after_mending_is_accepted(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: EventId = test.app.new_id();
    let send = async |operation: Value| {
        let answer = test.post(&key, "/v1/batch", json!({"operations": [operation]})).await;
        answer.body["results"][0]["status"].as_u64().unwrap()
    };
    assert_eq!(send(operation(id, json!({"type": "order.paid", "data": {}}))).await, 422);
    assert_eq!(send(operation(id, json!({"type": "order.paid", "data": {"order_id": "A-1"}}))).await, 202);
    let shown = test.get(&key, &format!("/v1/events/{id}")).await;
    assert_eq!(
        (shown.body["status"].as_str(), shown.body["order_id"].as_str()),
        (Some("accepted"), Some("A-1"))
    );

    // A mail whose template did not exist yet: the same call, word for word, is taken once it does.
    let id: trastienda_protocol::ids::NotificationId = test.app.new_id();
    let body = json!({"channel": "email", "to": "ana@example.com", "template": "later", "data": {}});
    let mail = json!({"kind": "notification", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": body});
    assert_eq!(send(mail.clone()).await, 422);
    let template = json!({"channel": "email", "subject": "Hola", "text": "Hola"}).to_string();
    assert_eq!(test.send("PUT", "/v1/templates/later", &[("x-api-key", &key)], template).await.status, 201);
    assert_eq!(send(mail).await, 202);
    assert_eq!(test.get(&key, &format!("/v1/notifications/{id}")).await.body["status"], "pending");
}
