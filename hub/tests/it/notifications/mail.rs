//! Mail, over a real SMTP exchange.

use chrono::TimeDelta;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_protocol::ids::NotificationId;

use super::{batch_of, confirmation, plain, settled, tried_once, with_mail};
use crate::support::{SmtpServer, TestApp};

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
    // Quoted-printable breaks lines where it likes.
    let html = mail.split_once("text/html").unwrap().1.replace("=\n", "");
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
async fn a_mail_is_from_the_shop_at_the_hubs_address_and_carries_its_files(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let mut body = plain("ana@example.com");
    body["reply_to"] = "Ventas <ventas@mates.example.com>".into();
    body["attachments"] =
        json!([{"filename": "factura.txt", "content_type": "text/plain", "content": "cGFnYWRv"}]);
    let id = test.post(&key, "/v1/notifications", body).await.id();
    let shown = settled(&test, &key, &id, "sent").await;
    let mail = &smtp.mails()[0];
    assert!(mail.contains("From: Mates <tienda@example.com>"), "{mail}");
    assert!(mail.contains("Reply-To: Ventas <ventas@mates.example.com>"), "{mail}");
    assert!(mail.contains("filename=\"factura.txt\"") && mail.contains("pagado"), "{mail}");
    let file = &shown["content"]["attachments"][0];
    assert_eq!((file["filename"].as_str(), file.get("content")), (Some("factura.txt"), None));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_that_hangs_up_after_the_mail_gets_the_same_message_id_again(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    smtp.hang_up();
    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    let path = format!("/v1/notifications/{id}");
    test.until("one attempt", async || {
        (test.get(&key, &path).await.body["attempt_count"] == 1).then_some(())
    })
    .await;
    smtp.answer("250 taken");
    test.clock.advance(TimeDelta::seconds(70));
    let sent = settled(&test, &key, &id, "sent").await;
    let first = &sent["attempts"][0];
    assert_eq!((&first["response_code"], first["is_doubtful"].as_bool()), (&Value::Null, Some(true)));
    assert_eq!(sent["attempts"][1]["is_doubtful"], false);
    let mails = smtp.mails();
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert!(mail.contains(&format!("Message-ID: <{id}@")), "{mail}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_greylisted_mail_is_sent_when_it_comes_again_and_suppresses_nobody(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    smtp.recipient("450 4.7.1 greylisted, come back in a minute");
    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    let shown = tried_once(&test, &key, &id).await;
    let first = &shown["attempts"][0];
    assert_eq!((&shown["status"], first["response_code"].as_i64()), (&Value::from("pending"), Some(450)));
    assert_eq!((first["is_doubtful"].as_bool(), smtp.mails().len()), (Some(false), 0));
    assert!(test.get(&key, "/v1/suppressions").await.body["data"].as_array().unwrap().is_empty());
    smtp.recipient("250 ok");
    // Not before a minute has gone by.
    test.clock.advance(TimeDelta::seconds(30));
    test.app.wakes.wake("emails");
    let next = trastienda_protocol::time::parse(shown["next_attempt_at"].as_str().unwrap()).unwrap();
    assert!(next > test.now());
    test.clock.advance(TimeDelta::seconds(40));
    test.app.wakes.wake("emails");
    let sent = settled(&test, &key, &id, "sent").await;
    assert_eq!((sent["attempt_count"].as_i64(), smtp.mails().len()), (Some(2), 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refused_password_says_nothing_about_the_mail(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    smtp.answer("535 authentication failed");
    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    let shown = tried_once(&test, &key, &id).await;
    assert_eq!(
        (shown["status"].as_str(), shown["attempts"][0]["response_code"].as_i64()),
        (Some("pending"), Some(535))
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_that_is_gone_for_a_day_is_given_up(pool: PgPool) {
    // Nobody listens on port 1.
    let url = SecretString::from("smtp://127.0.0.1:1");
    let test = TestApp::with(pool, |config| config.smtp_url = Some(url)).await;
    let (_, key) = test.project().await;
    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    let path = format!("/v1/notifications/{id}");
    for attempt in 1..12 {
        test.until(&format!("attempt {attempt}"), async || {
            (test.get(&key, &path).await.body["attempt_count"] == attempt).then_some(())
        })
        .await;
        test.clock.advance(TimeDelta::hours(7));
        // The clock moved without anybody being told.
        test.app.wakes.wake("emails");
    }
    let failed = settled(&test, &key, &id, "failed").await;
    assert_eq!((failed["detail"].as_str(), failed["attempt_count"].as_i64()), (Some("gave_up"), Some(12)));
    let events = test.get(&key, "/v1/events?type=notification.failed").await;
    assert_eq!(events.body["data"][0]["data"]["notification_id"], id);
    assert_eq!(events.body["data"][0]["data"]["detail"], "gave_up");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_repeat_is_the_thing_as_it_is_now_whatever_became_of_its_template(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "order-A-1")];
    let body = confirmation().to_string();
    let id = test.send("POST", "/v1/notifications", &headers, body.clone()).await.id();
    settled(&test, &key, &id, "sent").await;
    let other =
        json!({"channel": "email", "subject": "{{ tracking }}", "text": "{{ tracking }}", "sample": {"tracking": "x"}}).to_string();
    test.send("PUT", "/v1/templates/order_confirmation", &[("x-api-key", &key)], other).await;
    let again = test.send("POST", "/v1/notifications", &headers, body).await;
    assert_eq!((again.status.as_u16(), again.id(), again.body["status"].as_str()), (202, id, Some("sent")));
    assert!(again.headers.contains_key("idempotent-replayed"));
    assert_eq!(test.post(&key, "/v1/notifications", confirmation()).await.pointers(), ["/data/tracking"]);
    assert_eq!(smtp.mails().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_sent_stays_sent_and_belongs_to_its_project(pool: PgPool) {
    let (test, _, key) = with_mail(pool).await;
    let (_, other) = test.project().await;
    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    settled(&test, &key, &id, "sent").await;
    for action in ["retry", "cancel"] {
        let path = format!("/v1/notifications/{id}/{action}");
        assert_eq!(test.post(&key, &path, json!({})).await.code(), "already_sent");
        assert_eq!(test.post(&other, &path, json!({})).await.status, 404);
    }
    assert_eq!(test.get(&other, &format!("/v1/notifications/{id}")).await.status, 404);
    assert_eq!(test.get(&key, "/v1/notifications/ntf_x").await.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn past_the_daily_quota_a_call_is_refused_and_an_acknowledged_one_taken(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let project = test.get(&key, "/v1/project").await.id();
    let limits = test
        .admin("PUT", &format!("/admin/v1/projects/{project}/limits"), json!({"emails_per_day": 1}))
        .await;
    assert!(limits.status.is_success(), "{limits:?}");
    let first = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    let refused = test.post(&key, "/v1/notifications", plain("eva@example.com")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "quota_exceeded"));
    assert!(refused.headers.contains_key("retry-after"));
    let id: NotificationId = test.app.new_id();
    let taken = batch_of(&test, &key, &id.to_string(), plain("eva@example.com")).await;
    assert_eq!(taken["status"], 202, "{taken:?}");
    settled(&test, &key, &first, "sent").await;
    settled(&test, &key, &id.to_string(), "sent").await;
    assert_eq!(smtp.mails().len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_list_finds_what_is_asked_for(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let mail = test.post(&key, "/v1/notifications", confirmation()).await.id();
    test.clock.advance(TimeDelta::seconds(1));
    let link = json!({"channel": "whatsapp", "to": "11 2345-6789", "text": "Hola", "order_id": "A-2"});
    let link = test.post(&key, "/v1/notifications", link).await.id();
    for (query, expected) in [
        ("channel=email", vec![&mail]),
        ("to=ANA@example.com", vec![&mail]),
        ("to=%2B54%209%2011%202345-6789", vec![&link]),
        ("template=order_confirmation", vec![&mail]),
        ("order_id=A-2", vec![&link]),
        ("status=pending", vec![&link, &mail]),
        ("status=sent", vec![]),
    ] {
        let page = test.get(&key, &format!("/v1/notifications?{query}")).await;
        let ids: Vec<_> =
            page.body["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let first = test.get(&key, "/v1/notifications?limit=1").await;
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = test.get(&key, &format!("/v1/notifications?limit=1&cursor={cursor}")).await;
    assert_eq!(
        (second.body["data"][0]["id"].as_str(), second.body["next_cursor"].as_str()),
        (Some(mail.as_str()), None)
    );
    assert_eq!(test.get(&key, "/v1/notifications?colour=red").await.status, 422);
}

#[sqlx::test(migrations = "../migrations")]
async fn all_that_is_wrong_with_a_request_is_told_at_once(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body = json!({"channel": "email", "to": "ana..b@example.com", "template": "order_confirmation", "data": {"order_id": "A-1", "total": "1", "currency": "ARS"}});
    assert_eq!(test.post(&key, "/v1/notifications", body).await.pointers(), ["/to", "/data/customer_name"]);
    let body = json!({"channel": "fax", "to": 7, "colour": "red", "send_at": "tomorrow"});
    let refused = test.post(&key, "/v1/notifications", body).await;
    assert_eq!(refused.pointers(), ["/channel", "/to", "/send_at", "/colour"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_waited_is_sent_once_there_is_a_server_even_if_its_hub_died(pool: PgPool) {
    let without = TestApp::new(pool.clone()).await;
    let (_, key) = without.project().await;
    let id = without.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    // As a hub leaves it that is killed while it sends.
    sqlx::query("update notifications set lease_token = $1, lease_hub = -1, lease_until = $2")
        .bind(without.app.ids.uuid(without.now()))
        .bind(without.now() + TimeDelta::hours(1))
        .execute(&pool)
        .await
        .unwrap();
    let smtp = SmtpServer::start().await;
    let url = smtp.url();
    let test = TestApp::with(pool, |config| config.smtp_url = Some(SecretString::from(url))).await;
    settled(&test, &key, &id, "sent").await;
    assert_eq!(smtp.mails().len(), 1);
}
