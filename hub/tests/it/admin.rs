//! The operator's API.

use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn without_the_token_there_is_no_way_in_and_without_a_token_no_address(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    for headers in [vec![], vec![("authorization", "Bearer wrong-token-of-at-least-32-characters")]] {
        assert_eq!(test.send("GET", "/admin/v1/projects", &headers, "").await.status, 401);
    }
    let closed = TestApp::with(pool, |config| config.admin_token = None).await;
    assert_eq!(closed.admin("GET", "/admin/v1/projects", json!({})).await.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn projects_are_made_listed_shown_and_changed(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, key) = test.project().await;
    assert!(key.starts_with("tk_live_"));
    let list = test.admin("GET", "/admin/v1/projects", json!({})).await;
    assert_eq!(list.body["data"][0]["id"], id);
    assert!(!list.body.to_string().contains(&key[21..]));
    let path = format!("/admin/v1/projects/{id}");
    let changed = test.admin("PATCH", &path, json!({"name": "Yerba", "plan": "pro"})).await;
    assert_eq!((changed.body["name"].as_str(), changed.body["plan"].as_str()), (Some("Yerba"), Some("pro")));
    assert_eq!(changed.body["limits"]["endpoints"], 50);
    assert_eq!(
        test.admin("GET", "/admin/v1/projects/prj_0192f0c1d2e37a4b8c5d6e7f8091a2b3", json!({})).await.status,
        404
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn a_test_project_has_a_test_key(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let body = json!({"name": "T", "domain": "t.example.com", "mode": "test"});
    let made = test.admin("POST", "/admin/v1/projects", body).await;
    assert!(made.body["api_key"].as_str().unwrap().starts_with("tk_test_"));
}

#[sqlx::test(migrations = "../migrations")]
async fn every_mistake_of_a_project_is_named(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let body = json!({"name": "", "domain": "https://x.com/y", "plan": "gold", "mode": "prod", "owner": 1});
    let answer = test.admin("POST", "/admin/v1/projects", body).await;
    assert_eq!(answer.pointers(), ["/name", "/domain", "/plan", "/mode", "/owner"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn flags_follow_the_plan_until_the_project_says_otherwise(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (id, key) = test.project().await;
    let flag = |name: &str| format!("/admin/v1/projects/{id}/features/{name}");
    let shown =
        async |name: &str| test.get(&key, &format!("/v1/features/{name}")).await.body["enabled"].clone();
    assert_eq!((shown("payments").await, shown("gift_cards").await), (json!(true), json!(false)));
    assert_eq!(test.get(&key, "/v1/features/payments").await.body["is_known"], true);
    assert_eq!(test.get(&key, "/v1/features/gift_cards").await.body["is_known"], false);
    test.admin("PUT", &flag("gift_cards"), json!({"enabled": true})).await;
    test.admin("PUT", &flag("payments"), json!({"enabled": false})).await;
    assert_eq!((shown("payments").await, shown("gift_cards").await), (json!(false), json!(true)));
    test.admin("PUT", &flag("payments"), json!({"enabled": null})).await;
    assert_eq!(test.get(&key, "/v1/features").await.body["features"]["payments"], true);
    assert_eq!(test.admin("PUT", &flag("payments"), json!({})).await.pointers(), ["/enabled"]);
    assert_eq!(test.admin("PUT", &flag("Bad%20Name"), json!({"enabled": true})).await.status, 422);
}
