//! What an agent acknowledged.

use serde_json::json;
use sqlx::PgPool;
use trastienda_protocol::ids::NotificationId;

use super::{batch_of, confirmation, settled, with_mail};
use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn what_an_agent_acknowledged_and_the_rules_refuse_is_kept_as_failed(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: NotificationId = test.app.new_id();
    let body =
        json!({"channel": "email", "to": "ana@example.com", "template": "order_confirmation", "data": {}});
    let operation = json!({"kind": "notification", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": body});
    let batch = test.post(&key, "/v1/batch", json!({"operations": [operation]})).await;
    assert_eq!(batch.body["results"][0]["status"], 422, "{batch:?}");
    let kept = test.get(&key, &format!("/v1/notifications/{id}")).await;
    assert_eq!(
        (kept.body["status"].as_str(), kept.body["detail"].as_str()),
        (Some("failed"), Some("refused")),
        "{kept:?}"
    );
    assert!(kept.body["problem"]["errors"].as_array().unwrap().len() > 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_batch_handed_over_twice_is_one_mail(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let id: NotificationId = test.app.new_id();
    for _ in 0..2 {
        let result = batch_of(&test, &key, &id.to_string(), confirmation()).await;
        assert_eq!(
            (result["status"].as_i64(), result["body"]["id"].as_str()),
            (Some(202), Some(id.to_string().as_str()))
        );
        settled(&test, &key, &id.to_string(), "sent").await;
    }
    assert_eq!(smtp.mails().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_link_comes_back_through_a_batch_too(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: NotificationId = test.app.new_id();
    let body = json!({"channel": "whatsapp", "to": "11 2345-6789", "text": "Hola"});
    let result = batch_of(&test, &key, &id.to_string(), body).await;
    assert_eq!(result["body"]["whatsapp"]["link"], "https://wa.me/5491123456789?text=Hola", "{result:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_refused_is_told_once_and_cannot_be_tried_again_as_it_is(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: NotificationId = test.app.new_id();
    // A NUL is the reason for the refusal, and nothing that PostgreSQL could keep.
    let body = json!({"channel": "whatsapp", "to": "11 2345-6789", "text": "a\u{0}b", "order_id": "A-1", "x\u{0}": [1]});
    for _ in 0..2 {
        assert_eq!(batch_of(&test, &key, &id.to_string(), body.clone()).await["status"], 422);
    }
    let kept = test.get(&key, "/v1/notifications?status=failed&channel=whatsapp&order_id=A-1").await;
    assert_eq!(kept.body["data"][0]["id"], id.to_string(), "{kept:?}");
    let events = test.get(&key, "/v1/events?type=notification.failed").await;
    assert_eq!(events.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(events.body["data"][0]["data"]["detail"], "refused");
    assert_eq!(test.post(&key, &format!("/v1/notifications/{id}/retry"), json!({})).await.code(), "refused");
}
