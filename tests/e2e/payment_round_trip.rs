//! A checkout is paid, and the shop hears of it once.

use e2e::{Stack, until};
use serde_json::{Value, json};

#[tokio::test]
async fn a_paid_checkout_brings_order_paid_once() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    stack.hub.set_credentials(&stack.project_a, &stack.simulator).await?;
    let answer = stack.shop_a.order(None, "bombilla-alpaca", "leo@cliente.example.com", None).await?;
    let order = answer["order_id"].as_str().unwrap().to_owned();
    let made = stack.shop_a.checkout(&order).await?;
    // The same order is the same payment, however often the button is pressed.
    let again = stack.shop_a.checkout(&order).await?;
    assert_eq!(made["payment_id"], again["payment_id"]);
    let path = format!("/v1/payments/{}", made["payment_id"].as_str().unwrap());
    let preference =
        stack.hub.get(&stack.project_a, &path).await?["provider_reference"].as_str().unwrap().to_owned();
    // A refused attempt does not fail the payment; every notice comes twice.
    stack.simulator.control("faults", json!({"kind": "duplicate_notice", "next": 20})).await?;
    let rejected = json!({"status": "rejected", "status_detail": "cc_rejected_insufficient_amount"});
    stack.simulator.control(&format!("preferences/{preference}/pay"), rejected).await?;
    stack.simulator.pay(&preference).await?;
    let paid: Value = until("the payment is paid", async || {
        let shown = stack.hub.get(&stack.project_a, &path).await?;
        Ok((shown["status"] == "paid").then_some(shown))
    })
    .await?;
    assert_eq!((paid["amount"].as_str(), paid["currency"].as_str()), (Some("12900.00"), Some("ARS")));
    for shop in [&stack.shop_a, &stack.shop_b] {
        until("order.paid", async || {
            Ok((shop.count_received("order.paid", &order).await? == 1).then_some(()))
        })
        .await?;
    }
    assert_eq!(stack.shop_a.show(&order).await?["status"], "paid");
    let events =
        stack.hub.get(&stack.project_a, &format!("/v1/events?type=order.paid&order_id={order}")).await?;
    assert_eq!(events["data"].as_array().unwrap().len(), 1);
    stack.stop().await
}
