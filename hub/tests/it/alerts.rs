//! What the operator is alerted of: each thing once, and once more when it is over.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, PgPool};
use trastienda_hub::alerts::kinds::KINDS;
use trastienda_hub::alerts::{Configured, Watch};
use trastienda_hub::config::Config;
use trastienda_protocol::webhook::Secret;

use crate::support::{Receiver, SmtpServer, TestApp};

const SECRET: &str = "whsec_bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaC1mb3ItaXQ=";

/// Tells by mail and by webhook.
fn told(smtp: &SmtpServer, receiver: &Receiver) -> impl Fn(&mut Config) {
    let (smtp, url) = (smtp.url(), receiver.url());
    move |config: &mut Config| {
        config.smtp_url = Some(smtp.clone().into());
        config.operator_email = Some("ops@example.com".parse().unwrap());
        config.alerts = Configured {
            webhook: Some((url.parse().unwrap(), Secret::parse(SECRET).unwrap())),
            ..config.alerts.clone()
        };
    }
}

/// What was posted so far: the type and the kind of each, in order.
fn posted(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    receiver
        .received()
        .iter()
        .map(|one| (text(&one.json()["type"]), text(&one.json()["data"]["kind"])))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(first, second)| ((*first).to_owned(), (*second).to_owned())).collect()
}

async fn until_posted(test: &TestApp, receiver: &Receiver, expected: &[(&str, &str)]) {
    test.until(&format!("posted: {expected:?}"), async || {
        let mut posted = posted(receiver);
        let mut expected = pairs(expected);
        posted.sort();
        expected.sort();
        (posted == expected).then_some(())
    })
    .await;
    // A clock that is moved while something is under way makes it due again.
    test.until("all that is written down", async || {
        let query = "select (select count(*) from alert_webhooks where status = 'pending')
                          + (select count(*) from operator_mails where status = 'pending' and key <> 'k')";
        let waiting: i64 = sqlx::query_scalar(query).fetch_one(&test.app.db).await.unwrap();
        (waiting == 0).then_some(())
    })
    .await;
}

