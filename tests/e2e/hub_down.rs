//! The hub dies and comes back.

use e2e::{Stack, until};

#[tokio::test]
async fn orders_placed_while_the_hub_is_dead_arrive_exactly_once() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    stack.hub.kill().await?;
    let mut orders = Vec::new();
    for number in 0..3 {
        let answer =
            stack.shop_a.order(None, "yerba-kilo", &format!("c{number}@cliente.example.com"), None).await?;
        orders.push(answer["order_id"].as_str().unwrap().to_owned());
    }
    // The agent dies too, and finds everything on its disk.
    stack.agent.kill().await?;
    stack.hub.restart(&stack.directory).await?;
    stack.agent.restart(&stack.directory).await?;
    for order in &orders {
        until("the order at shop B", async || {
            Ok((stack.shop_b.count_received("order.created", order).await? >= 1).then_some(()))
        })
        .await?;
    }
    stack.agent.until_drained().await?;
    for order in &orders {
        assert_eq!(stack.shop_b.count_received("order.created", order).await?, 1);
        let events = stack
            .hub
            .get(&stack.project_a, &format!("/v1/events?type=order.created&order_id={order}"))
            .await?;
        assert_eq!(events["data"].as_array().unwrap().len(), 1);
    }
    for number in 0..3 {
        stack.catcher.mail_to(&format!("c{number}@cliente.example.com")).await?;
    }
    assert_eq!(stack.catcher.mails().await?.len(), 3);
    stack.stop().await
}
