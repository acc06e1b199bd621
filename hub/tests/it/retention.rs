//! What is kept, emptied and dropped as time goes by.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;
use trastienda_hub::db::partitions;
use trastienda_hub::retention;

use crate::support::{Receiver, SmtpServer, TestApp};

async fn pass(test: &TestApp, days: i64) {
    test.clock.advance(TimeDelta::days(days));
    partitions::ensure(&test.app.db, test.now()).await.unwrap();
    retention::run(&test.app).await.unwrap();
}

async fn order(test: &TestApp, key: &str) -> String {
    test.post(key, "/v1/events", json!({"type": "order.created", "data": {"order_id": "A-1"}})).await.id()
}

#[sqlx::test(migrations = "../migrations")]
async fn payloads_go_by_the_project_s_retention_and_partitions_by_the_longest_unless_unfinished(
    pool: PgPool,
) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let ((_, free), (_, pro)) = (test.project().await, test.project_on("pro").await);
    let since = trastienda_protocol::time::format(test.now());
    let body = json!({"url": receiver.url(), "events": ["*"]});
    let id = test.post(&free, "/v1/webhook-endpoints", body.clone()).await.id();
    let stuck = test.post(&pro, "/v1/webhook-endpoints", body).await.id();
    let blanked = order(&test, &free).await;
    let sent = test.delivery(&free, "sent").await;
    // Down for as long as the test lasts.
    sqlx::query("update webhook_endpoints set open_until = '2100-01-01' where project_id = (select id from projects where plan = 'pro')")
        .execute(&pool)
        .await
        .unwrap();
    let kept = order(&test, &pro).await;
    let week: Vec<String> = sqlx::query_scalar("select distinct tableoid::regclass::text from events")
        .fetch_all(&pool)
        .await
        .unwrap();
    let exists = async |table: &str| -> bool {
        sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(&pool).await.unwrap()
    };

    pass(&test, 29).await;
    assert_eq!(test.get(&free, &format!("/v1/events/{blanked}")).await.body["data"]["order_id"], "A-1");
    pass(&test, 2).await;
    let shown = test.get(&free, &format!("/v1/events/{blanked}")).await.body;
    assert_eq!((&shown["data"], shown["blanked_at"].is_string()), (&json!({}), true));
    let detail = test.get(&free, &format!("/v1/webhook-deliveries/{}", sent["id"].as_str().unwrap())).await;
    assert!(detail.body["attempts"][0]["response"].is_null(), "{detail:?}");
    assert_eq!(test.get(&pro, &format!("/v1/events/{kept}")).await.body["data"]["order_id"], "A-1");
    // An empty payload is not sent again.
    let replay = json!({"since": since, "status": "all"});
    assert_eq!(
        test.post(&free, &format!("/v1/webhook-endpoints/{id}/replay"), replay).await.body["queued"],
        0
    );
    let retry = format!("/v1/webhook-deliveries/{}/retry", sent["id"].as_str().unwrap());
    assert_eq!(test.post(&free, &retry, json!({})).await.code(), "payload_gone");

    pass(&test, 70).await;
    assert!(exists(&week[0]).await && exists(&week[0].replace("events", "webhook_deliveries")).await);
    assert_eq!(test.get(&pro, &format!("/v1/events/{kept}")).await.body["data"]["order_id"], "A-1");
    let gone = format!("/v1/webhook-endpoints/{stuck}");
    assert_eq!(test.send("DELETE", &gone, &[("x-api-key", &pro)], "").await.status, 204);
    pass(&test, 0).await;
    for table in ["events", "webhook_deliveries", "webhook_logs"] {
        assert!(!exists(&week[0].replace("events", table)).await, "{table}");
    }
    assert_eq!(test.get(&pro, &format!("/v1/events/{kept}")).await.status, 404);
    assert_eq!(test.post(&pro, "/v1/events", json!({"type": "a.b", "data": {}})).await.status, 202);
}

#[sqlx::test(migrations = "../migrations")]
async fn held_deliveries_are_given_up_only_after_the_retention_and_a_warning(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, |config| {
        config.smtp_url = Some(smtp.url().into());
        config.operator_email = Some("ops@example.com".parse().unwrap());
    })
    .await;
    let (_, key) = test.project().await;
    receiver.answer(410, &[]);
    let id =
        test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await.id();
    order(&test, &key).await;
    test.until("the operator hears of the 410", async || (smtp.mails().len() == 1).then_some(())).await;
    order(&test, &key).await;
    pass(&test, 22).await;
    assert_eq!(smtp.mails().len(), 1);
    pass(&test, 2).await;
    pass(&test, 0).await;
    test.until("the operator is warned", async || (smtp.mails().len() == 2).then_some(())).await;
    assert_eq!(test.get(&key, &format!("/v1/webhook-endpoints/{id}")).await.body["held"], 1);
    pass(&test, 7).await;
    let list = test.get(&key, "/v1/webhook-deliveries?status=failed").await;
    let errors: Vec<_> =
        list.body["data"].as_array().unwrap().iter().map(|one| one["last_error"].as_str().unwrap()).collect();
    assert!(errors.contains(&"held for 30 days, and the endpoint stayed disabled"), "{errors:?}");
    assert_eq!(smtp.mails().len(), 2);
}
