//! Differences that become cases the moment they are seen.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::world::World;

impl World {
    pub(super) async fn cases(&self, filter: &str) -> Vec<Value> {
        let list = self.test.get(&self.key, &format!("/v1/payment-cases?limit=200{filter}")).await;
        assert_eq!(list.status, 200, "{list:?}");
        list.body["data"].as_array().unwrap().clone()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn another_amount_is_a_case_that_is_closed_with_a_note(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let payment = world.waiting("A-1").await;
    // Somebody made a cheaper preference under the same reference.
    sqlx::query("update payment_transactions set amount_minor = 150051, order_amount_minor = 150051")
        .execute(&pool)
        .await
        .unwrap();
    let bought = world.buy(&payment, json!({})).await;
    let cases = world
        .test
        .until("the case", async || {
            Some(world.cases("&kind=amount_mismatch").await).filter(|cases| !cases.is_empty())
        })
        .await;
    let case = &cases[0];
    assert_eq!(
        (&case["status"], &case["payment_id"], &case["order_id"], &case["expected"], &case["actual"]),
        (&json!("open"), &payment["id"], &json!("A-1"), &json!("1500.51"), &json!("1500.50"))
    );
    assert_eq!(case["external_id"], bought["id"].to_string());
    // Seen again, it is the same difference.
    world.control(&format!("/payments/{}/notify", bought["id"]), json!({})).await;
    let path = format!("/v1/payments/{}/sync", payment["id"].as_str().unwrap());
    assert_eq!(world.test.post(&world.key, &path, json!({})).await.body["status"], "pending");
    let path = format!("/v1/payment-cases/{}/close", case["id"].as_str().unwrap());
    let bare = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!((bare.status.as_u16(), bare.pointers()), (422, vec!["/note"]));
    let closed = world.test.post(&world.key, &path, json!({"note": "devuelto a mano"})).await.body;
    assert_eq!((&closed["status"], &closed["note"]), (&json!("closed"), &json!("devuelto a mano")));
    assert!(closed["closed_at"].is_string());
    assert!(world.cases("&status=open").await.is_empty());
    assert_eq!(world.cases("").await.len(), 1);
    let unknown = world.test.get(&world.key, "/v1/payment-cases?kind=odd").await;
    assert_eq!((unknown.status.as_u16(), unknown.pointers()), (422, vec!["?kind"]));
    // Another project's case is nobody's.
    let (_, stranger) = world.test.project().await;
    let strange = world.test.post(&stranger, &path, json!({"note": "x"})).await;
    assert_eq!(strange.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_order_paid_twice_is_a_case_and_one_order_paid(pool: PgPool) {
    let world = World::new(pool).await;
    // Two payments of one order, as when the customer opens the shop in two windows.
    let first = world.charge("A-1", "APRO").await;
    let token = world.card_token("APRO").await;
    let card = json!({"token": token, "payment_method_id": "visa", "installments": 1});
    let body = World::checkout("A-1", json!({"method": "card", "card": card, "back_urls": null}));
    let second = world.create("again", body).await.body;
    assert_eq!((&first["status"], &second["status"]), (&json!("paid"), &json!("paid")));
    let cases = world.cases("&kind=duplicate").await;
    assert_eq!(cases.len(), 1, "{cases:?}");
    assert_eq!(
        (&cases[0]["payment_id"], &cases[0]["expected"], &cases[0]["actual"]),
        (&second["id"], &json!("1500.50"), &json!("3001.00"))
    );
    let told: Vec<Value> = world.events("order.paid").await;
    assert_eq!(told.iter().filter(|event| event["duplicate_of"].is_null()).count(), 1);
    // Two halves of one order are none.
    for half in ["h1", "h2"] {
        let token = world.card_token("APRO").await;
        let card = json!({"token": token, "payment_method_id": "visa", "installments": 1});
        let more = json!({"method": "card", "card": card, "back_urls": null, "amount": "750.25", "order_amount": "1500.50"});
        let paid = world.create(half, World::checkout("A-2", more)).await.body;
        assert_eq!(paid["status"], "paid");
    }
    assert_eq!(world.cases("").await.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_checkout_paid_twice_is_a_case(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    world.buy(&payment, json!({"status": "rejected", "status_detail": "cc_rejected_other_reason"})).await;
    let first = world.buy(&payment, json!({})).await;
    let second = world.buy(&payment, json!({})).await;
    let cases = world
        .test
        .until("the case", async || {
            Some(world.cases("&kind=duplicate").await).filter(|cases| !cases.is_empty())
        })
        .await;
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["external_id"], second["id"].to_string());
    let paid = world.until_status(&payment, "paid").await;
    assert_eq!(paid["external_id"], first["id"].to_string());
}
