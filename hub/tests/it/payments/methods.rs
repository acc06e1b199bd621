//! Cards, Pix, tickets, and money given back.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::world::World;

impl World {
    pub(super) async fn card_token(&self, holder: &str) -> String {
        let url = format!("{}/v1/card_tokens?public_key={}", self.simulator.url(), self.seller.public_key);
        let body = json!({"card_number": "4509953566233704", "expiration_month": 11, "expiration_year": 2030,
            "security_code": "123", "cardholder": {"name": holder}});
        let made: Value = self
            .test
            .app
            .outbound
            .operator()
            .post(url)
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn charge(&self, order: &str, holder: &str) -> Value {
        let token = self.card_token(holder).await;
        let card = json!({"token": token, "payment_method_id": "visa", "installments": 1});
        let more = json!({"method": "card", "card": card, "back_urls": null});
        let answer = self.create(&format!("key-{order}"), Self::checkout(order, more)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    pub(super) async fn refund(&self, payment: &Value, key: &str, body: Value) -> crate::support::Answer {
        let path = format!("/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
        let headers = [("x-api-key", self.key.as_str()), ("idempotency-key", key)];
        self.test.send("POST", &path, &headers, body.to_string()).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_card_is_charged_once_and_its_token_forgotten(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let paid = world.charge("A-1", "APRO").await;
    assert_eq!((&paid["status"], &paid["detail"]), (&json!("paid"), &Value::Null));
    assert!(paid["external_id"].is_string());
    let declined = world.charge("A-2", "FUND").await;
    assert_eq!(
        (&declined["status"], &declined["detail"]),
        (&json!("failed"), &json!("rejected_insufficient_amount"))
    );
    let reviewed = world.charge("A-3", "CONT").await;
    assert_eq!((&reviewed["status"], &reviewed["detail"]), (&json!("pending"), &json!("in_process")));
    let external = reviewed["external_id"].as_str().unwrap();
    world.control(&format!("/payments/{external}/approve"), json!({})).await;
    world.until_status(&reviewed, "paid").await;
    let kept: Vec<Value> =
        sqlx::query_scalar("select request from payment_transactions").fetch_all(&pool).await.unwrap();
    assert!(kept.iter().all(|request| request["card"].is_null()), "{kept:?}");
    assert_eq!(world.events("order.paid").await.len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_card_whose_answer_was_lost_is_not_charged_again(pool: PgPool) {
    let world = World::new(pool).await;
    world
        .fault(json!({"kind": "hang_after_success", "ms": 120_000, "method": "POST", "path": "/v1/payments"}))
        .await;
    world.fault(json!({"kind": "drop_notice"})).await;
    let token = world.card_token("APRO").await;
    let card = json!({"token": token, "payment_method_id": "visa", "installments": 1});
    let body = World::checkout("A-1", json!({"method": "card", "card": card, "back_urls": null}));
    let payment = world.create_with("k1", "respond-async", body).await.body;
    let reference = payment["id"].as_str().unwrap();
    let search =
        format!("/v1/payments/search?sort=date_created&criteria=desc&external_reference={reference}");
    world
        .test
        .until("it is charged", async || {
            (world.provider(&search).await["paging"]["total"] == 1).then_some(())
        })
        .await;
    world.let_hub_die().await;
    world.until_status(&payment, "paid").await;
    assert_eq!(world.provider(&search).await["paging"]["total"], 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn pix_and_tickets_give_the_customer_something_to_pay_with(pool: PgPool) {
    let world = World::of_site(pool, "MLB").await;
    let pix = json!({"method": "pix", "currency": "BRL", "back_urls": null});
    let pix = world.create("k1", World::checkout("A-1", pix)).await.body;
    assert_eq!((&pix["status"], &pix["detail"]), (&json!("pending"), &Value::Null));
    assert!(
        pix["qr_code"].is_string() && pix["ticket_url"].is_string() && pix["expires_at"].is_string(),
        "{pix}"
    );
    assert!(pix["qr_code_base64"].as_str().is_some_and(|png| png.starts_with("iVBORw0KGgo")), "{pix}");
    world.control(&format!("/payments/{}/approve", pix["external_id"].as_str().unwrap()), json!({})).await;
    world.until_status(&pix, "paid").await;
    let ticket = json!({"method": "ticket", "payment_method_id": "bolbradesco", "currency": "BRL", "back_urls": null,
        "payer": {"email": "ana@example.com", "first_name": "Ana", "last_name": "B",
            "identification": {"type": "CPF", "number": "12345678909"}}});
    let ticket = world.create("k2", World::checkout("A-2", ticket)).await.body;
    assert!(ticket["ticket_url"].is_string(), "{ticket}");
    world.control(&format!("/payments/{}/expire", ticket["external_id"].as_str().unwrap()), json!({})).await;
    let expired = world.until_status(&ticket, "failed").await;
    assert_eq!(expired["detail"], "expired");
}

#[sqlx::test(migrations = "../migrations")]
async fn money_is_given_back_once_per_key(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.charge("A-1", "APRO").await;
    world.simulator.clock().advance(std::time::Duration::from_secs(1));
    let part = world.refund(&payment, "r1", json!({"amount": "500.50"})).await;
    assert_eq!((part.status.as_u16(), part.body["status"].as_str()), (201, Some("done")), "{part:?}");
    let again = world.refund(&payment, "r1", json!({"amount": "500.50"})).await;
    assert_eq!((again.id(), again.headers["idempotent-replayed"].to_str().unwrap()), (part.id(), "true"));
    let now = world.payment(&payment).await;
    assert_eq!((&now["status"], &now["amount_refunded"]), (&json!("paid"), &json!("500.50")));
    assert_eq!(now["detail"], "partially_refunded");
    let much = world.refund(&payment, "r2", json!({"amount": "1000.01"})).await;
    assert_eq!((much.status.as_u16(), much.pointers()), (422, vec!["/amount"]));
    world.simulator.clock().advance(std::time::Duration::from_secs(1));
    // The answer is lost: the same key is sent again, and nothing is given back twice.
    world.fault(json!({"kind": "server_error", "method": "POST", "path": "/v1/payments/"})).await;
    let path = format!("/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
    let headers = [("x-api-key", world.key.as_str()), ("idempotency-key", "r3"), ("prefer", "wait=1")];
    let rest = world.test.send("POST", &path, &headers, "{}").await;
    assert_eq!((rest.status.as_u16(), rest.body["status"].as_str()), (202, Some("pending")));
    world.test.clock.advance(chrono::TimeDelta::seconds(6));
    let whole = world.until(&payment, "all is given back", |payment| payment["detail"] == "refunded").await;
    assert_eq!(
        (&whole["amount_refunded"], whole["refunds"].as_array().unwrap().len()),
        (&json!("1500.50"), 2)
    );
    let none = world.refund(&payment, "r4", json!({})).await;
    assert_eq!((none.status.as_u16(), none.code()), (409, "nothing_to_refund"));
    let pending = world.waiting("A-2").await;
    let early = world.refund(&pending, "r5", json!({})).await;
    assert_eq!((early.status.as_u16(), early.code()), (409, "payment_not_paid"));
}
