//! One contract, three doors: extension, socket and HTTP do the same.

use e2e::{Stack, Transport, until};
use serde_json::json;

#[tokio::test]
async fn every_transport_of_the_package_brings_the_order() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    for transport in [Transport::Extension, Transport::Socket, Transport::Http] {
        let email = format!("{}@cliente.example.com", transport.as_str());
        let answer =
            stack.shop_a.order(Some(transport), "mate-calabaza", &email, Some("+541123456789")).await?;
        let order = answer["order_id"].as_str().unwrap();
        let event = answer["event_id"].as_str().unwrap();
        until(&format!("{transport:?}: the event at the hub"), async || {
            Ok(stack.hub.get(&stack.project_a, &format!("/v1/events/{event}")).await.ok())
        })
        .await?;
        until(&format!("{transport:?}: the order at shop B"), async || {
            Ok((stack.shop_b.count_received("order.created", order).await? == 1).then_some(()))
        })
        .await?;
        stack.catcher.mail_to(&email).await?;
        assert!(answer["whatsapp"]["link"].is_string(), "{transport:?}: {answer}");
    }
    stack.stop().await
}

#[tokio::test]
async fn the_same_id_through_two_doors_is_one_event() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (_, first) = stack.agent.post("/v1/events", &json!({"type": "a.b", "data": {"x": 1}})).await?;
    let id = first["id"].as_str().unwrap();
    stack.agent.until_drained().await?;
    let again = stack
        .hub
        .post(&stack.project_a, "/v1/events", json!({"id": id, "type": "a.b", "data": {"x": 1}}))
        .await?;
    assert_eq!(again["id"], id);
    let listed = stack.hub.get(&stack.project_a, "/v1/events?type=a.b").await?;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    // Another body under the same id is refused by the agent, which remembers, and by the hub.
    let other = json!({"id": id, "type": "a.b", "data": {"x": 2}});
    assert_eq!(stack.agent.post("/v1/events", &other).await?.1["code"], "idempotency_key_reused");
    assert!(
        stack
            .hub
            .post(&stack.project_a, "/v1/events", other)
            .await
            .unwrap_err()
            .to_string()
            .contains("idempotency_key_reused")
    );
    stack.stop().await
}
