//! Rate limits and daily quotas.

use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn every_answer_tells_the_limit_and_past_it_comes_429(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, key) = test.project().await;
    let first = test.get(&key, "/v1/project").await;
    assert_eq!(first.headers["ratelimit-policy"], "\"default\";q=600;w=60");
    assert!(first.headers["ratelimit"].to_str().unwrap().starts_with("\"default\";r=599;t="));
    test.admin("PUT", &format!("/admin/v1/projects/{id}/limits"), json!({"requests_per_minute": 2})).await;
    assert_eq!(test.get(&key, "/v1/project").await.status, 200);
    assert_eq!(test.get(&key, "/v1/features").await.status, 200);
    let past = test.get(&key, "/v1/project").await;
    assert_eq!((past.status.as_u16(), past.code()), (429, "rate_limited"));
    assert!(past.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert!(past.headers["ratelimit"].to_str().unwrap().starts_with("\"default\";r=0;t="));
}

#[sqlx::test(migrations = "../migrations")]
async fn past_the_daily_quota_a_direct_call_is_refused_until_midnight(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, key) = test.project().await;
    test.admin("PUT", &format!("/admin/v1/projects/{id}/limits"), json!({"events_per_day": 1})).await;
    let event = json!({"type": "a.b", "data": {}});
    assert_eq!(test.post(&key, "/v1/events", event.clone()).await.status, 202);
    let past = test.post(&key, "/v1/events", event.clone()).await;
    assert_eq!((past.status.as_u16(), past.code()), (429, "quota_exceeded"));
    assert_eq!(test.get(&key, "/v1/project").await.body["usage"]["events"], 1);
    test.clock.advance(chrono::TimeDelta::days(1));
    assert_eq!(test.post(&key, "/v1/events", event).await.status, 202);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_an_agent_acknowledged_is_taken_past_the_quota(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, key) = test.project().await;
    test.admin("PUT", &format!("/admin/v1/projects/{id}/limits"), json!({"events_per_day": 0})).await;
    let event: trastienda_protocol::ids::EventId = test.app.new_id();
    let operation = json!({"kind": "event", "id": event.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": {"type": "a.b", "data": {}}});
    let batch = test.post(&key, "/v1/batch", json!({"operations": [operation]})).await;
    assert_eq!(batch.body["results"][0]["status"], 202, "{batch:?}");
    assert_eq!(test.get(&key, "/v1/project").await.body["usage"]["events"], 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn limits_are_set_partly_and_null_is_the_plan_s(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, _) = test.project().await;
    let path = format!("/admin/v1/projects/{id}/limits");
    test.admin("PUT", &path, json!({"endpoints": 7, "emails_per_day": 3})).await;
    let answer = test.admin("PUT", &path, json!({"endpoints": null})).await;
    assert_eq!(
        (answer.body["limits"]["endpoints"].as_i64(), answer.body["limits"]["emails_per_day"].as_i64()),
        (Some(5), Some(3))
    );
    let wrong = test.admin("PUT", &path, json!({"endpoints": -1, "retention_days": 7, "seats": 1})).await;
    assert_eq!(wrong.pointers(), ["/endpoints", "/retention_days", "/seats"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_lists_the_services_that_it_used_in_the_last_month(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let services = async || test.get(&key, "/v1/project").await.body["services"].clone();
    assert_eq!(services().await, json!([]));
    test.post(&key, "/v1/events", json!({"type": "a.b", "data": {}})).await;
    assert_eq!(services().await, json!(["events"]));
    test.clock.advance(chrono::TimeDelta::days(20));
    let mail = json!({"channel": "email", "to": "ana@example.com", "subject": "Hola", "text": "Hola"});
    assert_eq!(test.post(&key, "/v1/notifications", mail).await.status, 202);
    assert_eq!(services().await, json!(["emails", "events"]));
    test.clock.advance(chrono::TimeDelta::days(20));
    assert_eq!(services().await, json!(["emails"]));
}
