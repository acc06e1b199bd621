//! WhatsApp: a link that only a person's tap makes `sent`.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;

use super::{path_of, settled};
use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn a_whatsapp_link_is_sent_only_once_a_person_opened_it(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    let body = json!({"channel": "whatsapp", "to": "011 15 2345-6789", "text": "Hola, ¿todo bien?"});
    let made = test.post(&key, "/v1/notifications", body).await;
    let whatsapp = &made.body["whatsapp"];
    assert_eq!(
        whatsapp["link"], "https://wa.me/5491123456789?text=Hola%2C%20%C2%BFtodo%20bien%3F",
        "{made:?}"
    );
    let open_url = whatsapp["open_url"].as_str().unwrap();
    let path = open_url.strip_prefix("http://hub.test").unwrap();
    let status =
        async || test.get(&key, &format!("/v1/notifications/{}", made.id())).await.body["status"].clone();
    // Neither a preview nor a HEAD is a person.
    test.send("GET", path, &[("user-agent", "WhatsApp/2.23")], "").await;
    test.send("HEAD", path, &[("user-agent", "Mozilla/5.0")], "").await;
    assert_eq!(status().await, "pending");
    let opened = test.send("GET", path, &[("user-agent", "Mozilla/5.0 (iPhone)")], "").await;
    assert_eq!(
        (opened.status.as_u16(), opened.headers["location"].to_str().ok()),
        (302, whatsapp["link"].as_str())
    );
    assert_eq!(
        (opened.headers["cache-control"].to_str().ok(), opened.headers["referrer-policy"].to_str().ok()),
        (Some("no-store"), Some("no-referrer"))
    );
    assert_eq!(status().await, "sent");
    let row: String =
        sqlx::query_scalar("select notifications::text from notifications").fetch_one(&pool).await.unwrap();
    assert!(!row.contains(path.rsplit('/').next().unwrap()), "the token is in the database");
    assert_eq!(test.send("GET", "/w/00000000000000000000000000000000", &[], "").await.status, 404);
    let wrong = json!({"channel": "whatsapp", "to": "12", "text": "x"});
    assert_eq!(test.post(&key, "/v1/notifications", wrong).await.status, 422);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unopened_link_is_over_after_a_week(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let made = test
        .post(
            &key,
            "/v1/notifications",
            json!({"channel": "whatsapp", "to": "+56 9 8765 4321", "text": "Hola"}),
        )
        .await;
    let path = made.body["whatsapp"]["open_url"]
        .as_str()
        .unwrap()
        .strip_prefix("http://hub.test")
        .unwrap()
        .to_owned();
    test.clock.advance(TimeDelta::days(7) + TimeDelta::seconds(1));
    assert_eq!(test.send("GET", &path, &[], "").await.status, 410);
    let over = settled(&test, &key, &made.id(), "failed").await;
    assert_eq!(over["detail"], "expired");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_repeated_call_gives_the_same_addresses(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body = json!({"channel": "whatsapp", "to": "11 2345-6789", "template": "order_confirmation", "data": {
        "order_id": "A-1", "customer_name": "Ana", "total": "18500.00", "currency": "ARS",
        "items": [{"name": "Mate", "quantity": 2, "price": "9250.00"}],
    }});
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "order-A-1")];
    let first = test.send("POST", "/v1/notifications", &headers, body.to_string()).await;
    let again = test.send("POST", "/v1/notifications", &headers, body.to_string()).await;
    assert_eq!(first.body, again.body);
    let shown = test.get(&key, &format!("/v1/notifications/{}", first.id())).await;
    assert_eq!(shown.body["whatsapp"], first.body["whatsapp"]);
    let text = shown.body["content"]["text"].as_str().unwrap();
    assert!(
        text.contains("Somos Mates") && text.contains("• Mate × 2") && text.contains("18.500,00"),
        "{text}"
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cancelled_link_is_over_until_it_is_tried_again(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let made = test
        .post(&key, "/v1/notifications", json!({"channel": "whatsapp", "to": "11 2345-6789", "text": "Hola"}))
        .await;
    let (path, id) = (path_of(&made.body["whatsapp"]["open_url"]), made.id());
    let act =
        async |action: &str| test.post(&key, &format!("/v1/notifications/{id}/{action}"), json!({})).await;
    assert_eq!(act("cancel").await.body["detail"], "cancelled");
    assert_eq!(act("cancel").await.status, 200);
    assert_eq!(test.send("GET", &path, &[], "").await.status, 410);
    let events = test.get(&key, "/v1/events?type=notification.failed").await;
    assert_eq!(events.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(act("retry").await.body["status"], "pending");
    assert_eq!(test.send("GET", &path, &[], "").await.status, 302);
    assert_eq!(act("cancel").await.code(), "already_sent");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_long_text_and_a_number_that_does_not_exist_are_refused(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body = json!({"channel": "whatsapp", "to": "15 2345-6789", "text": "x".repeat(1_001)});
    let refused = test.post(&key, "/v1/notifications", body).await;
    assert_eq!((refused.status.as_u16(), refused.pointers()), (422, vec!["/to", "/text"]));
    for token in ["x", "..%2F..", "zz000000000000000000000000000000"] {
        assert_eq!(test.send("GET", &format!("/w/{token}"), &[], "").await.status, 404, "{token}");
    }
}
