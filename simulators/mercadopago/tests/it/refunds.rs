use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{Answer, World};

async fn refund(world: &World, payment: &Value, key: &str, body: Value) -> Answer {
    let path = format!("/v1/payments/{}/refunds", payment["id"]);
    world.call(Method::POST, &path, body, Some(key)).await
}

async fn paid() -> (World, Value) {
    let world = World::new().await;
    let payment = world.charge("APRO", json!({})).await.json();
    (world, payment)
}

#[tokio::test]
async fn a_replay_is_200_with_nothing_in_it_and_gives_back_nothing_more() {
    let (world, payment) = paid().await;
    let first = refund(&world, &payment, "r", json!({"amount": 40.25})).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.json()["amount"].to_string(), "40.25");
    assert_eq!(first.json()["payment_id"], payment["id"]);
    let again = refund(&world, &payment, "r", json!({"amount": 40.25})).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::OK, ""));

    let after = world.get(&format!("/v1/payments/{}", payment["id"])).await.json();
    assert_eq!(
        (&after["status"], &after["status_detail"]),
        (&json!("approved"), &json!("partially_refunded"))
    );
    assert_eq!(after["transaction_amount_refunded"].to_string(), "40.25");
    let listed = world.get(&format!("/v1/payments/{}/refunds", payment["id"])).await.json();
    assert_eq!(listed, json!([first.json()]), "a bare array");
    let one = world.get(&format!("/v1/payments/{}/refunds/{}", payment["id"], first.json()["id"])).await;
    assert_eq!(one.json(), first.json());
}

#[tokio::test]
async fn parts_add_up_to_the_whole_and_not_beyond() {
    let (world, payment) = paid().await;
    assert_eq!(refund(&world, &payment, "a", json!({"amount": 40.25})).await.status, 201);
    let too_much = refund(&world, &payment, "b", json!({"amount": 60.26})).await;
    assert_eq!((too_much.status.as_u16(), too_much.code()), (400, json!(2017)));
    let rest = refund(&world, &payment, "c", Value::Null).await;
    assert_eq!(rest.json()["amount"].to_string(), "60.25", "no body gives back what is left");
    let after = world.get(&format!("/v1/payments/{}", payment["id"])).await.json();
    assert_eq!((&after["status"], &after["status_detail"]), (&json!("refunded"), &json!("refunded")));
    let nothing_left = refund(&world, &payment, "d", json!({})).await;
    assert_eq!((nothing_left.status.as_u16(), nothing_left.code()), (400, json!(2063)));
    assert_eq!(refund(&world, &payment, "c", json!({})).await.status, 200, "replays outlive the refund");
}

#[tokio::test]
async fn needs_a_key_an_approved_payment_and_a_sound_amount() {
    let (world, payment) = paid().await;
    let path = format!("/v1/payments/{}/refunds", payment["id"]);
    let no_key = world.call(Method::POST, &path, json!({"amount": "x"}), None).await;
    assert_eq!(no_key.code(), json!(4292));
    for bad in [json!("1"), json!(-1), json!(0), json!(1.005)] {
        assert_eq!(refund(&world, &payment, "k", json!({"amount": bad})).await.code(), json!(4037), "{bad}");
    }
    let rejected = world.charge("OTHE", json!({})).await.json();
    assert_eq!(refund(&world, &rejected, "k", json!({})).await.code(), json!(2063));
    assert_eq!(refund(&world, &json!({"id": 1}), "k", json!({})).await.code(), json!(2000));
}

#[tokio::test]
async fn a_refund_is_told_of() {
    let (world, receiver) = (World::new().await, Receiver::new().await);
    let payment = world.charge("APRO", json!({"notification_url": receiver.url()})).await.json();
    receiver.wait_for(1).await;
    refund(&world, &payment, "r", json!({"amount": 1})).await;
    assert_eq!(receiver.wait_for(2).await[1].body["action"], "payment.updated");
    world.control(&format!("/payments/{}/refund", payment["id"]), json!({"amount": 99.5})).await;
    receiver.wait_for(3).await;
}

#[tokio::test]
async fn half_a_year_later_it_is_too_late() {
    let (world, payment) = paid().await;
    world.control("/clock", json!({"seconds": 181 * 24 * 3600})).await;
    assert_eq!(refund(&world, &payment, "r", json!({})).await.code(), json!(2024));
}
