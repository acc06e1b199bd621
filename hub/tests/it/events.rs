//! Events.

use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn an_event_is_stored_and_listed(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body = json!({"type": "order.created", "data": {"order_id": "A-1", "total": "10.00"}, "occurred_at": "2026-01-31T15:04:05-03:00"});
    let created = test.post(&key, "/v1/events", body).await;
    assert_eq!(created.status, 202);
    let shown = test.get(&key, &format!("/v1/events/{}", created.id())).await;
    assert_eq!(shown.body["data"]["total"], "10.00");
    assert_eq!(shown.body["occurred_at"], "2026-01-31T18:04:05.000Z");
    assert_eq!(shown.body["created_at"], created.body["created_at"]);
    let list = test.get(&key, "/v1/events?type=order.created&order_id=A-1").await;
    assert_eq!(list.body["data"][0]["id"], created.id());
    assert!(test.get(&key, "/v1/events?type=order.paid").await.body["data"].as_array().unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn the_same_id_is_the_same_event(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: trastienda_protocol::ids::EventId = test.app.new_id();
    let body = json!({"id": id.to_string(), "type": "stock.low", "data": {"sku": "1"}});
    let first = test.post(&key, "/v1/events", body.clone()).await;
    let second = test.post(&key, "/v1/events", body).await;
    assert_eq!((first.id(), second.id()), (id.to_string(), id.to_string()));
    assert_eq!(
        (
            first.headers.get("idempotent-replayed").is_some(),
            second.headers["idempotent-replayed"].to_str().unwrap()
        ),
        (false, "true")
    );
    let other = test
        .post(&key, "/v1/events", json!({"id": id.to_string(), "type": "stock.low", "data": {"sku": "2"}}))
        .await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_key_reused"));
    assert_eq!(test.get(&key, "/v1/events").await.body["data"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn concurrent_calls_with_one_idempotency_key_make_one_event(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let call = || {
        let headers = [("x-api-key", key.as_str()), ("idempotency-key", "order-A-1-created")];
        let test = &test;
        async move {
            test.send(
                "POST",
                "/v1/events",
                &headers,
                json!({"type": "order.created", "data": {"order_id": "A-1"}}).to_string(),
            )
            .await
        }
    };
    let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
    for answer in [&b, &c, &d] {
        assert_eq!((answer.status.as_u16(), answer.id()), (202, a.id()));
    }
    assert_eq!(test.get(&key, "/v1/events").await.body["data"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn one_order_paid_per_order_is_handed_on(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let endpoint = json!({"url": "http://127.0.0.1:9/h", "events": ["*"]});
    assert_eq!(test.post(&key, "/v1/webhook-endpoints", endpoint).await.status, 201);
    let paid = json!({"type": "order.paid", "data": {"order_id": "A-1"}});
    let first = test.post(&key, "/v1/events", paid.clone()).await;
    let second = test.post(&key, "/v1/events", paid).await;
    assert_eq!(
        (second.status.as_u16(), second.body["duplicate_of"].as_str().unwrap()),
        (202, first.id().as_str())
    );
    assert_ne!(first.id(), second.id());
    assert_eq!(test.get(&key, "/v1/webhook-deliveries").await.body["data"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn ids_from_the_future_and_from_before_the_retention_are_refused(pool: PgPool) {
    use chrono::TimeDelta;
    use trastienda_protocol::ids::{EventId, Id as _};
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    for (offset, status) in [
        (TimeDelta::minutes(6), 422),
        (TimeDelta::minutes(4), 202),
        (-TimeDelta::days(31), 422),
        (-TimeDelta::days(29), 202),
    ] {
        let id = EventId::from_uuid(test.app.ids.uuid(test.now() + offset));
        let answer =
            test.post(&key, "/v1/events", json!({"id": id.to_string(), "type": "a.b", "data": {}})).await;
        assert_eq!(answer.status, status, "{offset}: {answer:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn pages_follow_each_other_without_gaps_or_repeats(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let mut made = Vec::new();
    for number in 0..7 {
        made.insert(
            0,
            test.post(&key, "/v1/events", json!({"type": "a.b", "data": {"number": number}})).await.id(),
        );
        test.clock.advance(chrono::TimeDelta::milliseconds(1));
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = test.get(&key, &format!("/v1/events?limit=3{cursor}")).await;
        seen.extend(
            page.body["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
}
