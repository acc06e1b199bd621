use std::time::Duration;

use serde_json::json;
use trastienda_mercadopago_sim::Config;

use crate::receiver::Receiver;
use crate::world::{World, eventually};

#[tokio::test]
async fn a_payment_is_told_of_with_a_signature_that_verifies() {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let made = world.preference(json!({"notification_url": receiver.url()})).await;
    let paid = world.control(&format!("/preferences/{}/pay", made["id"].as_str().unwrap()), json!({})).await;

    let notice = receiver.wait_for(1).await.remove(0);
    assert!(notice.is_signed_with(&world.seller.webhook_secret));
    assert!(!notice.is_signed_with("another secret"));
    assert_eq!(notice.query["data.id"], paid["id"].to_string());
    assert_eq!(notice.query["type"], "payment");
    assert_eq!(notice.query["source_news"], "webhooks");
    assert_eq!(notice.body["action"], "payment.created");
    assert_eq!(notice.body["data"]["id"], paid["id"].to_string(), "a string there");
    assert_eq!(notice.body["user_id"], world.seller.user_id.to_string());
    assert_eq!(notice.headers["user-agent"], "MercadoPago WebHook v1.0 payment");
    assert_eq!(notice.signature().0.len(), 10, "seconds");
}

#[tokio::test]
async fn an_address_that_takes_all_gets_the_unsigned_hints_too() {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let made = world.preference(json!({"notification_url": receiver.url_for_all()})).await;
    let paid = world.control(&format!("/preferences/{}/pay", made["id"].as_str().unwrap()), json!({})).await;

    let notices = receiver.wait_for(3).await;
    assert_eq!(notices[0].query["topic"], "merchant_order");
    assert_eq!(
        notices[0].body["resource"],
        format!("https://api.mercadolibre.com/merchant_orders/{}", paid["order"]["id"].as_str().unwrap())
    );
    assert_eq!(notices[1].query["type"], "payment");
    assert_eq!(notices[2].query["topic"], "payment");
    assert_eq!(notices[2].query["id"], paid["id"].to_string());
    assert!(!notices[2].headers.contains_key("x-signature"));
}

#[tokio::test]
async fn a_notice_that_fails_is_sent_again_with_another_id_and_signature() {
    let schedule = vec![Duration::ZERO, Duration::from_millis(5), Duration::from_millis(5)];
    let world = World::with(Config { retry_schedule: schedule, ..Config::default() }).await;
    let receiver = Receiver::answering(&[500, 302]).await;
    let made = world.preference(json!({"notification_url": receiver.url()})).await;
    world.control(&format!("/preferences/{}/pay", made["id"].as_str().unwrap()), json!({})).await;

    let notices = receiver.wait_for(3).await;
    assert!(notices.iter().all(|notice| notice.is_signed_with(&world.seller.webhook_secret)));
    let retries: Vec<&str> = notices.iter().map(|notice| notice.headers["x-retry"].as_str()).collect();
    assert_eq!(retries, ["0", "1", "2"]);
    assert_ne!(notices[0].body["id"], notices[1].body["id"]);
    assert_ne!(notices[0].headers["x-request-id"], notices[1].headers["x-request-id"]);

    let log = eventually("the log", async || {
        let log = world.get("/control/notices").await.json()["notices"].as_array().unwrap().clone();
        Some(log).filter(|log| log.len() == 3)
    })
    .await;
    let statuses: Vec<_> = log.iter().map(|attempt| attempt["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 302, 200], "a redirect is no success");
    assert_eq!(log[2]["delivered"], true);
}

#[tokio::test]
async fn without_an_address_of_its_own_the_panels_is_used() {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let path = format!("/control/sellers/{}", world.seller.user_id);
    let url = json!({"webhook_url": receiver.url()});
    assert_eq!(world.call(reqwest::Method::PATCH, &path, url, None).await.status, 200);
    let paid = world.charge("APRO", json!({})).await.json();
    let notice = receiver.wait_for(1).await.remove(0);
    assert_eq!(notice.query["data.id"], paid["id"].to_string());
}

#[tokio::test]
async fn the_panels_ping_is_signed_and_about_nothing() {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let ping = json!({"user_id": world.seller.user_id, "url": receiver.url()});
    world.control("/notices/ping", ping).await;
    let notice = receiver.wait_for(1).await.remove(0);
    assert!(notice.is_signed_with(&world.seller.webhook_secret));
    assert_eq!(notice.body["live_mode"], false);
    assert_eq!(world.get(&format!("/v1/payments/{}", notice.query["data.id"])).await.status, 404);
}

#[tokio::test]
async fn a_receiver_that_takes_too_long_has_not_received() {
    let config =
        Config { notice_timeout: Duration::from_millis(50), retry_schedule: Vec::new(), ..Config::default() };
    let world = World::with(config).await;
    // Connections are taken by the system and never read.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/?source_news=webhooks", silent.local_addr().unwrap());
    world.charge("APRO", json!({"notification_url": url})).await;
    let attempt = eventually("the attempt", async || {
        world.get("/control/notices").await.json()["notices"].get(0).cloned()
    })
    .await;
    assert_eq!((&attempt["delivered"], &attempt["status"]), (&json!(false), &json!(null)));
    assert!(attempt["error"].as_str().unwrap().contains("timed out"), "{attempt}");
}
