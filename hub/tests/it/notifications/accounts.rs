//! A project's own SMTP accounts, their order and health, and who may write as whom.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{plain, settled, with_mail};
use crate::support::{Answer, SmtpServer, TestApp};

async fn add(test: &TestApp, key: &str, server: &SmtpServer, extra: Value) -> Answer {
    let mut body = json!({"host": "127.0.0.1", "port": server.port(), "security": "none", "from": "Mates <hola@mates.example.com>"});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    test.post(key, "/v1/smtp-accounts", body).await
}

fn from(mail: &str) -> &str {
    mail.lines().find(|line| line.starts_with("From:")).unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_with_an_account_writes_through_it_alone(pool: PgPool) {
    let (test, hubs, key) = with_mail(pool).await;
    let (_, other) = test.project().await;
    let own = SmtpServer::start().await;
    let made = add(&test, &key, &own, json!({"username": "ana", "password": "hunter22"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(!made.body.to_string().contains("hunter22"));
    let path = format!("/v1/smtp-accounts/{}", made.id());
    let shown = test.get(&key, &path).await;
    assert_eq!(
        (shown.body["has_password"].as_bool(), shown.body["username"].as_str()),
        (Some(true), Some("ana"))
    );
    assert_eq!(test.get(&other, &path).await.status, 404);
    // A server that offers no login cannot be used with one.
    let tested = test.post(&key, &format!("{path}/test"), json!({})).await;
    assert_eq!(tested.body["ok"], false, "{tested:?}");
    let changed =
        test.send("PATCH", &path, &[("x-api-key", &key)], json!({"username": null}).to_string()).await;
    assert_eq!((changed.status.as_u16(), changed.body["has_password"].as_bool()), (200, Some(false)));
    assert_eq!(test.post(&key, &format!("{path}/test"), json!({})).await.body["ok"], true);

    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    let sent = settled(&test, &key, &id, "sent").await;
    assert_eq!(sent["attempts"][0]["server"], "127.0.0.1");
    let id = test.post(&other, "/v1/notifications", plain("ana@example.com")).await.id();
    settled(&test, &other, &id, "sent").await;
    assert_eq!(from(&own.mails()[0]), "From: Mates <hola@mates.example.com>");
    assert_eq!((own.mails().len(), hubs.mails().len()), (1, 1));
    assert_eq!(from(&hubs.mails()[0]), "From: Mates <tienda@example.com>");

    assert_eq!(test.send("DELETE", &path, &[("x-api-key", &key)], "").await.status, 204);
    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    settled(&test, &key, &id, "sent").await;
    assert_eq!(hubs.mails().len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_next_account_is_asked_when_one_is_away_and_a_mail_that_may_be_there_goes_nowhere_else(
    pool: PgPool,
) {
    let (test, _, key) = with_mail(pool).await;
    let (first, second) = (SmtpServer::start().await, SmtpServer::start().await);
    add(&test, &key, &second, json!({"name": "second", "position": 1})).await;
    add(&test, &key, &first, json!({"name": "first"})).await;
    let listed = test.get(&key, "/v1/smtp-accounts").await;
    let names: Vec<_> =
        listed.body["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second"]);

    first.answer("421 busy");
    let id = test.post(&key, "/v1/notifications", plain("ana@example.com")).await.id();
    let sent = settled(&test, &key, &id, "sent").await;
    let servers: Vec<_> =
        sent["attempts"].as_array().unwrap().iter().map(|row| row["server"].as_str().unwrap()).collect();
    assert_eq!((servers, sent["attempt_count"].as_i64()), (vec!["first", "second"], Some(1)));
    let failing = &test.get(&key, "/v1/smtp-accounts").await.body["data"][0];
    assert_eq!((failing["failures"].as_i64(), failing["last_error"].as_str()), (Some(1), Some("busy")));

    // It took the mail and hung up: nobody else gets it.
    first.hang_up();
    let id = test.post(&key, "/v1/notifications", plain("eva@example.com")).await.id();
    test.until("one attempt", async || {
        let shown = test.get(&key, &format!("/v1/notifications/{id}")).await;
        (shown.body["attempt_count"] == 1).then_some(())
    })
    .await;
    assert_eq!(second.mails().len(), 1);
    first.answer("250 taken");
    test.clock.advance(TimeDelta::seconds(70));
    settled(&test, &key, &id, "sent").await;
    assert_eq!((first.mails().len(), second.mails().len()), (3, 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dead_server_rests_and_delays_nobody_else(pool: PgPool) {
    let (test, hubs, key) = with_mail(pool).await;
    let (_, other) = test.project().await;
    let dead = SmtpServer::start().await;
    dead.hang();
    add(&test, &key, &dead, json!({})).await;
    for index in 0..40 {
        test.post(&key, "/v1/notifications", plain(&format!("a{index}@example.com"))).await.id();
    }
    test.until("the dead server has what it may have", async || (dead.mails().len() == 8).then_some(()))
        .await;
    // Each is sent within the ten seconds that are waited for it; a server that hangs is given up after 45.
    for index in 0..10 {
        let id = test.post(&other, "/v1/notifications", plain(&format!("b{index}@example.com"))).await.id();
        settled(&test, &other, &id, "sent").await;
    }
    assert_eq!((hubs.mails().len(), dead.mails().len()), (10, 8));

    // One that takes no connection rests after three failures: no more attempts are spent on it.
    let (_, third) = test.project().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = json!({"host": "127.0.0.1", "port": port, "security": "none", "from": "x@mates.example.com"});
    assert_eq!(test.post(&third, "/v1/smtp-accounts", gone).await.status, 201);
    let mut ids = Vec::new();
    for index in 0..12 {
        ids.push(test.post(&third, "/v1/notifications", plain(&format!("c{index}@example.com"))).await.id());
    }
    test.until("the account has failed", async || {
        let row = &test.get(&third, "/v1/smtp-accounts").await.body["data"][0];
        (row["failures"].as_i64() >= Some(3)).then_some(())
    })
    .await;
    let mut spent = 0;
    for id in &ids {
        spent += test.get(&third, &format!("/v1/notifications/{id}")).await.body["attempt_count"]
            .as_i64()
            .unwrap();
    }
    assert!(spent <= 8, "{spent} attempts");
}

#[sqlx::test(migrations = "../migrations")]
async fn many_dead_servers_and_the_operators_own_delay_nobody_either(pool: PgPool) {
    let (test, hubs, other) = with_mail(pool).await;
    let (dead, well) = (SmtpServer::start().await, SmtpServer::start().await);
    dead.hang();
    // More mails than there used to be places for, each with a server that has fallen silent.
    for project in 0..20 {
        let (_, key) = test.project().await;
        add(&test, &key, &dead, json!({})).await;
        for index in 0..8 {
            let to = format!("a{project}-{index}@example.com");
            assert_eq!(test.post(&key, "/v1/notifications", plain(&to)).await.status, 202);
        }
    }
    let held = async || (dead.mails().len() == 160).then_some(());
    test.until("the dead server has what it may have", held).await;
    // Each is sent within the ten seconds that are waited for it; a server that hangs is given up after 45.
    let id = test.post(&other, "/v1/notifications", plain("b@example.com")).await.id();
    settled(&test, &other, &id, "sent").await;
    hubs.hang();
    for index in 0..16 {
        test.post(&other, "/v1/notifications", plain(&format!("c{index}@example.com"))).await.id();
    }
    test.until("the operator's server has fallen silent", async || (hubs.mails().len() == 17).then_some(()))
        .await;
    let (_, own) = test.project().await;
    add(&test, &own, &well, json!({})).await;
    for index in 0..5 {
        let id = test.post(&own, "/v1/notifications", plain(&format!("d{index}@example.com"))).await.id();
        settled(&test, &own, &id, "sent").await;
    }
    assert_eq!(well.mails().len(), 5);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_host_is_checked_and_a_password_moves_to_no_other_server(pool: PgPool) {
    let (test, _, key) = with_mail(pool).await;
    let body = |extra: Value| {
        let mut body = json!({"host": "127.0.0.1", "security": "none", "from": "hola@mates.example.com"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (extra, pointers) in [
        (json!({"host": "169.254.169.254"}), vec!["/host"]),
        (json!({"host": "10.0.0.1", "security": "tls"}), vec!["/host"]),
        (json!({"host": "nowhere.invalid"}), vec!["/host"]),
        (json!({"host": "a b"}), vec!["/host"]),
        (json!({"from": "nobody"}), vec!["/from"]),
        (json!({"username": "ana"}), vec!["/password"]),
        (json!({"host": null, "from": null}), vec!["/host", "/from"]),
        (json!({"security": "ssl", "port": 0, "colour": 1}), vec!["/port", "/security", "/colour"]),
    ] {
        let refused = test.post(&key, "/v1/smtp-accounts", body(extra.clone())).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (422, pointers), "{extra}");
    }
    let made =
        test.post(&key, "/v1/smtp-accounts", body(json!({"username": "a", "password": "b"}))).await.id();
    let moved = json!({"host": "127.0.0.2"}).to_string();
    let refused =
        test.send("PATCH", &format!("/v1/smtp-accounts/{made}"), &[("x-api-key", &key)], moved).await;
    assert_eq!(refused.pointers(), ["/password"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn through_the_hub_a_project_writes_as_itself_or_as_the_operator_allows(pool: PgPool) {
    let (test, hubs, key) = with_mail(pool).await;
    let project = test.get(&key, "/v1/project").await.id();
    let send = async |from: &str| {
        let mut body = plain("ana@example.com");
        body["from"] = from.into();
        test.post(&key, "/v1/notifications", body).await
    };
    for allowed in
        ["Mates <ventas@mates.example.com>", "x@mail.mates.example.com", "Otra <tienda@example.com>"]
    {
        assert_eq!(send(allowed).await.status, 202, "{allowed}");
    }
    for refused in ["jefe@banco.example", "x@notmates.example.com", "x@example.com"] {
        assert_eq!(send(refused).await.pointers(), ["/from"], "{refused}");
    }
    let path = format!("/admin/v1/projects/{project}/mail-senders");
    let put = test.admin("PUT", &path, json!({"senders": ["Otra.example", "ventas@socio.example"]})).await;
    assert_eq!(put.body["senders"], json!(["otra.example", "ventas@socio.example"]), "{put:?}");
    assert_eq!(test.admin("GET", &path, Value::Null).await.body, put.body);
    assert_eq!(send("hola@otra.example").await.status, 202);
    assert_eq!(send("ventas@socio.example").await.status, 202);
    assert_eq!(send("otro@socio.example").await.pointers(), ["/from"]);
    assert_eq!(test.admin("PUT", &path, json!({"senders": ["a b"]})).await.status, 422);
    assert_eq!(test.get(&key, &path).await.status, 401);

    // What was allowed when it was accepted is checked again when it is sent.
    let mut body = plain("late@example.com");
    body["from"] = "hola@otra.example".into();
    body["send_at"] = trastienda_protocol::time::format(test.now() + TimeDelta::seconds(60)).into();
    let late = test.post(&key, "/v1/notifications", body).await.id();
    test.admin("PUT", &path, json!({"senders": []})).await;
    test.clock.advance(TimeDelta::seconds(61));
    let failed = settled(&test, &key, &late, "failed").await;
    assert_eq!(failed["detail"], "invalid");
    assert!(!hubs.mails().iter().any(|mail| mail.contains("late@example.com")));
}

#[sqlx::test(migrations = "../migrations")]
async fn several_servers_of_the_operator_are_tried_in_order(pool: PgPool) {
    let second = SmtpServer::start().await;
    let urls = secrecy::SecretString::from(format!("smtp://127.0.0.1:1 {}", second.url()));
    let test = TestApp::with(pool, |config| config.smtp_url = Some(urls)).await;
    let (_, key) = test.project().await;
    for index in 0..6 {
        let id = test.post(&key, "/v1/notifications", plain(&format!("a{index}@example.com"))).await.id();
        let sent = settled(&test, &key, &id, "sent").await;
        // After three failures the first rests.
        assert_eq!(sent["attempts"].as_array().unwrap().len(), if index < 3 { 2 } else { 1 });
    }
    assert_eq!(second.mails().len(), 6);
    assert_eq!(second.connections(), 1, "its connection is kept");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_recipient_that_does_not_exist_is_not_written_to_again(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    smtp.recipient("550 5.1.1 no such user");
    let id = test.post(&key, "/v1/notifications", plain("Nobody@example.com")).await.id();
    assert_eq!(settled(&test, &key, &id, "failed").await["detail"], "rejected");
    let list = test.get(&key, "/v1/suppressions").await;
    let row = &list.body["data"][0];
    assert_eq!(
        (row["address"].as_str(), row["reason"].as_str()),
        (Some("nobody@example.com"), Some("refused: 550 5.1.1 no such user"))
    );
    let month = trastienda_protocol::time::format(test.now() + TimeDelta::days(30));
    assert_eq!(row["expires_at"].as_str().unwrap()[..10], month[..10]);
    smtp.recipient("250 ok");
    let id = test.post(&key, "/v1/notifications", plain("nobody@example.com")).await.id();
    assert_eq!(settled(&test, &key, &id, "failed").await["detail"], "suppressed");
    assert!(smtp.mails().is_empty());
    let soon = json!({"expires_at": trastienda_protocol::time::format(test.now() + TimeDelta::seconds(60))});
    let put = test
        .send("PUT", "/v1/suppressions/nobody@example.com", &[("x-api-key", &key)], soon.to_string())
        .await;
    assert_eq!(put.status, 200, "{put:?}");
    test.clock.advance(TimeDelta::seconds(61));
    let id = test.post(&key, "/v1/notifications", plain("nobody@example.com")).await.id();
    settled(&test, &key, &id, "sent").await;
    // A policy says nothing about the address.
    smtp.recipient("550 5.7.1 your server is on a list");
    let id = test.post(&key, "/v1/notifications", plain("eva@example.com")).await.id();
    settled(&test, &key, &id, "failed").await;
    assert_eq!(test.get(&key, "/v1/suppressions").await.body["data"].as_array().unwrap().len(), 1);
}
