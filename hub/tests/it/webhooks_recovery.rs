//! Sending again at a rate, the same from the shell, and following events on a developer's machine.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_hub::gauges;

use crate::cli::Cli;
use crate::support::{Receiver, TestApp};

async fn failed(test: &TestApp, receiver: &Receiver, key: &str, count: usize) -> String {
    receiver.answer(400, &[]);
    let body = json!({"url": receiver.url(), "events": ["*"], "retry_schedule": []});
    let id = test.post(key, "/v1/webhook-endpoints", body).await.id();
    for _ in 0..count {
        test.post(key, "/v1/events", json!({"type": "order.created", "data": {"order_id": "A-1"}})).await;
    }
    test.until("all fail", async || {
        let list = test.get(key, &format!("/v1/webhook-deliveries?endpoint={id}&status=failed")).await;
        (list.body["data"].as_array().unwrap().len() == count).then_some(())
    })
    .await;
    receiver.answer(200, &[]);
    test.clock.advance(TimeDelta::seconds(1));
    id
}

#[sqlx::test(migrations = "../migrations")]
async fn a_replay_s_rate_holds_even_when_nothing_went_for_a_while(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    let since = trastienda_protocol::time::format(test.now());
    let id = failed(&test, &receiver, &key, 9).await;
    let path = format!("/v1/webhook-endpoints/{id}/replay");
    let queued = test.post(&key, &path, json!({"since": since, "rate_per_second": 2})).await;
    assert_eq!((queued.status.as_u16(), queued.body["queued"].as_i64()), (202, Some(9)));
    let arrived = || receiver.received().len() - 9;
    let (mut seconds, mut before) = (0, 0);
    while arrived() < 9 {
        test.until("one more arrives", async || (arrived() > before).then_some(())).await;
        before = arrived();
        assert!(before <= 1 + 2 * seconds, "{before} within {seconds} seconds");
        // Hours in which no hub ran would be the same: nothing is made up for.
        let pause = if seconds == 2 { TimeDelta::hours(3) } else { TimeDelta::seconds(1) };
        test.clock.advance(pause);
        seconds += 1;
    }
    test.until("the replay is over", async || {
        test.clock.advance(TimeDelta::seconds(1));
        let over = "select finished_at is not null and released = 9 from webhook_replays";
        sqlx::query_scalar::<_, bool>(over).fetch_one(&pool).await.unwrap().then_some(())
    })
    .await;
    assert_eq!(arrived(), 9);
    let stats =
        test.get(&key, &format!("/v1/webhook-endpoints/{id}/stats")).await.body["windows"]["24h"].clone();
    assert_eq!((stats["attempts"].as_i64(), stats["success_rate"].as_f64()), (Some(18), Some(0.5)));
    assert_eq!(stats["errors"], json!({"http_status": 9}));
    assert!(stats["p99_ms"].is_number() && stats["attempts_per_minute"].as_f64() > Some(0.0));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_shell_replays_what_the_api_would(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (project, key) = test.project().await;
    let since = trastienda_protocol::time::format(test.now() - TimeDelta::seconds(1));
    let id = failed(&test, &receiver, &key, 2).await;
    let run = |extra: &[&str]| {
        let cli = Cli::on(&pool);
        let words = ["webhooks", "replay", "--project", &project, "--endpoint", &id, "--since", &since];
        let words: Vec<String> = words.iter().chain(extra).map(|word| (*word).to_owned()).collect();
        tokio::task::spawn_blocking(move || cli.json(&words.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    assert_eq!(run(&["--event-type", "order.paid"]).await.unwrap()["queued"], 0);
    assert_eq!(run(&["--dry-run"]).await.unwrap(), json!({"queued": 2, "dry_run": true}));
    assert_eq!(receiver.received().len(), 2);
    assert_eq!(run(&["--rate-per-second", "100", "--status", "failed"]).await.unwrap()["queued"], 2);
    test.until("they arrive", async || {
        test.clock.advance(TimeDelta::seconds(1));
        (receiver.received().len() == 4).then_some(())
    })
    .await;
    let mistakes = Cli::on(&pool).failure(&[
        "webhooks",
        "replay",
        "--project",
        &project,
        "--endpoint",
        &id,
        "--since",
        "now",
    ]);
    assert!(mistakes.contains("since"), "{mistakes}");
}

#[sqlx::test(migrations = "../migrations")]
async fn listen_forwards_what_comes_signed_and_leaves_nothing_behind(pool: PgPool) {
    let (test, shop, mine) =
        (TestApp::new(pool.clone()).await, Receiver::start().await, Receiver::start().await);
    let (project, key) = test.project().await;
    let endpoint =
        test.post(&key, "/v1/webhook-endpoints", json!({"url": shop.url(), "events": ["order.*"]})).await;
    let (id, secret) = (endpoint.id(), endpoint.body["secret"].as_str().unwrap().to_owned());
    let since = trastienda_protocol::time::format(test.now() - TimeDelta::seconds(1));
    let arguments = [
        "webhooks",
        "listen",
        "--project",
        &project,
        "--forward",
        &mine.url(),
        "--endpoint",
        &id,
        "--since",
        &since,
        "--json",
    ];
    let mut child = Cli::on(&pool).command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    test.post(&key, "/v1/events", json!({"type": "stock.low", "data": {}})).await;
    let event = test
        .post(&key, "/v1/events", json!({"type": "order.created", "data": {"order_id": "A-1"}}))
        .await
        .id();
    test.until("it is forwarded", async || (mine.received().len() == 1).then_some(())).await;
    let received = mine.received()[0].clone();
    received.verify(&secret, test.now()).unwrap();
    assert_eq!(
        (received.header("webhook-id"), &received.json()["data"]),
        (event.as_str(), &json!({"order_id": "A-1"}))
    );
    test.until("the endpoint gets it too", async || (shop.received().len() == 1).then_some(())).await;
    assert_eq!(received.json(), shop.received()[0].json());
    let line: Value =
        tokio::task::spawn_blocking(move || serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap())
            .await
            .unwrap();
    assert_eq!((line["id"].as_str(), line["response_code"].as_i64()), (Some(event.as_str()), Some(200)));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(test.get(&key, "/v1/webhook-endpoints").await.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(test.get(&key, "/v1/webhook-deliveries").await.body["data"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_metrics_say_what_waits_and_where(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(410, &[]);
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": "http://127.0.0.1:9/", "events": ["a.b"]})).await;
    for _ in 0..2 {
        test.post(&key, "/v1/events", json!({"type": "order.created", "data": {"order_id": "A-1"}})).await;
    }
    test.until("it is disabled", async || {
        let list = test.get(&key, "/v1/webhook-endpoints").await;
        list.body["data"].as_array().unwrap().iter().any(|one| one["enabled"] == false).then_some(())
    })
    .await;
    test.post(&key, "/v1/events", json!({"type": "order.created", "data": {"order_id": "A-1"}})).await;
    gauges::look(&pool, test.now()).await.unwrap();
    let metrics = test.admin("GET", "/metrics", Value::Null).await;
    let text = metrics.body.as_str().unwrap();
    for line in [
        "trastienda_webhook_deliveries_held ",
        "trastienda_webhook_endpoints_disabled 1",
        "trastienda_webhook_circuits{state=\"closed\"} 1",
        "trastienda_queue_due{queue=\"deliveries\"} 0",
        "trastienda_queue_oldest_due_seconds{queue=\"emails\"} 0",
        "trastienda_webhook_attempts_total{outcome=\"failed\",class=\"http_status\"}",
        "trastienda_webhook_attempt_seconds_bucket",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("trastienda_webhook_deliveries_held 0"), "{text}");
}
