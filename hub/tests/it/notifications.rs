//! Notifications: accepted, rendered, sent, opened.

use chrono::TimeDelta;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_protocol::ids::NotificationId;

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
    test.until(&format!("the notification is {status}"), async || {
        let shown = test.get(key, &format!("/v1/notifications/{id}")).await;
        (shown.body["status"] == status).then_some(shown.body)
    })
    .await
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_sends_a_templated_mail_from_its_first_minute(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let accepted = test.post(&key, "/v1/notifications", confirmation()).await;
    assert_eq!(
        (accepted.status.as_u16(), accepted.body["status"].as_str()),
        (202, Some("pending")),
        "{accepted:?}"
    );
    let sent = settled(&test, &key, &accepted.id(), "sent").await;
    assert_eq!(
        (sent["attempts"][0]["response_code"].as_i64(), sent["template_version"].as_i64()),
        (Some(250), Some(0))
    );
    let mail = &smtp.mails()[0];
    assert!(
        mail.contains("To: ana@example.com") && mail.contains(&format!("Message-ID: <{}@", accepted.id())),
        "{mail}"
    );
    let html = mail.split("text/html").nth(1).unwrap();
    assert!(
        html.contains("Ana &lt;script&gt;") && !html.contains("<script>"),
        "a variable is escaped in HTML: {html}"
    );
    let events = test.get(&key, "/v1/events?type=notification.sent").await;
    assert_eq!(events.body["data"][0]["order_id"], "A-1");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_missing_variable_is_refused_at_once_and_nothing_is_written(pool: PgPool) {
    let (test, _, key) = with_mail(pool).await;
    let mut body = confirmation();
    body["data"].as_object_mut().unwrap().remove("customer_name");
    body["data"].as_object_mut().unwrap().remove("total");
    let answer = test.post(&key, "/v1/notifications", body).await;
    assert_eq!(answer.status, 422);
    let mut pointers = answer.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/data/customer_name", "/data/total"]);
    assert!(test.get(&key, "/v1/notifications").await.body["data"].as_array().unwrap().is_empty());
    let unknown = json!({"channel": "email", "to": "a@b.co", "template": "nothing"});
    assert_eq!(test.post(&key, "/v1/notifications", unknown).await.pointers(), ["/template"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_same_id_or_key_is_one_mail(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let id: NotificationId = test.app.new_id();
    let body = json!({"id": id.to_string(), "channel": "email", "to": "a@b.co", "subject": "s", "text": "t"});
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "mail-1")];
    for replayed in [false, true] {
        let answer = test.send("POST", "/v1/notifications", &headers, body.to_string()).await;
        assert_eq!(
            (answer.id(), answer.headers.contains_key("idempotent-replayed")),
            (id.to_string(), replayed)
        );
        settled(&test, &key, &id.to_string(), "sent").await;
    }
    let other =
        json!({"id": id.to_string(), "channel": "email", "to": "a@b.co", "subject": "other", "text": "t"});
    assert_eq!(test.post(&key, "/v1/notifications", other).await.code(), "idempotency_key_reused");
    assert_eq!(smtp.mails().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_4xx_is_tried_again_and_a_5xx_is_final(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    smtp.answer("451 come back later");
    let body = json!({"channel": "email", "to": "a@b.co", "subject": "s", "text": "t"});
    let id = test.post(&key, "/v1/notifications", body.clone()).await.id();
    test.until("one attempt", async || {
        let shown = test.get(&key, &format!("/v1/notifications/{id}")).await;
        (shown.body["attempt_count"] == 1).then_some(())
    })
    .await;
    smtp.answer("250 taken");
    test.clock.advance(TimeDelta::seconds(70));
    let sent = settled(&test, &key, &id, "sent").await;
    assert_eq!(
        (sent["attempts"][0]["response_code"].as_i64(), sent["attempts"][1]["response_code"].as_i64()),
        (Some(451), Some(250))
    );

    smtp.answer("550 no such user");
    let id = test.post(&key, "/v1/notifications", body).await.id();
    let failed = settled(&test, &key, &id, "failed").await;
    assert_eq!(
        (failed["detail"].as_str(), failed["attempts"].as_array().unwrap().len()),
        (Some("rejected"), 1)
    );
    smtp.answer("250 taken");
    assert_eq!(test.post(&key, &format!("/v1/notifications/{id}/retry"), json!({})).await.status, 202);
    settled(&test, &key, &id, "sent").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn without_a_server_mail_waits_and_can_be_cancelled(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id = test.post(&key, "/v1/notifications", confirmation()).await.id();
    assert_eq!(test.get(&key, &format!("/v1/notifications/{id}")).await.body["status"], "pending");
    assert!(test.post(&key, &format!("/v1/notifications/{id}/cancel"), json!({})).await.status.is_success());
    let shown = test.get(&key, &format!("/v1/notifications/{id}")).await;
    assert_eq!(
        (shown.body["status"].as_str(), shown.body["detail"].as_str()),
        (Some("failed"), Some("cancelled"))
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn what_expired_is_never_sent_and_what_is_scheduled_waits(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let at = |seconds: i64| trastienda_protocol::time::format(test.now() + TimeDelta::seconds(seconds));
    let mail = |extra: Value| {
        let mut body = json!({"channel": "email", "to": "a@b.co", "subject": "s", "text": "t"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let scheduled = test.post(&key, "/v1/notifications", mail(json!({"send_at": at(600)}))).await.id();
    let lost = test
        .post(&key, "/v1/notifications", mail(json!({"send_at": at(600), "expires_at": at(601)})))
        .await
        .id();
    assert_eq!(smtp.mails().len(), 0);
    test.clock.advance(TimeDelta::seconds(602));
    settled(&test, &key, &scheduled, "sent").await;
    let expired = settled(&test, &key, &lost, "failed").await;
    assert_eq!((expired["detail"].as_str(), smtp.mails().len()), (Some("expired"), 1));
}

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
async fn versions_never_change_and_the_active_one_is_used(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let put = async |text: &str| {
        let body = json!({"channel": "email", "subject": "Hola {{ name }}", "text": text, "sample": {"name": "Ana"}});
        let made = test.send("PUT", "/v1/templates/hello", &[("x-api-key", &key)], body.to_string()).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["version"].as_i64().unwrap()
    };
    assert_eq!((put("uno {{ name }}").await, put("dos {{ name }}").await), (1, 2));
    let send = async || {
        let body = json!({"channel": "email", "to": "a@b.co", "template": "hello", "data": {"name": "Eva"}});
        let id = test.post(&key, "/v1/notifications", body).await.id();
        settled(&test, &key, &id, "sent").await["template_version"].as_i64().unwrap()
    };
    assert_eq!(send().await, 1);
    let activated = test.post(&key, "/v1/templates/hello/activate", json!({"version": 2})).await;
    assert!(activated.status.is_success(), "{activated:?}");
    assert_eq!(send().await, 2);
    assert!(smtp.mails()[1].contains("dos Eva"));
    let preview =
        test.post(&key, "/v1/templates/hello/preview", json!({"data": {"name": "<b>"}, "version": 1})).await;
    assert_eq!(preview.body["text"], "uno <b>", "{preview:?}");
    let broken = json!({"channel": "email", "subject": "s", "text": "{{ name"}).to_string();
    let refused = test.send("PUT", "/v1/templates/hello", &[("x-api-key", &key)], broken).await;
    assert_eq!((refused.status.as_u16(), refused.pointers()), (422, vec!["/text"]));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_whatsapp_link_is_sent_only_once_a_person_opened_it(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    let body = json!({"channel": "whatsapp", "to": "011 15 2345-6789", "text": "Hola, ¿todo bien?"});
    let made = test.post(&key, "/v1/notifications", body).await;
    let whatsapp = &made.body["whatsapp"];
    assert_eq!(
        whatsapp["link"], "https://wa.me/5491123456789?text=Hola%2C%20%C2%BFtodo%20bien%3F",
        "{made:?}"
    );
    let open_url = whatsapp["open_url"].as_str().unwrap();
    let path = open_url.strip_prefix("http://hub.test").unwrap();
    let status =
        async || test.get(&key, &format!("/v1/notifications/{}", made.id())).await.body["status"].clone();
    // Neither a preview nor a HEAD is a person.
    test.send("GET", path, &[("user-agent", "WhatsApp/2.23")], "").await;
    test.send("HEAD", path, &[("user-agent", "Mozilla/5.0")], "").await;
    assert_eq!(status().await, "pending");
    let opened = test.send("GET", path, &[("user-agent", "Mozilla/5.0 (iPhone)")], "").await;
    assert_eq!(
        (opened.status.as_u16(), opened.headers["location"].to_str().ok()),
        (302, whatsapp["link"].as_str())
    );
    assert_eq!(
        (opened.headers["cache-control"].to_str().ok(), opened.headers["referrer-policy"].to_str().ok()),
        (Some("no-store"), Some("no-referrer"))
    );
    assert_eq!(status().await, "sent");
    let row: String =
        sqlx::query_scalar("select notifications::text from notifications").fetch_one(&pool).await.unwrap();
    assert!(!row.contains(path.rsplit('/').next().unwrap()), "the token is in the database");
    assert_eq!(test.send("GET", "/w/00000000000000000000000000000000", &[], "").await.status, 404);
    let wrong = json!({"channel": "whatsapp", "to": "12", "text": "x"});
    assert_eq!(test.post(&key, "/v1/notifications", wrong).await.status, 422);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unopened_link_is_over_after_a_week(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let made = test
        .post(
            &key,
            "/v1/notifications",
            json!({"channel": "whatsapp", "to": "+56 9 8765 4321", "text": "Hola"}),
        )
        .await;
    let path = made.body["whatsapp"]["open_url"]
        .as_str()
        .unwrap()
        .strip_prefix("http://hub.test")
        .unwrap()
        .to_owned();
    test.clock.advance(TimeDelta::days(7) + TimeDelta::seconds(1));
    assert_eq!(test.send("GET", &path, &[], "").await.status, 410);
    let over = settled(&test, &key, &made.id(), "failed").await;
    assert_eq!(over["detail"], "expired");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_an_agent_acknowledged_and_the_rules_refuse_is_kept_as_failed(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let id: NotificationId = test.app.new_id();
    let body =
        json!({"channel": "email", "to": "ana@example.com", "template": "order_confirmation", "data": {}});
    let operation = json!({"kind": "notification", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": body});
    let batch = test.post(&key, "/v1/batch", json!({"operations": [operation]})).await;
    assert_eq!(batch.body["results"][0]["status"], 422, "{batch:?}");
    let kept = test.get(&key, &format!("/v1/notifications/{id}")).await;
    assert_eq!(
        (kept.body["status"].as_str(), kept.body["detail"].as_str()),
        (Some("failed"), Some("refused")),
        "{kept:?}"
    );
    assert!(kept.body["problem"]["errors"].as_array().unwrap().len() > 1);
}
