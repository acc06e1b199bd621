use std::collections::HashMap;

use reqwest::Url;
use serde_json::{Value, json};
use trastienda_mercadopago_sim::Config;

use crate::world::{Answer, World, answer};

async fn press(world: &World, preference: &Value, action: &str, method: &str) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("pref_id", preference["id"].as_str().unwrap())
        .append_pair("action", action)
        .append_pair("method", method)
        .finish();
    let call = world
        .client
        .post(format!("{}/checkout/v1/pay", world.simulator.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    answer(call.send().await.unwrap()).await
}

async fn open(world: &World, preference: &Value) -> Answer {
    answer(world.client.get(preference["init_point"].as_str().unwrap()).send().await.unwrap()).await
}

fn back_urls() -> Value {
    json!({"back_urls": {
        "success": "https://shop.test/ok?cart=1", "pending": "https://shop.test/wait", "failure": "https://shop.test/no",
    }})
}

fn query(answer: &Answer) -> (String, HashMap<String, String>) {
    let url = Url::parse(answer.headers["location"].to_str().unwrap()).unwrap();
    (url.path().to_owned(), url.query_pairs().into_owned().collect())
}

#[tokio::test]
async fn a_buyer_pays_and_is_sent_back_with_the_documented_query() {
    let world = World::new().await;
    let mut asked = back_urls();
    asked["auto_return"] = json!("approved");
    let preference = world.preference(asked).await;
    let page = open(&world, &preference).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Yerba") && page.text.contains("150.50") && page.text.contains("ARS"));

    let paid = press(&world, &preference, "approve", "visa").await;
    assert_eq!(paid.status, 303);
    let (path, query) = query(&paid);
    assert_eq!(path, "/ok");
    assert_eq!(query["cart"], "1", "the shop's own query is kept");
    assert_eq!(query["status"], "approved");
    assert_eq!(query["external_reference"], "pay_1");
    assert_eq!(query["preference_id"], preference["id"]);
    assert_eq!(query["merchant_account_id"], "null");
    let payment = world.get(&format!("/v1/payments/{}", query["payment_id"])).await.json();
    assert_eq!(payment["status"], "approved");
    assert_eq!(query["merchant_order_id"], payment["order"]["id"]);
}

#[tokio::test]
async fn a_rejected_buyer_may_try_again() {
    let world = World::new().await;
    let preference = world.preference(back_urls()).await;
    let rejected = press(&world, &preference, "reject", "visa").await;
    assert_eq!(rejected.status, 200);
    assert!(rejected.text.contains("Probar de nuevo"));
    assert!(rejected.text.contains("https://shop.test/no?collection_id="));
    let paid = press(&world, &preference, "approve", "master").await;
    assert!(paid.text.contains("https://shop.test/ok?cart=1&amp;collection_id="), "escaped in the page");
    let statuses: Vec<Value> = world.get("/v1/payments/search?criteria=asc").await.json()["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|payment| payment["status"].clone())
        .collect();
    assert_eq!(statuses, ["rejected", "approved"]);
}

#[tokio::test]
async fn who_leaves_has_paid_nothing() {
    let world = World::new().await;
    let preference = world.preference(back_urls()).await;
    let left = press(&world, &preference, "leave", "visa").await;
    let (path, query) = query(&left);
    assert_eq!((left.status.as_u16(), path.as_str()), (303, "/no"));
    assert_eq!((query["status"].as_str(), query["payment_id"].as_str()), ("null", "null"));
    assert_eq!(world.get("/v1/payments/search").await.json()["paging"]["total"], 0);
}

#[tokio::test]
async fn cash_is_paid_later_at_its_ticket() {
    let world = World::new().await;
    let preference = world.preference(json!({})).await;
    let waiting = press(&world, &preference, "later", "rapipago").await;
    assert!(waiting.text.contains("/ticket"), "{}", waiting.text);
    let payment = world.get("/v1/payments/search").await.json()["results"][0].clone();
    assert_eq!(payment["status_detail"], "pending_waiting_payment");
    let ticket = payment["transaction_details"]["external_resource_url"].as_str().unwrap();
    let page = answer(world.client.get(ticket).send().await.unwrap()).await;
    assert!(page.text.contains("Pagar ahora"));
    assert_eq!(world.client.post(ticket).send().await.unwrap().status(), 303);
    let after = world.get(&format!("/v1/payments/{}", payment["id"])).await.json();
    assert_eq!(after["status"], "approved");
    assert_eq!(world.client.post(ticket).send().await.unwrap().status(), 409, "only once");
}

#[tokio::test]
async fn what_a_shop_writes_stays_text() {
    let world = World::new().await;
    let preference = world
        .preference(
            json!({"items": [{"title": "<script>alert('x')</script>", "quantity": 1, "unit_price": 1}]}),
        )
        .await;
    let page = open(&world, &preference).await;
    assert!(!page.text.contains("<script"));
    assert!(page.text.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"));
}

#[tokio::test]
async fn an_excluded_means_of_payment_is_neither_offered_nor_taken() {
    let world = World::new().await;
    let without = json!({"payment_methods": {"excluded_payment_types": [{"id": "ticket"}]}});
    let preference = world.preference(without).await;
    assert!(!open(&world, &preference).await.text.contains("Rapipago"));
    assert_eq!(press(&world, &preference, "later", "rapipago").await.status, 400);
}

#[tokio::test]
async fn a_laptop_keeps_its_return_address_when_allowed() {
    let world = World::with(Config { http_back_urls: true, ..Config::default() }).await;
    let preference = world
        .preference(json!({"back_urls": {"success": "http://localhost:8000/ok"}, "auto_return": "approved"}))
        .await;
    let paid = press(&world, &preference, "approve", "visa").await;
    assert!(paid.headers["location"].to_str().unwrap().starts_with("http://localhost:8000/ok?"));
}

#[tokio::test]
async fn the_operator_sees_payments_and_moves_them() {
    let world = World::new().await;
    let paid = world.charge("APRO", json!({"external_reference": "<b>"})).await.json();
    let list = world.get("/").await;
    assert!(list.text.contains(&paid["id"].to_string()) && list.text.contains("&lt;b&gt;"));
    assert!(list.text.contains("Devolver"));
    let path = format!("/operator/payments/{}/refund", paid["id"]);
    assert_eq!(world.post(&path, json!({})).await.status, 303);
    let after = world.get(&format!("/v1/payments/{}", paid["id"])).await.json();
    assert_eq!(after["status"], "refunded");
    assert_eq!(world.post(&path, json!({})).await.status, 409);
}

#[tokio::test]
async fn an_unknown_preference_is_said_so() {
    let world = World::new().await;
    let page = open(
        &world,
        &json!({"init_point": format!("{}/checkout/v1/redirect?pref_id=x", world.simulator.url())}),
    )
    .await;
    assert_eq!(page.status, 404);
    let pressed = press(&world, &json!({"id": "x"}), "approve", "visa").await;
    assert_eq!(pressed.status, 404);
}
