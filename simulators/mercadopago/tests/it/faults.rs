use std::time::{Duration, Instant};

use serde_json::json;
use trastienda_mercadopago_sim::Config;

use crate::receiver::Receiver;
use crate::world::{World, eventually};

#[tokio::test]
async fn too_many_requests_come_with_or_without_a_wait() {
    let world = World::new().await;
    world.control("/faults", json!({"kind": "too_many_requests", "retry_after": 7})).await;
    world.control("/faults", json!({"kind": "too_many_requests"})).await;
    let (first, second) = (world.get("/users/me").await, world.get("/users/me").await);
    assert_eq!((first.status.as_u16(), &first.headers["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(first.json()["error"], "too_many_requests");
    assert_eq!(second.status, 429);
    assert!(!second.headers.contains_key("retry-after"));
    assert_eq!(world.get("/users/me").await.status, 200);
}

#[tokio::test]
async fn a_server_error_is_plain_text_and_has_no_effect() {
    let world = World::new().await;
    world.control("/faults", json!({"kind": "server_error", "status": 502, "method": "POST"})).await;
    let body = json!({"items": [{"title": "x", "quantity": 1, "unit_price": 1}]});
    let failed = world.post("/checkout/preferences", body).await;
    assert_eq!((failed.status.as_u16(), failed.text.as_str()), (502, "Bad Gateway"));
    assert_eq!(world.get("/checkout/preferences/search").await.json()["total"], 0);
}

#[tokio::test]
async fn a_call_that_hangs_has_taken_effect() {
    let world = World::new().await;
    let token = world.card("APRO").await;
    world.control("/faults", json!({"kind": "hang_after_success", "path": "/v1/payments"})).await;
    let body = json!({
        "transaction_amount": 10, "token": token, "installments": 1, "payment_method_id": "visa",
        "payer": {"email": "ana@example.com"}, "external_reference": "pay_9",
    });
    let call = world
        .client
        .post(format!("{}/v1/payments", world.simulator.url()))
        .bearer_auth(&world.seller.access_token)
        .header("X-Idempotency-Key", "k")
        .json(&body)
        .timeout(Duration::from_millis(300));
    assert!(call.send().await.unwrap_err().is_timeout());
    let found = world.get("/v1/payments/search?external_reference=pay_9").await.json();
    assert_eq!(found["paging"]["total"], 1);
    let again = world.pay("k", body).await;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (200, &found["results"][0]["id"]));
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let world = World::new().await;
    world.control("/faults", json!({"kind": "latency", "ms": 120})).await;
    let begun = Instant::now();
    assert_eq!(world.get("/users/me").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_search_can_lag_behind() {
    let world = World::new().await;
    world.charge("APRO", json!({})).await;
    world.control("/faults", json!({"kind": "search_lag", "ms": 60_000})).await;
    assert_eq!(world.get("/v1/payments/search").await.json()["paging"]["total"], 0);
    assert_eq!(world.get("/v1/payments/search").await.json()["paging"]["total"], 1);
}

#[tokio::test]
async fn notices_are_dropped_doubled_and_forged() {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let url = json!({"notification_url": receiver.url()});
    let kinds = |kind: &str| json!({"kind": kind});

    world.control("/faults", kinds("drop_notice")).await;
    let dropped = world.charge("APRO", url.clone()).await.json();
    let log = world.get(&format!("/control/notices?data_id={}", dropped["id"])).await.json();
    assert_eq!(log["notices"][0]["error"], "dropped by a fault");

    world.control("/faults", kinds("duplicate_notice")).await;
    let doubled = world.charge("APRO", url.clone()).await.json();
    let notices = receiver.wait_for(2).await;
    assert!(notices.iter().all(|notice| doubled["id"] == notice.query["data.id"].parse::<i64>().unwrap()));
    assert_ne!(notices[0].body["id"], notices[1].body["id"]);

    world.control("/faults", kinds("forge_notice")).await;
    world.charge("APRO", url).await;
    let notices = receiver.wait_for(4).await;
    assert!(!notices[2].is_signed_with(&world.seller.webhook_secret), "the stranger's");
    assert!(notices[3].is_signed_with(&world.seller.webhook_secret), "the true one");
}

#[tokio::test]
async fn notices_change_places() {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let url = json!({"notification_url": receiver.url()});
    world.control("/faults", json!({"kind": "reorder_notices"})).await;
    let first = world.charge("APRO", url.clone()).await.json();
    let second = world.charge("APRO", url).await.json();
    let notices = receiver.wait_for(2).await;
    let order: Vec<&str> = notices.iter().map(|notice| notice.query["data.id"].as_str()).collect();
    assert_eq!(order, [second["id"].to_string(), first["id"].to_string()]);
}

#[tokio::test]
async fn a_reset_forgets_faults_payments_and_retries() {
    let schedule = vec![Duration::ZERO, Duration::from_millis(50)];
    let world = World::with(Config { retry_schedule: schedule, ..Config::default() }).await;
    let receiver = Receiver::answering(&[500]).await;
    world.charge("APRO", json!({"notification_url": receiver.url()})).await;
    eventually("the failed attempt", async || {
        let log = world.get("/control/notices").await.json();
        log["notices"].as_array().is_some_and(|log| !log.is_empty()).then_some(())
    })
    .await;
    world.control("/faults", json!({"kind": "server_error", "rate": 1})).await;
    world.control("/reset", json!({})).await;
    assert_eq!(world.get("/v1/payments/search").await.json()["paging"]["total"], 0);
    assert_eq!(world.get("/control/faults").await.json(), json!({"faults": []}));
    // A payment made after the reset is told of; had the retry lived on, it would have come before.
    tokio::time::timeout(Duration::from_secs(10), async {
        world.charge("APRO", json!({"notification_url": receiver.url()})).await;
        receiver.wait_for(2).await;
    })
    .await
    .unwrap();
    assert_eq!(receiver.received()[1].headers["x-retry"], "0");
}

#[tokio::test]
async fn an_unknown_fault_is_refused() {
    let world = World::new().await;
    assert_eq!(world.post("/control/faults", json!({"kind": "earthquake"})).await.status, 422);
    assert_eq!(world.post("/control/faults", json!({"kind": "drop_notice", "rate": 2})).await.status, 422);
}
