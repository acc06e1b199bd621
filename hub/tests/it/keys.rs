//! Keys: who gets in, and for how long.

use serde_json::json;
use sqlx::PgPool;
use trastienda_protocol::api_key::{ApiKey, Mode};

use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn the_key_opens_its_project_by_either_header(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, key) = test.project().await;
    assert_eq!(test.get(&key, "/v1/project").await.body["id"], id);
    let bearer = format!("Bearer {key}");
    assert_eq!(test.send("GET", "/v1/project", &[("authorization", &bearer)], "").await.status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn missing_malformed_and_unknown_keys_are_401(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let unknown = ApiKey::generate(Mode::Live).unwrap();
    for key in ["", "tk_live_x", unknown.expose()] {
        let answer = test.get(key, "/v1/project").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "unauthorized"), "{key}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn ten_wrong_secrets_within_a_minute_are_throttled(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let wrong = with_other_secret(&key);
    for _ in 0..10 {
        assert_eq!(test.get(&wrong, "/v1/project").await.status, 401);
    }
    let throttled = test.get(&wrong, "/v1/project").await;
    assert_eq!(throttled.status, 429);
    assert!(throttled.headers.contains_key("retry-after"));
    test.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(test.get(&key, "/v1/project").await.status, 200);
}

/// The same key id with another secret and a checksum that fits.
fn with_other_secret(key: &str) -> String {
    let other = ApiKey::generate(Mode::Live).unwrap();
    let body = format!("{}{}", &key[..21], other.secret());
    let mut crc = crc32fast::hash(body.as_bytes());
    let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.insert(0, alphabet[(crc % 62) as usize]);
        crc /= 62;
    }
    body + &digits.into_iter().collect::<String>()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rotated_key_is_dead_when_the_answer_leaves(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, old) = test.project().await;
    assert_eq!(test.get(&old, "/v1/project").await.status, 200);
    let rotated = test.admin("POST", &format!("/admin/v1/projects/{id}/rotate-key"), json!({})).await;
    let new = rotated.body["api_key"].as_str().unwrap();
    assert_eq!(test.get(&old, "/v1/project").await.status, 401);
    assert_eq!(test.get(new, "/v1/project").await.status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_in_grace_works_until_its_time_and_only_one_is_in_grace(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, first) = test.project().await;
    let rotate = format!("/admin/v1/projects/{id}/rotate-key");
    let second = test.admin("POST", &rotate, json!({"grace_seconds": 60})).await.body["api_key"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(test.get(&first, "/v1/project").await.status, 200);
    assert_eq!(test.get(&second, "/v1/project").await.status, 200);
    let third = test.admin("POST", &rotate, json!({"grace_seconds": 60})).await.body["api_key"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(test.get(&first, "/v1/project").await.status, 401);
    assert_eq!(test.get(&second, "/v1/project").await.status, 200);
    test.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(test.get(&second, "/v1/project").await.status, 401);
    assert_eq!(test.get(&third, "/v1/project").await.status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_inactive_project_is_told_only_to_who_knows_the_secret(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, key) = test.project().await;
    let path = format!("/admin/v1/projects/{id}");
    test.admin("PATCH", &path, json!({"is_active": false})).await;
    let answer = test.get(&key, "/v1/project").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "project_inactive"));
    assert_eq!(test.get(&with_other_secret(&key), "/v1/project").await.status, 401);
    test.admin("PATCH", &path, json!({"is_active": true})).await;
    assert_eq!(test.get(&key, "/v1/project").await.status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_database_holds_no_key(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    let rows: Vec<String> =
        sqlx::query_scalar("select api_keys::text from api_keys").fetch_all(&pool).await.unwrap();
    let secret = ApiKey::parse(&key).unwrap();
    assert!(rows[0].contains("$argon2id$") && !rows[0].contains(secret.secret()));
}

#[sqlx::test(migrations = "../migrations")]
async fn two_hubs_forget_a_key_before_the_rotation_answers(pool: PgPool) {
    let one = TestApp::new(pool.clone()).await;
    let two = TestApp::sharing(&one).await;
    let (id, key) = one.project().await;
    assert_eq!(two.get(&key, "/v1/project").await.status, 200);
    one.admin("POST", &format!("/admin/v1/projects/{id}/rotate-key"), json!({})).await;
    assert_eq!(two.get(&key, "/v1/project").await.status, 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_elsewhere_is_seen_by_the_next_call_of_every_shop(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let ((one, one_key), (_, other_key)) = (test.project().await, test.project().await);
    assert_eq!(test.get(&one_key, "/v1/project").await.body["plan"], "free");
    assert_eq!(test.get(&other_key, "/v1/project").await.status, 200);
    test.admin("PATCH", &format!("/admin/v1/projects/{one}"), json!({"plan": "pro"})).await;
    assert_eq!(test.get(&one_key, "/v1/project").await.body["plan"], "pro");
    assert_eq!(test.get(&other_key, "/v1/project").await.body["plan"], "free");
}
