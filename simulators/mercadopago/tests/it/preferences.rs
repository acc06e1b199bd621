use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_preference_comes_back_with_its_page_and_its_nulls() {
    let world = World::new().await;
    let made = world.preference(json!({"metadata": {"shop": "a"}})).await;
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with(&format!("{}-", world.seller.user_id)), "{id}");
    assert_eq!(made["init_point"], format!("{}/checkout/v1/redirect?pref_id={id}", world.simulator.url()));
    assert_eq!(made["collector_id"], world.seller.user_id);
    assert_eq!(made["items"][0]["currency_id"], "ARS");
    assert_eq!(made["items"][0]["unit_price"].to_string(), "150.5");
    assert_eq!(made["metadata"]["shop"], "a");
    assert_eq!(made.get("payer"), Some(&Value::Null));
    assert!(made["date_created"].as_str().unwrap().ends_with("-04:00"));
    assert_eq!(world.get(&format!("/checkout/preferences/{id}")).await.json(), made);
}

#[tokio::test]
async fn auto_return_without_a_public_address_is_refused_with_a_null_cause() {
    let world = World::new().await;
    let body = json!({
        "items": [{"title": "Yerba", "quantity": 1, "unit_price": 1}],
        "back_urls": {"success": "http://shop.test/ok"}, "auto_return": "approved",
    });
    let refused = world.post("/checkout/preferences", body).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json(),
        json!({
            "message": "auto_return invalid. back_url.success must be defined",
            "error": "invalid_auto_return", "status": 400, "cause": null,
        })
    );
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    let world = World::new().await;
    let made = world.preference(json!({})).await;
    let path = format!("/checkout/preferences/{}", made["id"].as_str().unwrap());
    let past = json!({"expires": true, "expiration_date_to": "2020-01-01T00:00:00.000-04:00"});
    let changed = world.call(Method::PUT, &path, past, None).await.json();
    assert_eq!(changed["expires"], true);
    assert_eq!(changed["items"], made["items"]);
    let refused =
        world.post(&format!("/control/preferences/{}/pay", made["id"].as_str().unwrap()), json!({})).await;
    assert_eq!(refused.status, 409, "an ended preference cannot be paid");
}

#[tokio::test]
async fn a_search_lists_elements_by_reference() {
    let world = World::new().await;
    let made = world.preference(json!({"external_reference": "pay_a"})).await;
    world.preference(json!({"external_reference": "pay_b"})).await;
    let found = world.get("/checkout/preferences/search?external_reference=pay_a").await.json();
    assert_eq!(found["total"], 1);
    assert_eq!(found["elements"][0]["id"], made["id"]);
    assert_eq!(found["elements"][0]["items"], json!(["Yerba"]));
}

#[tokio::test]
async fn a_buyers_payment_is_found_by_reference_and_sums_up_in_its_order() {
    let world = World::new().await;
    let made = world.preference(json!({"metadata": {"shop": "a"}})).await;
    let pay = format!("/preferences/{}/pay", made["id"].as_str().unwrap());
    let detail = "cc_rejected_insufficient_amount";
    let rejected = world.control(&pay, json!({"status": "rejected", "status_detail": detail})).await;
    assert_eq!(rejected["status_detail"], detail);
    let paid = world.control(&pay, json!({"method": "master"})).await;
    assert_eq!(paid["status"], "approved");
    assert_eq!(paid["transaction_amount"].to_string(), "150.5");
    assert_eq!(paid["currency_id"], "ARS");
    assert_eq!(paid["metadata"]["shop"], "a");
    assert!(paid["id"].as_i64().unwrap() > i64::from(u32::MAX));

    let found =
        world.get("/v1/payments/search?external_reference=pay_1&sort=date_created&criteria=asc").await;
    let found = found.json();
    assert_eq!(found["paging"], json!({"total": 2, "limit": 30, "offset": 0}));
    assert_eq!(found["results"][0]["id"], rejected["id"]);
    assert_eq!(found["results"][1]["id"], paid["id"]);

    let order =
        world.get(&format!("/merchant_orders/{}", paid["order"]["id"].as_str().unwrap())).await.json();
    assert_eq!(order["order_status"], "paid");
    assert_eq!(order["status"], "closed");
    assert_eq!(order["paid_amount"].to_string(), "150.5");
    assert_eq!(order["payments"].as_array().unwrap().len(), 2);
    assert_eq!(order["preference_id"], made["id"]);
}
