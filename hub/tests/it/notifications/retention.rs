//! Personal data has its time.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_hub::retention;

use super::{path_of, plain, settled, with_mail};

#[sqlx::test(migrations = "../migrations")]
async fn addresses_and_contents_go_when_the_plans_time_is_over_and_the_rows_stay(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    smtp.answer("550 <ana@example.com> will not");
    let mut body = plain("ana@example.com");
    body["metadata"] = json!({"customer": "Ana"});
    let old = test.post(&key, "/v1/notifications", body).await.id();
    settled(&test, &key, &old, "failed").await;
    let link = json!({"channel": "whatsapp", "to": "11 2345-6789", "text": "Hola Ana"});
    let link = test.post(&key, "/v1/notifications", link).await;
    let opened = path_of(&link.body["whatsapp"]["open_url"]);
    assert_eq!(test.send("GET", &opened, &[], "").await.status, 302);
    // The plan keeps 30 days.
    test.clock.advance(TimeDelta::days(29));
    retention::run(&test.app).await.unwrap();
    let shown = test.get(&key, &format!("/v1/notifications/{old}")).await;
    assert_eq!(
        (shown.body["to"].as_str(), &shown.body["blanked_at"]),
        (Some("ana@example.com"), &Value::Null)
    );
    let mut body = plain("eva@example.com");
    body["send_at"] = trastienda_protocol::time::format(test.now() + TimeDelta::days(60)).into();
    let waiting = test.post(&key, "/v1/notifications", body).await.id();
    test.clock.advance(TimeDelta::days(2));
    retention::run(&test.app).await.unwrap();
    let shown = test.get(&key, &format!("/v1/notifications/{old}")).await;
    let text = shown.body.to_string();
    assert!(!text.contains("ana@") && !text.contains("Ana") && !text.contains("Todo bien"), "{text}");
    assert_eq!((shown.body["status"].as_str(), shown.body["to"].as_str()), (Some("failed"), Some("")));
    assert!(shown.body["blanked_at"].is_string() && shown.body["attempts"][0]["response_code"] == 550);
    assert_eq!(test.post(&key, &format!("/v1/notifications/{old}/retry"), json!({})).await.code(), "blanked");
    assert_eq!(test.send("GET", &opened, &[], "").await.status, 404);
    // What waits keeps what it needs.
    let shown = test.get(&key, &format!("/v1/notifications/{waiting}")).await;
    assert_eq!(
        (shown.body["to"].as_str(), &shown.body["blanked_at"]),
        (Some("eva@example.com"), &Value::Null)
    );
}
