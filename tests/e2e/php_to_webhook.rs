//! An order placed in PHP reaches another shop, the customer's mailbox and WhatsApp.

use e2e::{PULLED, Stack, until};

#[tokio::test]
async fn an_order_placed_in_php_reaches_everyone_once() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let answer =
        stack.shop_a.order(None, "yerba-kilo", "eva@cliente.example.com", Some("+54 9 341 555-1234")).await?;
    let order = answer["order_id"].as_str().unwrap().to_owned();
    until("order.created at shop B", async || {
        Ok((stack.shop_b.count_received("order.created", &order).await? == 1).then_some(()))
    })
    .await?;
    // It has no open port, and the hub knows no address of it: its agent brought the order.
    assert!(stack.shop_b.has_no_open_port()?);
    let endpoints = stack.hub.get(&stack.project_a, "/v1/webhook-endpoints").await?;
    let mut urls: Vec<&str> = endpoints["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|endpoint| endpoint["url"].as_str())
        .collect();
    urls.sort_unstable();
    assert_eq!(urls, [PULLED, &stack.shop_a.webhook_url()]);
    let mail = stack.catcher.mail_to("eva@cliente.example.com").await?;
    assert!(mail["text"].as_str().unwrap().contains(&order), "{mail}");
    assert!(mail["html"].as_str().unwrap().contains("4.200,50"), "{mail}");
    assert!(
        answer["whatsapp"]["link"].as_str().unwrap().starts_with("https://wa.me/5493415551234?text="),
        "{answer}"
    );
    let notification = answer["notification_id"].as_str().unwrap();
    until("the notification is sent", async || {
        let shown = stack.hub.get(&stack.project_a, &format!("/v1/notifications/{notification}")).await?;
        Ok((shown["status"] == "sent").then_some(()))
    })
    .await?;
    // Another project sees none of it.
    assert!(stack.hub.get(&stack.project_b, &format!("/v1/notifications/{notification}")).await.is_err());
    stack.stop().await
}
