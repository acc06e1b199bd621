//! Files by their address, and images within a mail.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;

use super::{plain, settled, with_mail};
use crate::support::Receiver;

#[sqlx::test(migrations = "../migrations")]
async fn a_file_by_its_address_is_fetched_when_it_is_sent(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let files = Receiver::start().await;
    files.answer(503, &[]);
    let mut body = plain("ana@example.com");
    body["html"] = "<p><img src=\"cid:logo\"></p>".into();
    body["list_unsubscribe"] = "https://mates.example.com/baja".into();
    body["attachments"] = json!([
        {"filename": "factura.txt", "content_type": "text/plain", "url": files.url()},
        {"filename": "logo.png", "content_type": "image/png", "content": "UE5H", "content_id": "logo"},
    ]);
    let id = test.post(&key, "/v1/notifications", body.clone()).await.id();
    test.until("one attempt", async || {
        let shown = test.get(&key, &format!("/v1/notifications/{id}")).await;
        (shown.body["attempt_count"] == 1).then_some(())
    })
    .await;
    assert!(smtp.mails().is_empty());
    files.answer(200, &[]);
    test.clock.advance(TimeDelta::seconds(70));
    settled(&test, &key, &id, "sent").await;
    let mail = &smtp.mails()[0];
    assert!(mail.contains("thanks") && mail.contains("filename=\"factura.txt\""), "{mail}");
    assert!(mail.contains("Content-ID: <logo>") && mail.contains("multipart/related"), "{mail}");
    assert!(mail.contains("List-Unsubscribe: <https://mates.example.com/baja>"), "{mail}");

    files.answer(404, &[]);
    let id = test.post(&key, "/v1/notifications", body.clone()).await.id();
    let failed = settled(&test, &key, &id, "failed").await;
    assert_eq!(failed["detail"], "invalid");
    assert!(failed["attempts"][0]["error"].as_str().unwrap().contains("404"), "{failed}");

    body["attachments"][0]["url"] = "https://169.254.169.254/latest".into();
    assert_eq!(test.post(&key, "/v1/notifications", body).await.pointers(), ["/attachments/0/url"]);
}