async fn heartbeat(test: &TestApp, key: &str, more: Value) {
    let mut status = json!({"hub": "up", "buffered": 0, "oldest_seconds": 0, "dead_letters": 0, "disk_bytes": 1, "version": "1"});
    for (name, value) in more.as_object().unwrap() {
        status[name] = value.clone();
    }
    let body = json!({"agent_id": "a-1", "status": status});
    assert_eq!(test.post(key, "/v1/agent/heartbeat", body).await.status, 204);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_silent_agent_is_told_once_over_restarts_and_hubs_and_once_more_when_it_speaks(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, told(&smtp, &receiver)).await;
    let (_, key) = test.project().await;
    heartbeat(&test, &key, json!({})).await;
    let (mut watch, mut other) = (Watch::new(&test.app), Watch::new(&test.app));
    test.clock.advance(TimeDelta::minutes(4));
    watch.look().await;
    assert_eq!(posted(&receiver), []);
    test.clock.advance(TimeDelta::minutes(2));
    tokio::join!(watch.look(), other.look());
    other.look().await;
    // A hub that has just started knows of no silence: it was away itself.
    let mut restarted = Watch::new(&test.app);
    restarted.look().await;
    watch.look().await;
    until_posted(&test, &receiver, &[("alert.opened", "agent_silent")]).await;
    let first = receiver.received()[0].clone();
    first.verify(SECRET, test.now()).unwrap();
    let said = first.json();
    assert_eq!(said["data"]["runbook"], "docs/runbook/agent_silent.md");
    assert_eq!(said["data"]["title"], "El agente de Mates no da señales");
    assert_eq!(first.header("webhook-id"), said["id"]);
    test.until("the mail", async || (smtp.mails().len() == 1).then_some(())).await;
    assert!(smtp.mails()[0].contains("To: ops@example.com"), "{}", smtp.mails()[0]);

    // It speaks, is silent for a moment more than is noticed, and speaks again: over once.
    heartbeat(&test, &key, json!({})).await;
    watch.look().await;
    test.clock.advance(TimeDelta::minutes(1));
    watch.look().await;
    assert_eq!(posted(&receiver).len(), 1, "it has not stayed so yet");
    test.clock.advance(TimeDelta::seconds(70));
    restarted.look().await;
    watch.look().await;
    let both = [("alert.opened", "agent_silent"), ("alert.recovered", "agent_silent")];
    until_posted(&test, &receiver, &both).await;
    test.until("the mail about its end", async || (smtp.mails().len() == 2).then_some(())).await;
    let body = &smtp.mails()[1];
    assert!(body.contains("resuelto") || body.contains("cmVzdWVsdG"), "{body}");
    // The next silence is another alert.
    test.clock.advance(TimeDelta::minutes(6));
    watch.look().await;
    test.until("the next", async || (posted(&receiver).len() == 3).then_some(())).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_endpoint_s_end_is_mailed_once_and_not_by_two_mechanisms(pool: PgPool) {
    let (smtp, receiver, gone) =
        (SmtpServer::start().await, Receiver::start().await, Receiver::start().await);
    let test = TestApp::with(pool, told(&smtp, &receiver)).await;
    let (_, key) = test.project().await;
    gone.answer(410, &[]);
    let endpoint = json!({"url": gone.url(), "events": ["*"]});
    let endpoint = test.post(&key, "/v1/webhook-endpoints", endpoint).await.id();
    test.post(&key, "/v1/events", json!({"type": "note.made", "data": {}})).await;
    test.until("the mail at its source", async || (smtp.mails().len() == 1).then_some(())).await;
    let mut watch = Watch::new(&test.app);
    watch.look().await;
    watch.look().await;
    until_posted(&test, &receiver, &[("alert.opened", "endpoint_disabled")]).await;
    let mails: i64 =
        sqlx::query_scalar("select count(*) from operator_mails").fetch_one(&test.app.db).await.unwrap();
    assert_eq!(mails, 1);
    let path = format!("/v1/webhook-endpoints/{endpoint}/enable");
    assert_eq!(test.post(&key, &path, json!({})).await.status, 200);
    watch.look().await;
    test.until("the mail about its end", async || (smtp.mails().len() == 2).then_some(())).await;
    test.until("posted", async || (posted(&receiver).len() == 2).then_some(())).await;
    assert_eq!(posted(&receiver)[1], ("alert.recovered".to_owned(), "endpoint_disabled".to_owned()));
}

#[sqlx::test(migrations = "../migrations")]
async fn every_other_kind_opens_and_is_over(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, told(&smtp, &receiver)).await;
    let (project, key) = test.project().await;
    let id = project.strip_prefix("prj_").unwrap();
    heartbeat(&test, &key, json!({"buffered": 7, "oldest_seconds": 900, "dead_letters": 2})).await;
    let run = |statement: String| {
        let db = test.app.db.clone();
        async move { sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&db).await.unwrap() }
    };
    run(format!("insert into payment_cases (project_id, id, kind, subject, status, provider, order_id, detail, created_at)
        values ('{id}', gen_random_uuid(), 'duplicate', 's', 'open', 'manual', 'A-1', 'd', now())")).await;
    run(format!("insert into smtp_accounts (project_id, id, name, host, port, security, position, is_enabled, failures, created_at, updated_at)
        values ('{id}', gen_random_uuid(), 'propia', '127.0.0.1', 1, 'none', 1, true, 9, now(), now())")).await;
    run(format!("insert into payment_providers (project_id, provider, access_token_sealed, webhook_secret_sealed, is_test, created_at,
            updated_at, sweep_at, failing_since, failure)
        values ('{id}', 'mercadopago', '', '', false, now(), now(), now() + interval '9 days', now() - interval '1 hour', 'not_reached')")).await;
    run(format!("insert into payment_transactions (project_id, id, provider, method, order_id, amount_minor, order_amount_minor,
            amount_refunded_minor, currency, request, metadata, status, provider_key, action, run_at, attempts, fingerprint, created_at, updated_at)
        values ('{id}', gen_random_uuid(), 'mercadopago', 'checkout', 'A-1', 1, 1, 0, 'ARS', '{{}}', '{{}}', 'pending', 'k', 'sync',
                now() + interval '9 days', 0, '', now(), now())")).await;
    // Held by another hub of its kind, due for long: nobody takes it.
    let mut hub = test.app.db.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(x'74726875'::integer, 7)").execute(&mut *hub).await.unwrap();
    run("insert into operator_mails (id, key, subject, body, status, attempts, run_at, created_at, lease_token, lease_hub, lease_until)
        values (gen_random_uuid(), 'k', 's', 'b', 'pending', 0, now(), now(), gen_random_uuid(), 7, now() + interval '9 days')".to_owned()).await;
    let mut watch = Watch::new(&test.app);
    watch.look().await;
    let kinds = ["queue_old", "dead_letters", "case_open", "mail_account_failing", "provider_failing"];
    let opened: Vec<_> = kinds.iter().map(|kind| ("alert.opened", *kind)).collect();
    until_posted(&test, &receiver, &opened).await;
    test.until("one mail for all", async || (smtp.mails().len() == 1).then_some(())).await;

    heartbeat(&test, &key, json!({})).await;
    run("update payment_cases set status = 'closed', closed_at = now(); update smtp_accounts set failures = 0;
         update payment_providers set failing_since = null".to_owned()).await;
    watch.look().await;
    let closed: Vec<_> = opened.iter().copied().chain([("alert.recovered", "case_open")]).collect();
    until_posted(&test, &receiver, &closed).await;
    test.clock.advance(TimeDelta::minutes(3));
    heartbeat(&test, &key, json!({})).await;
    watch.look().await;
    let recovered = kinds.iter().map(|kind| ("alert.recovered", *kind));
    let all: Vec<_> = opened.iter().copied().chain(recovered).collect();
    until_posted(&test, &receiver, &all).await;
    let open: i64 = sqlx::query_scalar("select count(*) from alerts where recovered_at is null")
        .fetch_one(&test.app.db)
        .await
        .unwrap();
    assert_eq!(open, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_off_is_not_told_and_numbers_are_those_that_were_set(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let told = told(&smtp, &receiver);
    let test = TestApp::with(pool, |config| {
        told(config);
        config.alerts.rules = "dead_letters=off,queue_old=1000".parse().unwrap();
    })
    .await;
    let (_, key) = test.project().await;
    heartbeat(&test, &key, json!({"buffered": 7, "oldest_seconds": 900, "dead_letters": 2})).await;
    let mut watch = Watch::new(&test.app);
    watch.look().await;
    heartbeat(&test, &key, json!({"buffered": 7, "oldest_seconds": 1001, "dead_letters": 2})).await;
    watch.look().await;
    until_posted(&test, &receiver, &[("alert.opened", "queue_old")]).await;
    // The dashboard's word counts more than the variable's; what is turned off is over, and nobody is told so.
    sqlx::raw_sql("insert into alert_rules values ('dead_letters', true, null, now()), ('queue_old', false, null, now())")
        .execute(&test.app.db)
        .await
        .unwrap();
    watch.look().await;
    test.clock.advance(TimeDelta::seconds(121));
    watch.look().await;
    test.until("the other", async || (posted(&receiver).len() >= 2).then_some(())).await;
    assert_eq!(posted(&receiver)[1..], pairs(&[("alert.opened", "dead_letters")]));
    let open: Vec<String> = sqlx::query_scalar("select kind from alerts where recovered_at is null")
        .fetch_all(&test.app.db)
        .await
        .unwrap();
    assert_eq!(open, ["dead_letters"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_database_that_does_not_answer_is_told_from_memory_and_so_is_its_return(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, told(&smtp, &receiver)).await;
    let mut watch = Watch::new(&test.app);
    watch.look().await;
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&test.app.db).await.unwrap();
    // From another database of the same server.
    let elsewhere = test.app.db.connect_options().as_ref().clone().database("postgres");
    let mut admin = PgConnection::connect_with(&elsewhere).await.unwrap();
    let say = |text: String| sqlx::raw_sql(sqlx::AssertSqlSafe(text));
    say(format!("alter database \"{database}\" allow_connections false")).execute(&mut admin).await.unwrap();
    say(format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"))
        .execute(&mut admin)
        .await
        .unwrap();
    watch.look().await;
    assert_eq!((smtp.mails().len(), posted(&receiver).len()), (0, 0), "it may be a moment's matter");
    test.clock.advance(TimeDelta::seconds(61));
    watch.look().await;
    watch.look().await;
    assert_eq!(posted(&receiver), pairs(&[("alert.opened", "database_trouble")]));
    receiver.received()[0].verify(SECRET, test.now()).unwrap();
    assert_eq!(smtp.mails().len(), 1);

    say(format!("alter database \"{database}\" allow_connections true")).execute(&mut admin).await.unwrap();
    test.clock.advance(TimeDelta::seconds(30));
    watch.look().await;
    let both = [("alert.opened", "database_trouble"), ("alert.recovered", "database_trouble")];
    until_posted(&test, &receiver, &both).await;
    test.until("the mail about its end", async || (smtp.mails().len() == 2).then_some(())).await;
    let ids: Vec<Value> =
        receiver.received().iter().map(|one| one.json()["data"]["alert_id"].clone()).collect();
    assert_eq!(ids[0], ids[1]);
    // It is written down, as one that is over.
    let kept: Vec<(String, bool)> = sqlx::query_as("select kind, recovered_at > opened_at from alerts")
        .fetch_all(&test.app.db)
        .await
        .unwrap();
    assert_eq!(kept, [("database_trouble".to_owned(), true)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_database_whose_disk_is_full_is_told_by_its_own_name(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, told(&smtp, &receiver)).await;
    let mut watch = Watch::new(&test.app);
    watch.look().await;
    // It reads, and writes nothing any more.
    let full = "create function full_disk() returns trigger language plpgsql as $$
            begin raise exception 'could not extend file' using errcode = 'disk_full'; end $$;
        create trigger full_disk before update on alert_settings for each statement execute function full_disk()";
    sqlx::raw_sql(full).execute(&test.app.db).await.unwrap();
    watch.look().await;
    assert_eq!(posted(&receiver), [], "it may be a moment's matter");
    test.clock.advance(TimeDelta::seconds(61));
    watch.look().await;
    watch.look().await;
    assert_eq!(posted(&receiver), pairs(&[("alert.opened", "disk_full")]));
    assert_eq!(receiver.received()[0].json()["data"]["details"]["what"], "refused");
    assert_eq!(smtp.mails().len(), 1);

    sqlx::raw_sql("drop trigger full_disk on alert_settings").execute(&test.app.db).await.unwrap();
    test.clock.advance(TimeDelta::seconds(30));
    watch.look().await;
    until_posted(&test, &receiver, &[("alert.opened", "disk_full"), ("alert.recovered", "disk_full")]).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_mail_server_of_the_operator_s_that_refuses_everybody_is_told(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, told(&smtp, &receiver)).await;
    let (project, key) = test.project().await;
    let message = json!({"channel": "whatsapp", "to": "+5491123456789", "text": "¡Hola!"});
    let message = test.post(&key, "/v1/notifications", message).await.id();
    let attempt = async |server: &str, status: &str, code: Option<i32>| {
        let statement = "insert into notification_attempts
                (project_id, id, notification_id, attempt, status, server, response_code, duration_ms, created_at)
            values ($1::text::uuid, $2, $3::text::uuid, 1, $4, $5, $6, 1, now())";
        sqlx::query(statement)
            .bind(project.strip_prefix("prj_").unwrap())
            .bind(test.app.ids.uuid(test.now()))
            .bind(message.strip_prefix("ntf_").unwrap())
            .bind(status)
            .bind(server)
            .bind(code)
            .execute(&test.app.db)
            .await
            .unwrap();
    };
    // One that refuses one address is not to blame, nor one that took something meanwhile.
    for _ in 0..6 {
        attempt("down.example.com", "failed", None).await;
        attempt("strict.example.com", "failed", Some(550)).await;
        attempt("slow.example.com", "failed", Some(451)).await;
    }
    attempt("slow.example.com", "sent", Some(250)).await;
    let mut watch = Watch::new(&test.app);
    watch.look().await;
    until_posted(&test, &receiver, &[("alert.opened", "mail_account_failing")]).await;
    let details = &receiver.received()[0].json()["data"]["details"];
    assert_eq!((&details["name"], &details["failures"]), (&json!("down.example.com"), &json!(6)));

    attempt("down.example.com", "sent", Some(250)).await;
    watch.look().await;
    test.clock.advance(TimeDelta::minutes(3));
    watch.look().await;
    let both = [("alert.opened", "mail_account_failing"), ("alert.recovered", "mail_account_failing")];
    until_posted(&test, &receiver, &both).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_webhook_that_fails_is_tried_again_with_the_same_id(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, told(&smtp, &receiver)).await;
    let (_, key) = test.project().await;
    heartbeat(&test, &key, json!({"dead_letters": 1})).await;
    receiver.answer(500, &[]);
    Watch::new(&test.app).look().await;
    test.until("an attempt", async || (receiver.received().len() == 1).then_some(())).await;
    test.until("it is written", async || {
        let attempts: i32 =
            sqlx::query_scalar("select attempts from alert_webhooks").fetch_one(&test.app.db).await.unwrap();
        (attempts == 1).then_some(())
    })
    .await;
    receiver.answer(204, &[]);
    test.clock.advance(TimeDelta::seconds(7));
    test.until("another", async || (receiver.received().len() == 2).then_some(())).await;
    let ids: Vec<String> =
        receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
    receiver.received()[1].verify(SECRET, test.now()).unwrap();
    test.until("it is done", async || {
        let status: String =
            sqlx::query_scalar("select status from alert_webhooks").fetch_one(&test.app.db).await.unwrap();
        (status == "sent").then_some(())
    })
    .await;
}

#[test]
fn every_kind_is_documented_with_what_to_do_and_its_default() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let page = std::fs::read_to_string(root.join("docs/alerts.md")).unwrap();
    for kind in KINDS {
        assert!(root.join(kind.runbook()).is_file(), "{} is not there", kind.runbook());
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.name)));
        let row = row.unwrap_or_else(|| panic!("docs/alerts.md does not list {}", kind.name));
        let default = row.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default();
        let said: String = default.chars().take_while(char::is_ascii_digit).collect();
        let expected = kind.threshold.as_ref().map(|threshold| threshold.default.to_string());
        assert_eq!(said, expected.unwrap_or_default(), "{row}");
    }
}
