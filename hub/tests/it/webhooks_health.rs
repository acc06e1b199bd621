//! Endpoints that are down: the circuit breaker, being disabled, and being enabled again.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Receiver, SmtpServer, TestApp};

async fn endpoint(test: &TestApp, key: &str, body: Value) -> String {
    let answer = test.post(key, "/v1/webhook-endpoints", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.id()
}

async fn events(test: &TestApp, key: &str, count: usize) {
    for _ in 0..count {
        let body = json!({"type": "order.created", "data": {"order_id": "A-1"}});
        assert_eq!(test.post(key, "/v1/events", body).await.status, 202);
    }
}

async fn show(test: &TestApp, key: &str, id: &str) -> Value {
    test.get(key, &format!("/v1/webhook-endpoints/{id}")).await.body
}

async fn until_circuit(test: &TestApp, key: &str, id: &str, circuit: &str) -> Value {
    test.until(&format!("the circuit is {circuit}"), async || {
        Some(show(test, key, id).await).filter(|shown| shown["circuit"] == circuit)
    })
    .await
}

/// Until nothing is under way.
async fn until_idle(test: &TestApp) {
    test.until("nothing is under way", async || {
        let leased = "select count(*) from webhook_deliveries where lease_token is not null";
        (sqlx::query_scalar::<_, i64>(leased).fetch_one(&test.app.db).await.unwrap() == 0).then_some(())
    })
    .await;
}

/// The attempts that all deliveries of an endpoint have spent.
async fn attempts(test: &TestApp, key: &str, id: &str) -> i64 {
    let list = test.get(key, &format!("/v1/webhook-deliveries?endpoint={id}&limit=200")).await;
    list.body["data"].as_array().unwrap().iter().map(|one| one["attempt_count"].as_i64().unwrap()).sum()
}

#[sqlx::test(migrations = "../migrations")]
async fn an_open_circuit_holds_deliveries_without_spending_attempts_and_closes_on_a_probe(pool: PgPool) {
    let (test, down, up) = (TestApp::new(pool).await, Receiver::start().await, Receiver::start().await);
    let (_, key) = test.project().await;
    down.answer(503, &[]);
    let id = endpoint(&test, &key, json!({"url": down.url(), "events": ["*"], "max_in_flight": 1})).await;
    endpoint(&test, &key, json!({"url": up.url(), "events": ["*"]})).await;
    events(&test, &key, 30).await;
    let open = until_circuit(&test, &key, &id, "open").await;
    assert_eq!((open["held"].as_i64(), open["enabled"].as_bool()), (Some(30), Some(true)));
    test.until("the other gets all", async || (up.received().len() == 30).then_some(())).await;
    // What was under way when it opened may still come to its end; then nothing more goes.
    until_idle(&test).await;
    let spent = down.received().len();
    assert_eq!(attempts(&test, &key, &id).await, i64::try_from(spent).unwrap());
    assert!((10..20).contains(&spent), "{spent}");

    // The probe fails: one attempt, and open for longer.
    test.clock.advance(TimeDelta::seconds(6));
    let first = open["circuit_open_until"].clone();
    let longer = test
        .until("the circuit is open again", async || {
            let shown = show(&test, &key, &id).await;
            (shown["circuit"] == "open" && shown["circuit_open_until"] != first).then_some(shown)
        })
        .await;
    let until = trastienda_protocol::time::parse(longer["circuit_open_until"].as_str().unwrap()).unwrap();
    let open_time = (until - test.now()).num_milliseconds();
    assert!((9_990..=10_000).contains(&open_time) && down.received().len() == spent + 1, "{open_time}");

    // The probe succeeds: everything goes.
    down.answer(200, &[]);
    test.clock.advance(TimeDelta::seconds(120));
    test.until("everything arrives", async || (down.received().len() == spent + 31).then_some(())).await;
    let closed = until_circuit(&test, &key, &id, "closed").await;
    assert_eq!((closed["held"].as_i64(), closed["failing_since"].is_null()), (Some(0), true));
}

#[sqlx::test(migrations = "../migrations")]
async fn of_several_hubs_one_sends_one_probe(pool: PgPool) {
    let (one, down) = (TestApp::new(pool).await, Receiver::start().await);
    let (two, three) = (TestApp::sharing(&one).await, TestApp::sharing(&one).await);
    let (_, key) = one.project().await;
    down.answer(500, &[]);
    let id = endpoint(&one, &key, json!({"url": down.url(), "events": ["*"], "max_in_flight": 1})).await;
    events(&one, &key, 60).await;
    let mut open = until_circuit(&one, &key, &id, "open").await;
    until_idle(&one).await;
    let before = down.received().len();
    for round in 1..=3 {
        for hub in [&one, &two, &three] {
            hub.clock.advance(TimeDelta::seconds(60));
        }
        open = one
            .until("the circuit is open again", async || {
                let shown = show(&one, &key, &id).await;
                (shown["circuit_open_until"] != open["circuit_open_until"]).then_some(shown)
            })
            .await;
        assert_eq!(down.received().len(), before + round);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn answers_that_refuse_do_not_open_the_circuit(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(404, &[]);
    let id =
        endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"], "retry_schedule": []})).await;
    events(&test, &key, 15).await;
    test.until("all fail", async || (attempts(&test, &key, &id).await == 15).then_some(())).await;
    let shown = show(&test, &key, &id).await;
    assert_eq!((shown["circuit"].as_str(), shown["failing_since"].is_string()), (Some("closed"), true));
}

#[sqlx::test(migrations = "../migrations")]
async fn after_three_days_without_a_success_it_is_disabled_and_everybody_is_told(pool: PgPool) {
    let (smtp, down, other) = (SmtpServer::start().await, Receiver::start().await, Receiver::start().await);
    let test = TestApp::with(pool, |config| {
        config.smtp_url = Some(smtp.url().into());
        config.operator_email = Some("ops@example.com".parse().unwrap());
    })
    .await;
    let (_, key) = test.project().await;
    down.answer(500, &[]);
    let id = endpoint(&test, &key, json!({"url": down.url(), "events": ["*"]})).await;
    endpoint(&test, &key, json!({"url": other.url(), "events": ["endpoint.*"]})).await;
    events(&test, &key, 1).await;
    test.until("that is known", async || {
        show(&test, &key, &id).await["failing_since"].is_string().then_some(())
    })
    .await;
    for (hours, mails) in [(24, 0), (13, 1), (1, 1), (14, 2), (14, 3)] {
        test.clock.advance(TimeDelta::hours(hours));
        let before = down.received().len();
        events(&test, &key, 1).await;
        test.until("another attempt", async || (down.received().len() > before).then_some(())).await;
        test.until("the mails", async || (smtp.mails().len() == mails).then_some(())).await;
        // What failed before the clock goes on counts for then.
        let written = "select coalesce(sum(attempts), 0), count(lease_token) from webhook_deliveries";
        test.until("every attempt is written", async || {
            let (attempts, leased): (i64, i64) =
                sqlx::query_as(written).fetch_one(&test.app.db).await.unwrap();
            (usize::try_from(attempts).unwrap() == down.received().len() && leased == 0).then_some(())
        })
        .await;
    }
    let subjects = ["50 %", "70 %", "90 %"];
    for (mail, percent) in smtp.mails().iter().zip(subjects) {
        assert!(
            mail.contains("To: ops@example.com") && mail.contains(percent.trim_end_matches(" %")),
            "{mail}"
        );
    }
    assert!(show(&test, &key, &id).await["enabled"].as_bool().unwrap());
    test.clock.advance(TimeDelta::hours(7));
    events(&test, &key, 1).await;
    let disabled = test
        .until("it is disabled", async || {
            Some(show(&test, &key, &id).await).filter(|shown| shown["enabled"] == false)
        })
        .await;
    assert_eq!(disabled["disabled_reason"], "no delivery succeeded for 3 days");
    test.until("the last mail", async || (smtp.mails().len() == 4).then_some(())).await;
    test.until("the others are told", async || (other.received().len() == 1).then_some(())).await;
    let told = other.received()[0].json();
    assert_eq!(
        (told["type"].as_str(), told["data"]["endpoint_id"].as_str(), told["data"]["reason"].as_str()),
        (Some("endpoint.disabled"), Some(id.as_str()), Some("failing"))
    );

    // What comes now is held, and all of it goes once the endpoint is enabled.
    let before = down.received().len();
    events(&test, &key, 3).await;
    let held = show(&test, &key, &id).await["held"].as_i64().unwrap();
    assert!(held >= 4, "{held}");
    down.answer(200, &[]);
    test.clock.advance(TimeDelta::days(2));
    let enabled = test.post(&key, &format!("/v1/webhook-endpoints/{id}/enable"), json!({})).await;
    assert_eq!(
        (
            enabled.body["backlog"].as_str(),
            enabled.body["backlog_count"].as_i64(),
            enabled.body["held"].as_i64()
        ),
        (Some("send"), Some(held), Some(0))
    );
    let all = before + usize::try_from(held).unwrap();
    test.until("what was held arrives", async || (down.received().len() == all).then_some(())).await;
    assert_eq!(smtp.mails().len(), 4);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_operator_is_told_through_the_next_server_when_the_first_is_down(pool: PgPool) {
    let (smtp, gone) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, |config| {
        config.smtp_url = Some(format!("smtp://127.0.0.1:1 {}?connections=2", smtp.url()).into());
        config.operator_email = Some("ops@example.com".parse().unwrap());
    })
    .await;
    let (_, key) = test.project().await;
    gone.answer(410, &[]);
    endpoint(&test, &key, json!({"url": gone.url(), "events": ["*"]})).await;
    events(&test, &key, 1).await;
    test.until("the operator is told", async || (smtp.mails().len() == 1).then_some(())).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_410_tells_the_operator_and_the_other_endpoints_at_once(pool: PgPool) {
    let (smtp, gone, other) = (SmtpServer::start().await, Receiver::start().await, Receiver::start().await);
    let test = TestApp::with(pool, |config| {
        config.smtp_url = Some(smtp.url().into());
        config.operator_email = Some("ops@example.com".parse().unwrap());
    })
    .await;
    let (_, key) = test.project().await;
    gone.answer(410, &[]);
    let id = endpoint(&test, &key, json!({"url": gone.url(), "events": ["*"]})).await;
    endpoint(&test, &key, json!({"url": other.url(), "events": ["endpoint.disabled"]})).await;
    events(&test, &key, 1).await;
    test.until("the other is told", async || (other.received().len() == 1).then_some(())).await;
    assert_eq!(other.received()[0].json()["data"]["reason"], "gone");
    test.until("the operator is told", async || (smtp.mails().len() == 1).then_some(())).await;
    assert_eq!((show(&test, &key, &id).await["held"].as_i64(), gone.received().len()), (Some(0), 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_held_can_be_skipped_and_replayed_later(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(410, &[]);
    let id = endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"]})).await;
    let since = trastienda_protocol::time::format(test.now());
    events(&test, &key, 1).await;
    test.delivery(&key, "failed").await;
    events(&test, &key, 3).await;
    receiver.answer(200, &[]);
    let path = format!("/v1/webhook-endpoints/{id}/enable");
    assert_eq!(test.post(&key, &path, json!({"backlog": "burn"})).await.pointers(), ["/backlog"]);
    let enabled = test.post(&key, &path, json!({"backlog": "skip"})).await;
    assert_eq!(
        (enabled.body["backlog_count"].as_i64(), enabled.body["enabled"].as_bool()),
        (Some(3), Some(true))
    );
    let list = test.get(&key, "/v1/webhook-deliveries?status=failed").await;
    let skipped = |one: &&Value| one["last_error"] == "skipped when the endpoint was enabled";
    assert_eq!(list.body["data"].as_array().unwrap().iter().filter(skipped).count(), 3);
    test.clock.advance(TimeDelta::seconds(1));
    let replayed =
        test.post(&key, &format!("/v1/webhook-endpoints/{id}/replay"), json!({"since": since})).await;
    assert_eq!(replayed.body["queued"], 4);
    test.until("they arrive", async || (receiver.received().len() == 5).then_some(())).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn every_attempt_keeps_its_error_class_and_the_reply_s_request_id(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = silent.local_addr().unwrap();
    drop(silent);
    receiver.answer(500, &[("x-request-id", "abc-123")]);
    let tls = receiver.url().replace("http://", "https://");
    let expected = [
        (receiver.url(), "http_status"),
        (format!("http://{closed}/"), "connect"),
        (tls, "tls"),
        ("https://no-such-name.invalid/".to_owned(), "dns"),
    ];
    for (url, class) in expected {
        let id = endpoint(
            &test,
            &key,
            json!({"url": url, "events": [format!("test.{class}")], "retry_schedule": []}),
        )
        .await;
        test.post(&key, "/v1/events", json!({"type": format!("test.{class}"), "data": {}})).await;
        let delivery = test
            .until("it fails", async || {
                let list =
                    test.get(&key, &format!("/v1/webhook-deliveries?endpoint={id}&status=failed")).await;
                list.body["data"].get(0).and_then(|one| one["id"].as_str().map(str::to_owned))
            })
            .await;
        let attempt =
            test.get(&key, &format!("/v1/webhook-deliveries/{delivery}")).await.body["attempts"][0].clone();
        assert_eq!(attempt["error_class"], class, "{attempt}");
        assert_eq!(attempt["request_id"].as_str(), (class == "http_status").then_some("abc-123"));
    }
}
