//! The same id is the same thing, whichever door it takes and however often.

use std::collections::BTreeSet;

use e2e::{Stack, until};
use serde_json::{Value, json};

#[tokio::test]
async fn the_same_id_through_agent_and_hub_at_once_is_one_event() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    // The agent makes the id, and forgets nothing when it dies after it has answered.
    let order = "DUP-1";
    let mut body = json!({"type": "order.created", "data": {"order_id": order}});
    let (_, first) = stack.agent.post("/v1/events", &body).await?;
    let id = first["id"].as_str().unwrap().to_owned();
    body["id"] = id.as_str().into();
    let through_agent = async {
        for _ in 0..10 {
            let (status, answer) = stack.agent.post("/v1/events", &body).await?;
            assert_eq!((status, answer["id"].as_str()), (202, Some(id.as_str())), "{answer}");
        }
        anyhow::Ok(())
    };
    let through_hub = async {
        for _ in 0..10 {
            let answer = stack.hub.post(&stack.project_a, "/v1/events", body.clone()).await?;
            assert_eq!(answer["id"].as_str(), Some(id.as_str()), "{answer}");
        }
        anyhow::Ok(())
    };
    tokio::try_join!(through_agent, through_hub)?;
    stack.agent.until_drained().await?;
    let listed =
        stack.hub.get(&stack.project_a, &format!("/v1/events?type=order.created&order_id={order}")).await?;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    // One delivery for each of the two endpoints, and each shop handled it once.
    let deliveries = async || {
        let shown = stack.hub.get(&stack.project_a, &format!("/v1/events/{id}")).await?;
        let states: Vec<String> =
            shown["deliveries"].as_array().unwrap().iter().map(|one| one["status"].to_string()).collect();
        Ok((states == ["\"sent\"", "\"sent\""]).then_some(()))
    };
    until("both deliveries are sent", deliveries).await?;
    for shop in [&stack.shop_a, &stack.shop_b] {
        assert_eq!(shop.count_received("order.created", order).await?, 1);
    }
    // Another body under the same id is refused by the agent, which remembers, and by the hub.
    body["data"]["total"] = "1.00".into();
    let (status, refused) = stack.agent.post("/v1/events", &body).await?;
    assert_eq!((status, refused["code"].as_str()), (422, Some("idempotency_key_reused")), "{refused}");
    let refused = stack.hub.post(&stack.project_a, "/v1/events", body).await.unwrap_err().to_string();
    assert!(refused.contains("422") && refused.contains("idempotency_key_reused"), "{refused}");
    stack.stop().await
}

#[tokio::test]
async fn the_same_mail_through_agent_and_hub_is_sent_once() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut body =
        json!({"channel": "email", "to": "uno@cliente.example.com", "subject": "Una vez", "text": "Hola"});
    let (_, first) = stack.agent.post("/v1/notifications", &body).await?;
    body["id"] = first["id"].clone();
    for _ in 0..5 {
        stack.agent.post("/v1/notifications", &body).await?;
        stack.hub.post(&stack.project_a, "/v1/notifications", body.clone()).await?;
    }
    stack.agent.until_drained().await?;
    // What is sent later comes after it: when that is there, a second one would be.
    let last = json!({"channel": "email", "to": "fin@cliente.example.com", "subject": "Fin", "text": "Fin"});
    stack.hub.post(&stack.project_a, "/v1/notifications", last).await?;
    stack.catcher.mail_to("fin@cliente.example.com").await?;
    stack.catcher.mail_to("uno@cliente.example.com").await?;
    let mails: Vec<Value> = stack.catcher.mails().await?;
    let ids: BTreeSet<&str> = mails.iter().filter_map(|mail| mail["message_id"].as_str()).collect();
    assert_eq!((mails.len(), ids.len()), (2, 2), "{mails:?}");
    stack.stop().await
}
