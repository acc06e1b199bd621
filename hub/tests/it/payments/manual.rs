//! Bank transfers and cash, which the operator confirms: a provider that is no Mercado Pago at all.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Answer, TestApp};

struct Shop {
    test: TestApp,
    key: String,
}

impl Shop {
    /// A project without any provider's credentials.
    async fn new(pool: PgPool) -> Self {
        let test = TestApp::new(pool).await;
        let (_, key) = test.project().await;
        Self { test, key }
    }

    async fn create(&self, order: &str) -> Value {
        let end = trastienda_protocol::time::format(self.test.now() + TimeDelta::days(3));
        let body = json!({"order_id": order, "amount": "900.00", "currency": "ARS", "description": "Termo",
            "method": "manual", "payer": {"email": "ana@example.com"}, "expires_at": end});
        let headers = [("x-api-key", self.key.as_str()), ("idempotency-key", order)];
        let answer = self.test.send("POST", "/v1/payments", &headers, body.to_string()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    async fn post(&self, payment: &Value, what: &str, body: Value) -> Answer {
        let path = format!("/v1/payments/{}/{what}", payment["id"].as_str().unwrap());
        let headers = [("x-api-key", self.key.as_str()), ("idempotency-key", what)];
        self.test.send("POST", &path, &headers, body.to_string()).await
    }

    async fn events(&self, kind: &str) -> usize {
        let list = self.test.get(&self.key, &format!("/v1/events?type={kind}")).await;
        list.body["data"].as_array().unwrap().len()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_transfer_is_paid_when_the_operator_says_so_and_given_back_by_hand(pool: PgPool) {
    let shop = Shop::new(pool).await;
    let payment = shop.create("A-1").await;
    assert_eq!(
        (&payment["status"], &payment["provider"], &payment["external_id"]),
        (&json!("pending"), &json!("manual"), &Value::Null)
    );
    let confirmed = shop.post(&payment, "confirm", json!({"reference": "transferencia 4711"})).await;
    assert_eq!(
        (confirmed.status.as_u16(), &confirmed.body["status"], &confirmed.body["external_id"]),
        (200, &json!("paid"), &json!("transferencia 4711")),
        "{confirmed:?}"
    );
    // Pressed twice.
    let again = shop.post(&payment, "confirm", json!({"reference": "another"})).await;
    assert_eq!(again.body["external_id"], "transferencia 4711");
    assert_eq!((shop.events("payment.paid").await, shop.events("order.paid").await), (1, 1));
    let part = shop.post(&payment, "refunds", json!({"amount": "400.00"})).await;
    assert_eq!((part.status.as_u16(), &part.body["status"]), (201, &json!("done")), "{part:?}");
    let path = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    let shown = shop.test.get(&shop.key, &path).await.body;
    assert_eq!(
        (&shown["detail"], &shown["amount_refunded"]),
        (&json!("partially_refunded"), &json!("400.00"))
    );
    let headers = [("x-api-key", shop.key.as_str()), ("idempotency-key", "rest")];
    let rest = shop.test.send("POST", &format!("{path}/refunds"), &headers, "{}").await;
    assert_eq!(rest.status, 201);
    let shown = shop.test.get(&shop.key, &path).await.body;
    assert_eq!((&shown["detail"], &shown["amount_refunded"]), (&json!("refunded"), &json!("900.00")));
    assert_eq!(shop.events("payment.refunded").await, 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn one_that_was_given_up_may_still_come(pool: PgPool) {
    let shop = Shop::new(pool).await;
    let payment = shop.create("A-1").await;
    let cancelled = shop.post(&payment, "cancel", json!({})).await;
    assert_eq!(
        (&cancelled.body["status"], &cancelled.body["detail"]),
        (&json!("failed"), &json!("cancelled"))
    );
    let confirmed = shop.post(&payment, "confirm", json!([])).await;
    assert_eq!(confirmed.body["status"], "paid");
    let other = shop.create("A-2").await;
    shop.test.clock.advance(TimeDelta::days(4));
    let path = format!("/v1/payments/{}", other["id"].as_str().unwrap());
    shop.test
        .until("it expires", async || {
            (shop.test.get(&shop.key, &path).await.body["detail"] == "expired").then_some(())
        })
        .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn it_takes_no_credentials_and_confirms_no_other_provider(pool: PgPool) {
    let world = super::world::World::new(pool).await;
    let headers = [("x-api-key", world.key.as_str())];
    let body = json!({"access_token": "x-x-x-x-x", "webhook_secret": "x-x-x-x-x"}).to_string();
    let answer = world.test.send("PUT", "/v1/payment-providers/manual", &headers, body).await;
    assert_eq!(answer.status, 404);
    let payment = world.waiting("A-1").await;
    let path = format!("/v1/payments/{}/confirm", payment["id"].as_str().unwrap());
    let refused = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "payment_not_manual"));
}
