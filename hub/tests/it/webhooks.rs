//! Webhooks out: signed, retried, logged.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Receiver, TestApp};

async fn endpoint(test: &TestApp, key: &str, body: Value) -> (String, String) {
    let answer = test.post(key, "/v1/webhook-endpoints", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    (answer.id(), answer.body["secret"].as_str().unwrap().to_owned())
}

async fn order(test: &TestApp, key: &str) -> String {
    test.post(key, "/v1/events", json!({"type": "order.created", "data": {"order_id": "A-1"}})).await.id()
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_arrives_signed_as_standard_webhooks(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (project, key) = test.project().await;
    let body = json!({"url": receiver.url(), "events": ["order.*"], "headers": {"X-Shop": "b"}});
    let (_, secret) = endpoint(&test, &key, body).await;
    let event = order(&test, &key).await;
    test.post(&key, "/v1/events", json!({"type": "stock.low", "data": {}})).await;
    let delivery = test.delivery(&key, "sent").await;
    let received = &receiver.received()[0];
    received.verify(&secret, test.now()).unwrap();
    assert_eq!((received.header("webhook-id"), received.header("x-shop")), (event.as_str(), "b"));
    assert!(received.header("user-agent").starts_with("Trastienda/"));
    let payload = received.json();
    assert_eq!(
        (payload["id"].as_str(), payload["type"].as_str(), payload["project"].as_str()),
        (Some(event.as_str()), Some("order.created"), Some(project.as_str()))
    );
    assert_eq!(payload["data"]["order_id"], "A-1");
    assert_eq!(
        (delivery["attempt_count"].as_i64(), delivery["last_response_code"].as_i64()),
        (Some(1), Some(200))
    );
    assert_eq!(receiver.received().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_failed_delivery_is_tried_again_by_the_schedule_and_logged(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(500, &[]);
    endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"], "retry_schedule": [60]})).await;
    order(&test, &key).await;
    let pending = test
        .until("one failed attempt", async || {
            let list = test.get(&key, "/v1/webhook-deliveries").await;
            list.body["data"].get(0).filter(|delivery| delivery["attempt_count"] == 1).cloned()
        })
        .await;
    assert_eq!(
        (pending["status"].as_str(), pending["last_response_code"].as_i64()),
        (Some("pending"), Some(500))
    );
    test.clock.advance(TimeDelta::seconds(73));
    let failed = test.delivery(&key, "failed").await;
    assert_eq!(failed["attempt_count"], 2);
    let detail = test.get(&key, &format!("/v1/webhook-deliveries/{}", failed["id"].as_str().unwrap())).await;
    let log = detail.body["attempts"].as_array().unwrap();
    assert_eq!(
        (log.len(), log[0]["response_code"].as_i64(), log[1]["response"].as_str()),
        (2, Some(500), Some("thanks"))
    );
    let ids: Vec<_> = receiver.received().iter().map(|r| r.header("webhook-id").to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_retry_by_hand_is_marked_as_a_replay(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"]})).await;
    order(&test, &key).await;
    let sent = test.delivery(&key, "sent").await;
    let id = sent["id"].as_str().unwrap();
    assert_eq!(test.post(&key, &format!("/v1/webhook-deliveries/{id}/retry"), json!({})).await.status, 202);
    test.until("it arrives again", async || (receiver.received().len() == 2).then_some(())).await;
    let received = receiver.received();
    assert_eq!((received[0].header("trastienda-replay"), received[1].header("trastienda-replay")), ("", id));
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
}

#[sqlx::test(migrations = "../migrations")]
async fn retries_on_429_after_retry_after(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(429, &[("retry-after", "120")]);
    endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"]})).await;
    order(&test, &key).await;
    let next = test
        .until("one failed attempt", async || {
            let list = test.get(&key, "/v1/webhook-deliveries").await;
            list.body["data"]
                .get(0)
                .filter(|delivery| delivery["attempt_count"] == 1)
                .map(|delivery| delivery["next_attempt_at"].clone())
        })
        .await;
    let next = trastienda_protocol::time::parse(next.as_str().unwrap()).unwrap();
    assert!(next - test.now() >= TimeDelta::milliseconds(119_900), "{next}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_410_disables_the_endpoint_and_its_deliveries_wait_until_it_is_enabled(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(410, &[]);
    let (id, _) = endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"]})).await;
    order(&test, &key).await;
    test.delivery(&key, "failed").await;
    let shown = test.get(&key, &format!("/v1/webhook-endpoints/{id}")).await;
    assert_eq!(shown.body["enabled"], false);
    receiver.answer(200, &[]);
    let second = order(&test, &key).await;
    let waiting = test.get(&key, &format!("/v1/events/{second}")).await;
    assert_eq!(waiting.body["deliveries"][0]["status"], "pending");
    test.post(&key, &format!("/v1/webhook-endpoints/{id}/enable"), json!({})).await;
    test.delivery(&key, "sent").await;
    assert_eq!(receiver.received().last().unwrap().header("webhook-id"), second);
}

#[sqlx::test(migrations = "../migrations")]
async fn both_secrets_sign_while_a_rotation_overlaps(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    let (id, old) = endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"]})).await;
    let rotated = test
        .post(&key, &format!("/v1/webhook-endpoints/{id}/rotate-secret"), json!({"overlap_seconds": 60}))
        .await;
    let new = rotated.body["secret"].as_str().unwrap().to_owned();
    order(&test, &key).await;
    test.delivery(&key, "sent").await;
    let both = receiver.received()[0].clone();
    both.verify(&old, test.now()).unwrap();
    both.verify(&new, test.now()).unwrap();
    test.clock.advance(TimeDelta::seconds(61));
    order(&test, &key).await;
    test.until("the second arrives", async || (receiver.received().len() == 2).then_some(())).await;
    let alone = receiver.received()[1].clone();
    assert!(alone.verify(&old, test.now()).is_err());
    alone.verify(&new, test.now()).unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn redirects_are_failures_and_are_not_followed(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(302, &[("location", "/elsewhere")]);
    endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"], "retry_schedule": []})).await;
    order(&test, &key).await;
    let failed = test.delivery(&key, "failed").await;
    assert_eq!((failed["last_response_code"].as_i64(), receiver.received().len()), (Some(302), 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_endpoint_that_hangs_does_not_hold_up_another(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    // Takes connections and never answers.
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", hanging.local_addr().unwrap());
    endpoint(&test, &key, json!({"url": url, "events": ["*"], "max_in_flight": 2})).await;
    let (healthy, _) = endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"]})).await;
    for _ in 0..30 {
        order(&test, &key).await;
    }
    test.until("all arrive at the healthy one", async || (receiver.received().len() == 30).then_some(()))
        .await;
    let list = test.get(&key, &format!("/v1/webhook-deliveries?endpoint={healthy}&status=sent")).await;
    assert!(list.status == 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_ordered_endpoint_gets_one_at_a_time_and_a_failure_holds_the_rest(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, free) = test.project().await;
    let refused = test
        .post(
            &free,
            "/v1/webhook-endpoints",
            json!({"url": receiver.url(), "events": ["*"], "ordered": true}),
        )
        .await;
    assert_eq!(refused.pointers(), ["/ordered"]);
    let (_, key) = test.project_on("pro").await;
    receiver.answer(500, &[]);
    endpoint(
        &test,
        &key,
        json!({"url": receiver.url(), "events": ["*"], "ordered": true, "retry_schedule": [60]}),
    )
    .await;
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(order(&test, &key).await);
    }
    test.until("the first failed", async || {
        let answer = test.get(&key, &format!("/v1/events/{}", events[0])).await;
        (answer.body["deliveries"][0]["attempt_count"] == 1).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), 1);
    receiver.answer(200, &[]);
    test.clock.advance(TimeDelta::seconds(73));
    test.until("all arrive", async || (receiver.received().len() == 6).then_some(())).await;
    let order: Vec<_> = receiver.received()[1..].iter().map(|r| r.header("webhook-id").to_owned()).collect();
    assert_eq!(order, events);
}

#[sqlx::test(migrations = "../migrations")]
async fn endpoints_are_limited_by_the_plan_and_their_addresses_checked(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    for url in ["https://10.0.0.1/", "http://93.184.216.34/", "https://[::1]/", "ftp://x"] {
        let answer = test.post(&key, "/v1/webhook-endpoints", json!({"url": url, "events": ["*"]})).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec!["/url"]), "{url}");
    }
    for _ in 0..5 {
        endpoint(&test, &key, json!({"url": "http://127.0.0.1:9/", "events": ["*"]})).await;
    }
    let sixth = test
        .post(&key, "/v1/webhook-endpoints", json!({"url": "http://127.0.0.1:9/", "events": ["*"]}))
        .await;
    assert_eq!((sixth.status.as_u16(), sixth.code()), (403, "endpoint_limit"));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_secret_is_shown_once_and_sealed(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "endpoint-1")];
    let body = json!({"url": "http://127.0.0.1:9/", "events": ["*"], "headers": {"authorization": "Bearer hunter2"}}).to_string();
    let first = test.send("POST", "/v1/webhook-endpoints", &headers, body.clone()).await;
    let again = test.send("POST", "/v1/webhook-endpoints", &headers, body).await;
    assert_eq!((first.id(), again.body["secret"].is_null()), (again.id(), true));
    let row: String = sqlx::query_scalar("select webhook_endpoints::text from webhook_endpoints")
        .fetch_one(&pool)
        .await
        .unwrap();
    let secret = first.body["secret"].as_str().unwrap().trim_start_matches("whsec_");
    let shown = test.get(&key, &format!("/v1/webhook-endpoints/{}", first.id())).await.body.to_string();
    for place in [row, shown] {
        assert!(!place.contains(secret) && !place.contains("hunter2"));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_test_delivery_goes_to_one_endpoint_alone(pool: PgPool) {
    let (test, one, other) = (TestApp::new(pool).await, Receiver::start().await, Receiver::start().await);
    let (_, key) = test.project().await;
    let (id, _) = endpoint(&test, &key, json!({"url": one.url(), "events": ["order.*"]})).await;
    endpoint(&test, &key, json!({"url": other.url(), "events": ["*"]})).await;
    assert_eq!(test.post(&key, &format!("/v1/webhook-endpoints/{id}/test"), json!({})).await.status, 202);
    test.delivery(&key, "sent").await;
    assert_eq!(
        (one.received()[0].json()["type"].as_str(), other.received().len()),
        (Some("webhook.test"), 0)
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn the_lease_of_a_hub_that_is_gone_is_taken_back_at_once(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    let (id, _) = endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"]})).await;
    sqlx::query("update webhook_endpoints set disabled_at = now(), disabled_reason = 'test'")
        .execute(&pool)
        .await
        .unwrap();
    order(&test, &key).await;
    // As a hub leaves it that was killed while it delivered: leased for a long time by a number that nobody holds.
    let far = test.now() + TimeDelta::hours(1);
    sqlx::query(
        "update webhook_deliveries set lease_token = gen_random_uuid(), lease_hub = 999999, lease_until = $1",
    )
    .bind(far)
    .execute(&pool)
    .await
    .unwrap();
    test.post(&key, &format!("/v1/webhook-endpoints/{id}/enable"), json!({})).await;
    test.delivery(&key, "sent").await;
    assert_eq!(receiver.received().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_time_range_is_replayed_after_a_dry_run(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let (_, key) = test.project().await;
    receiver.answer(500, &[]);
    let (id, _) =
        endpoint(&test, &key, json!({"url": receiver.url(), "events": ["*"], "retry_schedule": []})).await;
    let since = trastienda_protocol::time::format(test.now());
    order(&test, &key).await;
    test.delivery(&key, "failed").await;
    test.clock.advance(TimeDelta::seconds(1));
    receiver.answer(200, &[]);
    let path = format!("/v1/webhook-endpoints/{id}/replay");
    let dry = test.post(&key, &path, json!({"since": since, "dry_run": true})).await;
    assert_eq!((dry.status.as_u16(), dry.body["queued"].as_i64()), (202, Some(1)));
    let other = json!({"since": since, "event_type": "order.paid"});
    assert_eq!(test.post(&key, &path, other).await.body["queued"], 0);
    assert_eq!(test.post(&key, &path, json!({"since": since, "rate_per_second": 5})).await.body["queued"], 1);
    let sent = test.delivery(&key, "sent").await;
    assert_eq!(receiver.received()[1].header("trastienda-replay"), sent["id"].as_str().unwrap());
    let stats = test.get(&key, &format!("/v1/webhook-endpoints/{id}/stats")).await;
    assert_eq!(
        (stats.body["windows"]["1h"]["sent"].as_i64(), stats.body["windows"]["24h"]["failed"].as_i64()),
        (Some(1), Some(1))
    );
    let wrong = test.post(&key, &path, json!({"until": "2026-01-01T00:00:00Z", "status": "sent"})).await;
    assert_eq!(wrong.pointers(), ["/since", "/status"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_completion_that_the_database_refuses_holds_up_no_other(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    let body = json!({"url": receiver.url(), "events": ["*"], "max_in_flight": 1});
    let (id, _) = endpoint(&test, &key, body).await;
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'refused'; end $$;
         create trigger refuse before insert on webhook_logs
             for each row when (new.event = 'poison.pill') execute function refuse()",
    )
    .execute(&pool)
    .await
    .unwrap();
    test.post(&key, "/v1/events", json!({"type": "poison.pill", "data": {}})).await;
    test.until("it was sent", async || (receiver.received().len() == 1).then_some(())).await;
    let healthy = order(&test, &key).await;
    // Neither the queue nor the endpoint's only place stays with what could not be written.
    test.until("the next is sent and written", async || {
        let shown = test.get(&key, &format!("/v1/events/{healthy}")).await;
        (shown.body["deliveries"][0]["status"] == "sent").then_some(())
    })
    .await;
    let waiting = test.get(&key, &format!("/v1/webhook-deliveries?endpoint={id}&status=pending")).await;
    assert_eq!(waiting.body["data"][0]["event_type"], "poison.pill");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stopping_hub_finishes_what_is_in_flight_and_begins_nothing(pool: PgPool) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", receiver.local_addr().unwrap());
    endpoint(&test, &key, json!({"url": url, "events": ["*"], "max_in_flight": 1})).await;
    let (first, second) = (order(&test, &key).await, order(&test, &key).await);
    let (mut stream, _) = receiver.accept().await.unwrap();
    let mut request = [0u8; 64];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    test.app.shutdown.token.cancel();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(test.app.shutdown.finish().await, "something did not end");
    let mut statuses = Vec::new();
    for event in [first, second] {
        let shown = test.get(&key, &format!("/v1/events/{event}")).await;
        let delivery = &shown.body["deliveries"][0];
        statuses.push((
            delivery["status"].as_str().unwrap().to_owned(),
            delivery["attempt_count"].as_i64().unwrap(),
        ));
    }
    statuses.sort();
    assert_eq!(statuses, [("pending".to_owned(), 0), ("sent".to_owned(), 1)]);
    let leased: i64 =
        sqlx::query_scalar("select count(*) from webhook_deliveries where lease_token is not null")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(leased, 0);
}
