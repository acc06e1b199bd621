//! Credentials: checked at the provider, sealed, never read back.

use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_mercadopago_sim::Seller;

use super::world::World;
use crate::support::TestApp;

#[sqlx::test(migrations = "../migrations")]
async fn credentials_are_checked_and_never_read_back(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let refused = world.set_credentials("APP_USR-nobody", "a-secret-of-somebody").await;
    assert_eq!((refused.status.as_u16(), refused.pointers()), (422, vec!["/access_token"]));
    let short = world.set_credentials("x y", "").await;
    assert_eq!(short.pointers(), ["/access_token", "/webhook_secret"]);
    let shown = world.test.get(&world.key, "/v1/payment-providers").await.body;
    assert_eq!(
        (&shown["data"][0]["site"], &shown["data"][0]["account_id"]),
        (&json!("MLA"), &json!("2100000001"))
    );
    assert_eq!(
        shown["data"][0]["notification_url"],
        format!("http://{}/webhooks/mercadopago/{}", world.address, world.project)
    );
    let row: String = sqlx::query_scalar("select payment_providers::text from payment_providers")
        .fetch_one(&pool)
        .await
        .unwrap();
    for place in [row, shown.to_string()] {
        assert!(!place.contains(&world.seller.access_token) && !place.contains(&world.seller.webhook_secret));
    }
    let headers = [("x-api-key", world.key.as_str())];
    let unknown = world.test.send("PUT", "/v1/payment-providers/paypal", &headers, "{}").await;
    assert_eq!(unknown.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_that_is_away_is_told_apart_from_a_wrong_token(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body = json!({"access_token": "APP_USR-0123", "webhook_secret": "0123456789"}).to_string();
    let headers = [("x-api-key", key.as_str())];
    let answer = test.send("PUT", "/v1/payment-providers/mercadopago", &headers, body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "provider_unavailable"));
    assert_eq!(test.get(&key, "/v1/payment-providers").await.body["data"], json!([]));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_replaced_webhook_secret_is_taken_for_another_day(pool: PgPool) {
    let world = World::new(pool).await;
    // The panel still signs with the old one.
    assert_eq!(
        world.set_credentials(&world.seller.access_token, "the-next-webhook-secret").await.status,
        204
    );
    let payment = world.waiting("A-1").await;
    world.buy(&payment, json!({})).await;
    world.until_status(&payment, "paid").await;
    let sent = world.control_notices().await;
    assert!(sent.iter().all(|notice| notice["status"] == 200), "{sent:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn each_country_has_its_currency(pool: PgPool) {
    let world = World::of_site(pool, "MLB").await;
    assert_eq!(world.seller, Seller::known()[1]);
    assert_eq!(world.create("k1", World::checkout("A-1", json!({}))).await.pointers(), ["/currency"]);
    let answer = world.create("k1", World::checkout("A-1", json!({"currency": "BRL"}))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let preference = answer.body["provider_reference"].as_str().unwrap();
    let made = world.provider(&format!("/checkout/preferences/{preference}")).await;
    assert_eq!(made["items"][0]["currency_id"], "BRL");
}

impl World {
    async fn control_notices(&self) -> Vec<Value> {
        self.provider("/control/notices").await["notices"].as_array().unwrap().clone()
    }
}
