//! One contract, three doors: extension, socket and HTTP do the same.

use e2e::{Stack, Transport, until};
use serde_json::{Value, json};

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
async fn every_call_and_every_refusal_is_the_same_through_every_door() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    stack.hub.set_credentials(&stack.project_a, &stack.simulator).await?;
    let script = e2e::root().join("tests/e2e/contract.php");
    let mut first: Option<Value> = None;
    for transport in [Transport::Extension, Transport::Socket, Transport::Http] {
        let prefix = format!("door-{}", transport.as_str());
        let output = stack.shop_a.script(transport, &script, &[&prefix]).await?;
        let mut lines = output.lines();
        let said: Value = serde_json::from_str(lines.next().unwrap_or_default())?;
        assert_eq!(lines.next(), Some("true"), "{transport:?}: a repeated key gave another id");
        assert_eq!(
            &said,
            first.get_or_insert_with(|| said.clone()),
            "{transport:?} is not like the extension"
        );
    }
    let said = first.unwrap_or_default();
    let expected = json!({
        "event": "evt_…",
        "mail": "pending",
        "WhatsApp, waiting": "https://wa.me/5493415551234?text=Hola",
        "payment": {"status": "pending", "amount": "1500.00", "currency": "ARS"},
        "its page": "/checkout/v1/redirect",
        "the same payment again": true,
        "reading the payment": true,
        "the project": {"name": "Mate y Compañía", "mode": "test", "plan": "pro"},
    });
    for (what, outcome) in expected.as_object().unwrap() {
        assert_eq!(&said[what], outcome, "{what}");
    }
    let refusals = [
        ("event without its order", 422, "validation_failed", vec!["/data/order_id"]),
        ("event of an impossible type", 422, "validation_failed", vec!["/type"]),
        ("the same key, another body", 422, "idempotency_key_reused", vec![]),
        ("unknown fields", 422, "unknown_field", vec!["/colour", "/size"]),
        ("mail to nowhere", 422, "validation_failed", vec!["/subject", "/to"]),
        ("an impossible payment", 422, "validation_failed", vec!["/amount", "/currency"]),
        ("a payment that is not there", 404, "not_found", vec![]),
        ("an event that is not there", 404, "not_found", vec![]),
        ("a path that is not there", 404, "not_found", vec![]),
    ];
    for (what, status, code, pointers) in refusals {
        let refusal = &said[what];
        let named: Vec<&str> =
            refusal["errors"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let told = (refusal["exception"].as_str(), refusal["status"].as_u64(), refusal["code"].as_str());
        assert_eq!(told, (Some("InvalidRequest"), Some(status), Some(code)), "{what}");
        assert_eq!(named, pointers, "{what}");
        assert_eq!(refusal["has a request id"], true, "{what}");
    }
    stack.stop().await
}
