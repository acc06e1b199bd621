//! Through Debian's own mail server, with TLS and a login, read by somebody else's parser.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{confirmation, plain, settled, tried_once};
use crate::support::{Exim, TestApp};

const LOGO: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

fn header<'a>(mail: &'a Value, name: &str) -> &'a str {
    let headers = mail["headers"].as_array().unwrap();
    let mut found = headers.iter().filter(|header| header[0] == name);
    let value = found.next().unwrap_or_else(|| panic!("no {name} in {mail}"))[1].as_str().unwrap();
    assert!(found.next().is_none() || name == "received", "{name} is there twice");
    value
}

/// A text as it was before lines were folded for the way.
fn flat(text: &Value) -> String {
    text.as_str().unwrap().replace("\r\n", "\n").trim_end().to_owned()
}

async fn delivered(test: &TestApp, exim: &Exim, count: usize) -> Vec<Value> {
    test.until(&format!("exim has delivered {count}: {}", exim.log()), async || {
        let mails = exim.mails();
        (mails.len() >= count).then_some(mails)
    })
    .await
}

#[sqlx::test(migrations = "../migrations")]
async fn debians_server_delivers_what_was_accepted_by_starttls_and_by_tls(pool: PgPool) {
    for (mechanism, is_implicit) in [("PLAIN", false), ("LOGIN", true)] {
        let exim = Exim::start(mechanism);
        let url = if is_implicit { exim.tls() } else { exim.starttls() };
        let test = TestApp::with(pool.clone(), |config| config.smtp_url = Some(url)).await;
        let (_, key) = test.project().await;
        let mut body = confirmation();
        body["data"]["customer_name"] = "Ñandú <b>& Cía</b>".into();
        body["reply_to"] = "Ventas ñ <ventas@mates.example.com>".into();
        body["list_unsubscribe"] = "https://mates.example.com/baja?a=1".into();
        body["attachments"] = json!([
            {"filename": "logo.png", "content_type": "image/png", "content": LOGO, "content_id": "logo"},
            {"filename": "factura ñ.txt", "content_type": "text/plain", "content": "cGFnYWRv"},
        ]);
        let id = test.post(&key, "/v1/notifications", body).await.id();
        let sent = settled(&test, &key, &id, "sent").await;
        assert_eq!(sent["attempts"][0]["response_code"], 250, "{sent}");

        let mail = &delivered(&test, &exim, 1).await[0];
        assert_eq!(mail["defects"], json!([]), "{mail}");
        assert!(header(mail, "message-id").starts_with(&format!("<{id}@")), "{mail}");
        assert!(header(mail, "received").contains("with esmtpsa"), "by TLS, logged in: {mail}");
        assert_eq!(header(mail, "from"), "Mates <tienda@example.com>");
        assert_eq!(header(mail, "to"), "ana@example.com");
        assert_eq!(header(mail, "subject"), sent["content"]["subject"]);
        assert_eq!(header(mail, "reply-to"), "Ventas ñ <ventas@mates.example.com>");
        assert_eq!(header(mail, "list-unsubscribe"), "<https://mates.example.com/baja?a=1>");
        assert_eq!(header(mail, "auto-submitted"), "auto-generated");
        assert_eq!(
            mail["structure"],
            json!([
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "text/plain"
            ])
        );
        let parts = mail["parts"].as_array().unwrap();
        assert_eq!(flat(&parts[0]["text"]), flat(&sent["content"]["text"]));
        assert_eq!(flat(&parts[1]["text"]), flat(&sent["content"]["html"]));
        assert!(parts[0]["text"].as_str().unwrap().contains("Ñandú <b>& Cía</b>"), "{mail}");
        assert!(parts[1]["text"].as_str().unwrap().contains("Ñandú &lt;b&gt;&amp; Cía"), "{mail}");
        let inline = (&parts[2]["disposition"], &parts[2]["id"], &parts[2]["base64"]);
        assert_eq!(inline, (&json!("inline"), &json!("<logo>"), &json!(LOGO)));
        let file = (&parts[3]["disposition"], &parts[3]["name"], &parts[3]["base64"]);
        assert_eq!(file, (&json!("attachment"), &json!("factura ñ.txt"), &json!("cGFnYWRv")));
        test.app.shutdown.token.cancel();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_recipient_that_debians_server_does_not_know_is_final_and_suppressed(pool: PgPool) {
    let exim = Exim::start("PLAIN");
    let test = TestApp::with(pool, |config| config.smtp_url = Some(exim.tls())).await;
    let (_, key) = test.project().await;
    let id = test.post(&key, "/v1/notifications", plain("nadie@example.com")).await.id();
    let failed = settled(&test, &key, &id, "failed").await;
    let attempt = &failed["attempts"][0];
    assert_eq!(
        (&failed["detail"], &attempt["response_code"], failed["attempt_count"].as_i64()),
        (&json!("rejected"), &json!(550), Some(1))
    );
    assert_eq!(attempt["error"], "5.1.1 there is no such mailbox here");
    let listed = test.get(&key, "/v1/suppressions").await;
    let suppressed = &listed.body["data"][0];
    assert_eq!(suppressed["address"], "nadie@example.com");
    assert!(suppressed["reason"].as_str().unwrap().contains("550") && suppressed["expires_at"].is_string());
    let again = test.post(&key, "/v1/notifications", plain("nadie@example.com")).await.id();
    let again = settled(&test, &key, &again, "failed").await;
    assert_eq!((&again["detail"], &again["attempts"]), (&json!("suppressed"), &json!([])));
    // The connection is good for the next one.
    let id = test.post(&key, "/v1/notifications", plain("eva@example.com")).await.id();
    settled(&test, &key, &id, "sent").await;
    assert_eq!(header(&delivered(&test, &exim, 1).await[0], "to"), "eva@example.com");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_password_or_an_unknown_certificate_is_told_and_leaves_the_mail_waiting(pool: PgPool) {
    let exim = Exim::start("PLAIN");
    let told = "Incorrect authentication data";
    for (url, code, told) in [
        (exim.with_a_wrong_password(), json!(535), told),
        (exim.with_an_unknown_certificate(), Value::Null, "certificate"),
    ] {
        let test = TestApp::with(pool.clone(), |config| config.smtp_url = Some(url)).await;
        let (_, key) = test.project().await;
        let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
        let shown = tried_once(&test, &key, &id).await;
        let attempt = &shown["attempts"][0];
        assert_eq!((&shown["status"], &attempt["response_code"]), (&json!("pending"), &code), "{shown}");
        assert!(attempt["error"].as_str().unwrap().contains(told), "{shown}");
        assert!(!shown.to_string().contains("hunter22") && !shown.to_string().contains("s3creto"));
        test.app.shutdown.token.cancel();
    }
    assert!(exim.mails().is_empty());
}
