//! Addresses that a project's mail never goes to.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;

use super::{plain, settled, with_mail};

#[sqlx::test(migrations = "../migrations")]
async fn a_suppressed_address_is_not_written_to(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let put = test.send("PUT", "/v1/suppressions/a@b.co", &[("x-api-key", &key)], "{}").await;
    assert!(put.status.is_success(), "{put:?}");
    let body = json!({"channel": "email", "to": "a@b.co", "subject": "s", "text": "t"});
    let id = test.post(&key, "/v1/notifications", body).await.id();
    let failed = settled(&test, &key, &id, "failed").await;
    assert_eq!((failed["detail"].as_str(), smtp.mails().len()), (Some("suppressed"), 0));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_list_is_the_projects_own_and_whatever_the_case(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let (_, other) = test.project().await;
    let until = trastienda_protocol::time::format(test.now() + TimeDelta::days(1));
    let act = async |method: &str, key: &str, address: &str, body: &str| {
        test.send(method, &format!("/v1/suppressions/{address}"), &[("x-api-key", key)], body.to_owned())
            .await
    };
    let body = json!({"reason": "pidió no recibir", "expires_at": until}).to_string();
    let put = act("PUT", &key, "ANA@Example.com", &body).await;
    assert_eq!(
        (put.body["address"].as_str(), put.body["reason"].as_str()),
        (Some("ana@example.com"), Some("pidió no recibir"))
    );
    let list = test.get(&key, "/v1/suppressions").await;
    assert_eq!(list.body["data"].as_array().unwrap().len(), 1);
    assert!(test.get(&other, "/v1/suppressions").await.body["data"].as_array().unwrap().is_empty());
    let send = async |key: &str, to: &str, status: &str| {
        let id = test.post(key, "/v1/notifications", plain(to)).await.id();
        settled(&test, key, &id, status).await
    };
    assert_eq!(send(&key, "Ana@example.com", "failed").await["detail"], "suppressed");
    send(&other, "Ana@example.com", "sent").await;
    test.clock.advance(TimeDelta::days(1));
    send(&key, "Ana@example.com", "sent").await;
    assert_eq!(act("DELETE", &key, "ana@EXAMPLE.com", "").await.status, 204);
    assert_eq!(act("DELETE", &key, "ana@example.com", "").await.status, 404);
    assert_eq!(act("PUT", &key, "nobody", "{}").await.status, 422);
    assert_eq!(smtp.mails().len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_mail_that_waits_is_stopped_too(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let mut body = plain("ana@example.com");
    body["send_at"] = trastienda_protocol::time::format(test.now() + TimeDelta::hours(1)).into();
    let id = test.post(&key, "/v1/notifications", body).await.id();
    test.send("PUT", "/v1/suppressions/ana@example.com", &[("x-api-key", &key)], "{}").await;
    test.clock.advance(TimeDelta::hours(2));
    assert_eq!(settled(&test, &key, &id, "failed").await["detail"], "suppressed");
    assert!(smtp.mails().is_empty());
}
