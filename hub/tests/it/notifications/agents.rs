//! What an agent acknowledged.

use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_protocol::ids::NotificationId;

use super::{batch_of, confirmation, plain, settled, with_mail};
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
async fn the_operator_is_told_once_a_day_what_was_refused_after_its_acknowledgement(pool: PgPool) {
    let test = TestApp::with(pool.clone(), |config| {
        config.operator_email = Some("ops@example.com".parse().unwrap());
    })
    .await;
    let (_, key) = test.project().await;
    let mails = async || -> Vec<(String, String)> {
        let rows = sqlx::query_as("select subject, body from operator_mails order by created_at, id");
        rows.fetch_all(&pool).await.unwrap()
    };
    let mut first = String::new();
    for _ in 0..3 {
        let id: NotificationId = test.app.new_id();
        let refused = batch_of(&test, &key, &id.to_string(), plain("nobody")).await;
        assert_eq!(refused["status"], 422, "{refused}");
        first = if first.is_empty() { id.to_string() } else { first };
    }
    let told = mails().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].0.contains("Mates") && told[0].1.contains(&first) && told[0].1.contains("/to"),
        "{told:?}"
    );
    assert!(told[0].1.contains("GET /v1/notifications?status=failed") && !told[0].1.contains("nobody"));
    let operation = json!({"kind": "event", "id": test.app.new_id::<trastienda_protocol::ids::EventId>().to_string(),
        "accepted_at": "2026-11-24T10:00:00Z", "body": {"type": "Wrong", "data": {}}});
    test.post(&key, "/v1/batch", json!({"operations": [operation]})).await;
    let told = mails().await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|(_, body)| body.contains("GET /v1/events?status=rejected")), "{told:?}");
    test.clock.advance(chrono::TimeDelta::days(1));
    let id: NotificationId = test.app.new_id();
    batch_of(&test, &key, &id.to_string(), plain("nobody")).await;
    assert_eq!(mails().await.len(), 3);
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

#[sqlx::test(migrations = "../migrations")]
async fn notifications_that_come_together_are_answered_in_order_and_each_by_itself(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let ids: Vec<NotificationId> = (0..70).map(|_| test.app.new_id()).collect();
    let operation = |index: usize| {
        // One is refused, and one is there twice.
        let id = if index == 40 { ids[39] } else { ids[index] };
        let to = if index == 20 { "nobody".to_owned() } else { format!("a{}@example.com", index.min(39)) };
        json!({"kind": "notification", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": plain(&to)})
    };
    let operations: Vec<Value> = (0..70).map(operation).collect();
    let answer = test.post(&key, "/v1/batch", json!({"operations": operations})).await;
    let results = answer.body["results"].as_array().unwrap();
    for (index, result) in results.iter().enumerate() {
        let id = if index == 40 { ids[39] } else { ids[index] };
        if index == 20 {
            assert_eq!(result["status"], 422, "{result}");
        } else {
            assert_eq!(
                (result["status"].as_u64(), result["body"]["id"].as_str()),
                (Some(202), Some(id.to_string().as_str()))
            );
        }
    }
    let kept = test.get(&key, "/v1/notifications?limit=200").await;
    assert_eq!(kept.body["data"].as_array().unwrap().len(), 69);
    let failed = test.get(&key, "/v1/notifications?status=failed").await;
    assert_eq!(failed.body["data"].as_array().unwrap().len(), 1);
    // The whole once more is the same.
    let again = test.post(&key, "/v1/batch", json!({"operations": operations})).await;
    assert_eq!(again.body["results"][69]["body"]["id"], results[69]["body"]["id"]);
    let kept = test.get(&key, "/v1/notifications?limit=200").await;
    assert_eq!(kept.body["data"].as_array().unwrap().len(), 69);
}

#[sqlx::test(migrations = "../migrations")]
async fn calls_at_once_with_one_key_are_one_notification_and_count_once(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "order-A-1")];
    let body = plain("ana@example.com").to_string();
    let calls = (0..20).map(|_| test.send("POST", "/v1/notifications", &headers, body.clone()));
    let others = (0..20).map(|_| test.post(&key, "/v1/notifications", plain("eva@example.com")));
    let (answers, others) = futures_util::future::join(
        futures_util::future::join_all(calls),
        futures_util::future::join_all(others),
    )
    .await;
    let ids: std::collections::BTreeSet<_> = answers.iter().map(crate::support::Answer::id).collect();
    assert_eq!(ids.len(), 1);
    let replayed = answers.iter().filter(|answer| answer.headers.contains_key("idempotent-replayed")).count();
    assert_eq!(replayed, 19);
    let other_ids: std::collections::BTreeSet<_> = others.iter().map(crate::support::Answer::id).collect();
    assert_eq!(other_ids.len(), 20);
    let project = test.get(&key, "/v1/project").await;
    assert_eq!(project.body["usage"]["emails"], 21, "{project:?}");
}
