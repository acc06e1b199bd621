//! Bad input: clear, complete answers, and nothing half written.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn refusals_are_problem_documents_that_carry_the_request_id(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let headers = [("x-api-key", key.as_str()), ("x-request-id", "mine-1")];
    let answer = test.send("POST", "/v1/events", &headers, "{").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "invalid_json"));
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(
        (answer.body["request_id"].as_str(), answer.headers["x-request-id"].to_str().ok()),
        (Some("mine-1"), Some("mine-1"))
    );
    for field in ["type", "title", "status", "detail", "code"] {
        assert!(!answer.body[field].is_null(), "{field}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_mistake_of_a_body_is_named_at_once_and_nothing_is_written(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body =
        json!({"type": 7, "data": "x", "occurred_at": "2026-01-31T15:04:05", "id": "evt_1", "extra": 1});
    let answer = test.post(&key, "/v1/events", body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (422, "validation_failed"));
    assert_eq!(answer.pointers(), ["/id", "/type", "/data", "/occurred_at", "/extra"]);
    let unknown = test.post(&key, "/v1/events", json!({"type": "a.b", "data": {}, "extra": 1})).await;
    assert_eq!((unknown.code(), unknown.pointers()), ("unknown_field", vec!["/extra"]));
    assert!(test.get(&key, "/v1/events").await.body["data"].as_array().unwrap().is_empty());
    assert_eq!(test.get(&key, "/v1/project").await.body["usage"], json!({}));
}

#[sqlx::test(migrations = "../migrations")]
async fn oversize_bodies_are_refused_with_the_limit(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let big = json!({"type": "a.b", "data": {"x": "y".repeat(256 * 1024)}});
    let answer = test.post(&key, "/v1/events", big).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "body_too_large"));
    assert!(answer.body["detail"].as_str().unwrap().contains("262144"));
}

#[sqlx::test(migrations = "../migrations")]
async fn another_project_s_things_do_not_exist(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let ((_, mine), (_, theirs)) = (test.project().await, test.project().await);
    let event = test.post(&mine, "/v1/events", json!({"type": "a.b", "data": {}})).await.id();
    let endpoint = test
        .post(&mine, "/v1/webhook-endpoints", json!({"url": "http://127.0.0.1:9/", "events": ["*"]}))
        .await
        .id();
    for path in [format!("/v1/events/{event}"), format!("/v1/webhook-endpoints/{endpoint}")] {
        assert_eq!(test.get(&mine, &path).await.status, 200, "{path}");
        let other = test.get(&theirs, &path).await;
        assert_eq!((other.status.as_u16(), other.code()), (404, "not_found"), "{path}");
    }
    // The same id in another project is another thing.
    let body = json!({"id": event, "type": "a.b", "data": {}});
    assert_eq!(test.post(&theirs, "/v1/events", body).await.status, 202);
}

#[sqlx::test(migrations = "../migrations")]
async fn lists_name_wrong_parameters(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let answer = test.get(&key, "/v1/events?limit=0&cursor=x&created_after=today").await;
    assert_eq!(answer.pointers(), ["?limit", "?cursor", "?created_after"]);
    assert_eq!(test.get(&key, "/v1/events?kind=x").await.pointers(), ["?kind"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn unknown_addresses_and_methods_are_told(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    assert_eq!(test.get(&key, "/v1/nothing").await.code(), "not_found");
    assert_eq!(
        test.send("DELETE", "/v1/events", &[("x-api-key", &key)], "").await.code(),
        "method_not_allowed"
    );
    assert_eq!(test.send("POST", "/v1/events", &[], Value::Null.to_string()).await.code(), "unauthorized");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_idempotency_key_must_be_printable(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let long = "k".repeat(256);
    let answer =
        test.send("POST", "/v1/events", &[("x-api-key", &key), ("idempotency-key", &long)], "{}").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "invalid_idempotency_key"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_nul_in_a_path_or_a_query_is_refused_and_no_failure(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let listed = test.get(&key, "/v1/events?order_id=A%00").await;
    assert_eq!((listed.status.as_u16(), listed.pointers()), (422, vec!["?order_id"]));
    let document = test.send("GET", "/openapi.json", &[], "").await;
    let paths = document.body["paths"].as_object().unwrap();
    let mut tried = 0;
    for (path, methods) in paths.iter().filter(|(path, _)| path.contains('{')) {
        let pieces = path.split('/').map(|piece| if piece.starts_with('{') { "a%00b" } else { piece });
        let address = pieces.collect::<Vec<_>>().join("/");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let answer = if path.starts_with("/admin/") {
                test.admin(&method, &address, json!({})).await
            } else {
                test.send(&method, &address, &[("x-api-key", &key)], "{}").await
            };
            assert!(answer.status.is_client_error(), "{method} {path}: {answer:?}");
            tried += 1;
        }
    }
    assert!(tried > 30, "only {tried} addresses have parameters");
}
