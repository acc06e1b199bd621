use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use trastienda_mercadopago_sim::{Clock, Config};

use crate::receiver::Receiver;
use crate::world::World;

fn pix() -> Value {
    json!({
        "transaction_amount": 100.5, "payment_method_id": "pix", "external_reference": "pay_1",
        "payer": {"email": "ana@example.com"},
    })
}

async fn brazil() -> World {
    let at: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
    let mut world = World::with(Config { clock: Clock::fixed(at), ..Config::default() }).await;
    world.become_seller_of("MLB");
    world
}

#[tokio::test]
async fn a_missing_key_is_found_before_a_bad_body() {
    let world = World::new().await;
    let refused = world.call(Method::POST, "/v1/payments", json!({"nonsense": 1}), None).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, json!(4292)));
    assert_eq!(refused.json()["message"], "Header X-Idempotency-Key can't be null");
}

#[tokio::test]
async fn a_key_used_again_answers_200_with_the_same_payment() {
    let world = brazil().await;
    let first = world.pay("k", pix()).await;
    assert_eq!(first.status, 201);
    let mut other = pix();
    other["transaction_amount"] = json!(7);
    let again = world.pay("k", other).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json(), first.json());
    assert_eq!(world.get("/v1/payments/search").await.json()["paging"]["total"], 1);
    assert_eq!(world.pay("k2", pix()).await.status, 201, "another key is another payment");
}

#[tokio::test]
async fn what_was_refused_uses_up_no_key() {
    let world = brazil().await;
    assert_eq!(world.pay("k", json!({"transaction_amount": -1})).await.status, 400);
    assert_eq!(world.pay("k", pix()).await.status, 201);
}

#[tokio::test]
async fn one_key_at_the_same_time_has_one_effect() {
    let world = brazil().await;
    let answers = futures(&world, 12).await;
    let created = answers.iter().filter(|(status, _)| *status == 201).count();
    let ids: HashSet<&String> = answers.iter().map(|(_, id)| id).collect();
    assert_eq!((created, ids.len()), (1, 1), "{answers:?}");
}

async fn futures(world: &World, count: usize) -> Vec<(u16, String)> {
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..count {
        let call = world
            .client
            .post(format!("{}/v1/payments", world.simulator.url()))
            .bearer_auth(&world.seller.access_token)
            .header("X-Idempotency-Key", "k")
            .json(&pix());
        calls.spawn(async move {
            let response = call.send().await.unwrap();
            let status = response.status().as_u16();
            (status, response.json::<Value>().await.unwrap()["id"].to_string())
        });
    }
    calls.join_all().await
}

#[tokio::test]
async fn a_body_is_refused_with_the_documented_code() {
    let world = brazil().await;
    let with = |name: &str, value: Value| {
        let mut body = pix();
        body[name] = value;
        body
    };
    for (body, code) in [
        (with("colour", json!("red")), 8),
        (with("transaction_amount", json!(null)), 4002),
        (with("transaction_amount", json!("100")), 4003),
        (with("transaction_amount", json!(1.005)), 4037),
        (with("transaction_amount", json!(0)), 4037),
        (with("payment_method_id", json!("rapipago")), 3028),
        (with("payment_method_id", json!(null)), 2131),
        (with("payment_method_id", json!("visa")), 4000),
        (with("payer", json!("ana")), 4006),
        (with("payer", json!({"email": "ana"})), 4050),
        (with("payer", json!({"email": format!("{}@example.com", "a".repeat(250))})), 4051),
        (with("notification_url", json!("nowhere")), 4020),
        (with("metadata", json!([])), 4022),
        (with("date_of_expiration", json!("tomorrow")), 23),
        (with("date_of_expiration", json!("2026-11-24T12:10:00.000Z")), 7523),
        (with("date_of_expiration", json!("2027-11-24T12:10:00.000Z")), 7523),
        (with("capture", json!(false)), 2077),
    ] {
        let refused = world.pay("k", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, json!(code)), "{body}");
        assert_eq!(refused.json()["error"], "bad_request");
    }
}

#[tokio::test]
async fn a_pix_waits_with_its_code_until_it_is_paid() {
    let world = brazil().await;
    let made = world.pay("k", pix()).await.json();
    assert_eq!(
        (&made["status"], &made["status_detail"]),
        (&json!("pending"), &json!("pending_waiting_transfer"))
    );
    assert_eq!(made["date_of_expiration"], "2026-11-25T08:00:00.000-04:00");
    assert_eq!(made["date_approved"], Value::Null);
    let code = made["point_of_interaction"]["transaction_data"]["qr_code"].as_str().unwrap();
    assert!(code.starts_with("000201") && code.contains("5406100.50"), "{code}");
    assert!(made["payer"]["id"].is_string());

    let paid = world.control(&format!("/payments/{}/approve", made["id"]), json!({})).await;
    assert_eq!((&paid["status"], &paid["status_detail"]), (&json!("approved"), &json!("accredited")));
    assert!(paid["date_approved"].is_string());
    let (before, after) = (made["date_last_updated"].as_str(), paid["date_last_updated"].as_str());
    assert!(before < after, "a change always has a later time: {before:?} {after:?}");
}

#[tokio::test]
async fn what_nobody_pays_expires_and_is_told_of() {
    let (world, receiver) = (brazil().await, Receiver::new().await);
    let mut body = pix();
    body["notification_url"] = json!(receiver.url());
    let made = world.pay("k", body).await.json();
    receiver.wait_for(1).await;
    world.simulator.clock().advance(Duration::from_hours(25));
    let after = world.get(&format!("/v1/payments/{}", made["id"])).await.json();
    assert_eq!((&after["status"], &after["status_detail"]), (&json!("cancelled"), &json!("expired")));
    let notices = receiver.wait_for(2).await;
    assert_eq!(notices[1].body["action"], "payment.updated");
}

