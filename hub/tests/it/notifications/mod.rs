//! Notifications: accepted, rendered, sent, opened.

mod accounts;
mod agents;
mod exim;
mod files;
mod injection;
mod mail;
mod retention;
mod suppressions;
mod templates;
mod whatsapp;

use std::cell::RefCell;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{SmtpServer, TestApp};

async fn with_mail(pool: PgPool) -> (TestApp, SmtpServer, String) {
    let smtp = SmtpServer::start().await;
    let url = smtp.url();
    let test = TestApp::with(pool, |config| config.smtp_url = Some(SecretString::from(url))).await;
    let (_, key) = test.project().await;
    (test, smtp, key)
}

fn confirmation() -> Value {
    json!({"channel": "email", "to": "ana@example.com", "template": "order_confirmation", "locale": "es-AR", "order_id": "A-1", "data": {
        "order_id": "A-1", "customer_name": "Ana <script>", "total": "18500.00", "currency": "ARS",
        "items": [{"name": "Mate", "quantity": 1, "price": "18500.00"}],
    }})
}

async fn settled(test: &TestApp, key: &str, id: &str, status: &str) -> Value {
    let last = RefCell::new(Value::Null);
    let what = || format!("the notification is {status}: {}", last.borrow());
    test.until_saying(Duration::from_secs(10), what, async || {
        let shown = test.get(key, &format!("/v1/notifications/{id}")).await.body;
        last.replace(shown.clone());
        (shown["status"] == status).then_some(shown)
    })
    .await
}

/// The notification once it was tried.
async fn tried_once(test: &TestApp, key: &str, id: &str) -> Value {
    test.until("one attempt", async || {
        let shown = test.get(key, &format!("/v1/notifications/{id}")).await;
        (shown.body["attempt_count"] == 1).then_some(shown.body)
    })
    .await
}

fn plain(to: &str) -> Value {
    json!({"channel": "email", "to": to, "subject": "Hola", "text": "¿Todo bien?"})
}

/// An answer's path below the hub's own address.
fn path_of(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix("http://hub.test").unwrap().to_owned()
}

async fn batch_of(test: &TestApp, key: &str, id: &str, body: Value) -> Value {
    let operation =
        json!({"kind": "notification", "id": id, "accepted_at": "2026-11-24T10:00:00Z", "body": body});
    let answer = test.post(key, "/v1/batch", json!({"operations": [operation]})).await;
    answer.body["results"][0].clone()
}
