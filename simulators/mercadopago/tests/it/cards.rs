use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn the_name_on_the_card_decides_and_a_decline_is_no_error() {
    let world = World::new().await;
    for (name, status, detail) in [
        ("APRO", "approved", "accredited"),
        ("FUND", "rejected", "cc_rejected_insufficient_amount"),
        ("CONT", "in_process", "pending_contingency"),
        ("CALL", "rejected", "cc_rejected_call_for_authorize"),
    ] {
        let answer = world.charge(name, json!({})).await;
        assert_eq!(answer.status, 201, "{name}");
        let payment = answer.json();
        assert_eq!(
            (&payment["status"], &payment["status_detail"]),
            (&json!(status), &json!(detail)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_number_is_never_kept() {
    let world = World::new().await;
    let payment = world.charge("APRO", json!({})).await;
    assert_eq!(payment.json()["card"]["last_four_digits"], "3704");
    assert_eq!(payment.json()["card"]["cardholder"]["name"], "APRO");
    assert!(!payment.text.contains("4509953566233704"));
}

#[tokio::test]
async fn a_token_pays_once() {
    let world = World::new().await;
    let token = world.card("APRO").await;
    let body = json!({
        "transaction_amount": 10, "token": token, "installments": 1, "payment_method_id": "visa",
        "payer": {"email": "ana@example.com"},
    });
    assert_eq!(world.pay("a", body.clone()).await.status, 201);
    let refused = world.pay("b", body.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, json!(3003)));
    let mut unknown = body;
    unknown["token"] = json!("0123456789abcdef0123456789abcdef");
    assert_eq!(world.pay("c", unknown).await.code(), json!(2006));
}

#[tokio::test]
async fn what_was_held_is_captured_in_part_or_let_go() {
    let world = World::new().await;
    let held = world.charge("APRO", json!({"capture": false})).await.json();
    assert_eq!((&held["status"], &held["captured"]), (&json!("authorized"), &json!(false)));
    let path = format!("/v1/payments/{}", held["id"]);
    let put = async |body: Value| world.call(Method::PUT, &path, body, None).await;
    let more = put(json!({"capture": true, "transaction_amount": 100.51})).await;
    assert_eq!(more.code(), json!(4037), "more than was held");
    let taken = put(json!({"capture": true, "transaction_amount": 80})).await.json();
    assert_eq!((&taken["status"], &taken["transaction_amount"]), (&json!("approved"), &json!(80)));
    assert_eq!(put(json!({"status": "cancelled"})).await.code(), json!(2018));

    let held = world.charge("APRO", json!({"capture": false})).await.json();
    let path = format!("/v1/payments/{}", held["id"]);
    let freed = world.call(Method::PUT, &path, json!({"status": "cancelled"}), None).await.json();
    assert_eq!((&freed["status"], &freed["status_detail"]), (&json!("cancelled"), &json!("by_collector")));
}

#[tokio::test]
async fn bad_card_fields_have_codes_of_their_own() {
    let world = World::new().await;
    let good = json!({
        "card_number": "4509953566233704", "expiration_month": 11, "expiration_year": 30,
        "security_code": "123", "cardholder": {"name": "APRO"},
    });
    for (field, bad, code) in [
        ("card_number", json!(null), 205),
        ("card_number", json!("12"), 316),
        ("expiration_month", json!(13), 325),
        ("cardholder", json!({}), 221),
        ("security_code", json!(""), 224),
    ] {
        let mut body = good.clone();
        body[field] = bad;
        assert_eq!(world.post("/v1/card_tokens", body).await.code(), json!(code), "{field}");
    }
}
