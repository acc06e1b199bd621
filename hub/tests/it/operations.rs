//! What watches the hub.

use sqlx::PgPool;

use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn readiness_names_what_is_not_configured(pool: PgPool) {
    let test = TestApp::new(pool).await;
    assert_eq!(test.send("GET", "/healthz", &[], "").await.status, 200);
    let ready = test.send("GET", "/readyz", &[], "").await;
    assert_eq!((ready.status.as_u16(), ready.body["ready"].as_bool()), (200, Some(true)), "{ready:?}");
    assert_eq!(ready.body["not_configured"][0], "TRASTIENDA_SMTP_URL");
}

#[sqlx::test(migrations = "../migrations")]
async fn metrics_need_the_admin_token(pool: PgPool) {
    let test = TestApp::new(pool).await;
    assert_eq!(test.send("GET", "/metrics", &[], "").await.status, 401);
    assert_eq!(test.admin("GET", "/metrics", serde_json::Value::Null).await.status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_api_documents_itself(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let document = test.send("GET", "/openapi.json", &[], "").await;
    assert!(document.body["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/v1/events", "/v1/batch", "/v1/webhook-endpoints", "/admin/v1/projects", "/v1/project"] {
        assert!(document.body["paths"][path].is_object(), "{path}");
    }
    assert_eq!(test.send("GET", "/docs/", &[], "").await.status, 200);
}