#[tokio::test]
async fn a_seller_gives_more_time_or_calls_it_off() {
    let world = brazil().await;
    let made = world.pay("k", pix()).await.json();
    let path = format!("/v1/payments/{}", made["id"]);
    let more = json!({"date_of_expiration": "2026-12-01T12:00:00.000-03:00"});
    let extended = world.call(Method::PUT, &path, more, None).await.json();
    assert_eq!(extended["date_of_expiration"], "2026-12-01T11:00:00.000-04:00");
    let cancelled = world.call(Method::PUT, &path, json!({"status": "cancelled"}), None).await.json();
    assert_eq!(cancelled["status_detail"], "by_collector");
    let again = world.call(Method::PUT, &path, json!({"status": "cancelled"}), None).await;
    assert_eq!((again.status.as_u16(), again.code()), (400, json!(2018)));
}

#[tokio::test]
async fn a_search_filters_by_time_status_and_page() {
    let world = brazil().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(world.pay(&format!("k{n}"), pix()).await.json()["id"].clone());
        world.simulator.clock().advance(Duration::from_hours(1));
    }
    world.control(&format!("/payments/{}/approve", ids[0]), json!({})).await;
    let found = async |query: &str| {
        let answer = world.get(&format!("/v1/payments/search?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        let found: Vec<Value> = body["results"].as_array().unwrap().iter().map(|p| p["id"].clone()).collect();
        (body["paging"]["total"].as_u64().unwrap(), found)
    };
    let (total, page) = found("sort=date_created&criteria=asc&limit=2&offset=1").await;
    assert_eq!((total, page), (5, ids[1..3].to_vec()));
    assert_eq!(found("status=approved").await.1, ids[..1]);
    let range =
        "range=date_created&begin_date=2026-11-24T13:00:00.000Z&end_date=2026-11-24T10:00:00.000-04:00";
    assert_eq!(found(&format!("{range}&criteria=asc")).await.1, ids[1..3]);
    assert_eq!(found("range=date_created&begin_date=NOW-1HOURS&end_date=NOW").await.1, ids[4..]);
    let updated = "range=date_last_updated&begin_date=2026-11-24T17:00:00.000Z";
    assert_eq!(found(updated).await.1, ids[..1], "the approval was the last change");
    assert_eq!(found("external_reference=other").await.0, 0);
    let refused = world.get("/v1/payments/search?limit=5000").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, json!(1000)));
}

#[tokio::test]
async fn a_complaint_and_a_chargeback_take_their_course() {
    let world = World::new().await;
    let paid = world.charge("APRO", json!({})).await.json();
    let act = async |action: &str, body: Value| {
        let answer = world.control(&format!("/payments/{}/{action}", paid["id"]), body).await;
        (answer["status"].clone(), answer["status_detail"].clone())
    };
    let is = |status: &str, detail: &str| (json!(status), json!(detail));
    assert_eq!(act("mediate", json!({})).await, is("in_mediation", "pending"));
    assert_eq!(act("approve", json!({})).await, is("approved", "accredited"));
    assert_eq!(act("chargeback", json!({})).await, is("charged_back", "in_process"));
    let won = act("chargeback", json!({"status_detail": "reimbursed"})).await;
    assert_eq!(won, is("charged_back", "reimbursed"));
    let refused = world.post(&format!("/control/payments/{}/expire", paid["id"]), json!({})).await;
    assert_eq!(refused.status, 409);
}

#[tokio::test]
async fn one_seed_gives_the_same_ids_again() {
    let (a, b) = (brazil().await, brazil().await);
    let (a, b) = (a.pay("k", pix()).await.json(), b.pay("k", pix()).await.json());
    assert_eq!(a["id"], b["id"]);
    assert_eq!(a["payer"]["id"], b["payer"]["id"]);
}

#[tokio::test]
async fn a_ticket_paid_at_the_last_instant_is_still_approved() {
    let world = World::new().await;
    let body = json!({
        "transaction_amount": 1000, "payment_method_id": "rapipago",
        "payer": {"email": "ana@example.com", "identification": {"type": "DNI", "number": "12345678"}},
    });
    let made = world.pay("k", body).await.json();
    assert_eq!(
        (&made["payment_type_id"], &made["status_detail"]),
        (&json!("ticket"), &json!("pending_waiting_payment"))
    );
    assert!(made["transaction_details"]["external_resource_url"].as_str().unwrap().ends_with("/ticket"));
    let expired = world.control(&format!("/payments/{}/expire", made["id"]), json!({})).await;
    assert_eq!(expired["status_detail"], "expired");
    let paid = world.control(&format!("/payments/{}/approve", made["id"]), json!({})).await;
    assert_eq!(paid["status"], "approved");
}

#[tokio::test]
async fn a_currency_without_decimals_takes_none() {
    let mut world = World::new().await;
    let chile = world.control("/sellers", json!({"site": "MLC"})).await;
    chile["access_token"].as_str().unwrap().clone_into(&mut world.seller.access_token);
    let refused = world.charge("APRO", json!({"transaction_amount": 1500.5})).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, json!(4037)));
    let paid = world.charge("APRO", json!({"transaction_amount": 1500})).await.json();
    assert_eq!((&paid["currency_id"], &paid["transaction_amount"]), (&json!("CLP"), &json!(1500)));
}
