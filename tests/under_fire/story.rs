//! What one customer does.

use anyhow::ensure;
use e2e::Dice;
use reqwest::Method;
use serde_json::{Value, json};
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, PaymentId, RandomIds};

use crate::till::Till;

/// How they pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Card,
    Checkout,
    Ticket,
}

/// A payment that the hub took.
#[derive(Debug, Clone)]
pub(crate) struct Sold {
    pub(crate) id: String,
    pub(crate) order: String,
    pub(crate) way: Way,
    /// Whether the shop gave money back through the hub.
    pub(crate) is_refunded: bool,
    /// Whether the shop gave it up.
    pub(crate) is_cancelled: bool,
}

/// Buys something, and whatever comes of it.
pub(crate) async fn play(till: &Till, number: u64, mut dice: Dice) -> anyhow::Result<Sold> {
    let way = [Way::Card, Way::Checkout, Way::Ticket][usize::try_from(dice.below(3))?];
    let id = ids::new::<PaymentId>(&RandomIds, &SystemClock).to_string();
    let mut sold =
        Sold { id: id.clone(), order: format!("F-{number}"), way, is_refunded: false, is_cancelled: false };
    let body = order(till, &sold, &mut dice).await?;
    let (status, made) = till.call(Method::POST, "/v1/payments", &id, Some(&body)).await?;
    // The hub died over the first call, which for a minute may still be under way: the id is known all the same.
    let is_under_way = made["code"] == "idempotency_key_in_progress";
    ensure!(matches!(status, 201 | 202) || is_under_way, "{id} was answered with {status}: {made}");
    ensure!(is_under_way || made["id"] == id.as_str(), "{made} is not {id}");
    // A customer who has waited for long leaves; what is under way goes on without them.
    let is_made = |payment: &Value| {
        payment["status"] != "pending"
            || payment["external_id"].is_string()
            || payment["checkout_url"].is_string()
    };
    let Some(made) = till.wait(&id, is_made).await? else { return Ok(sold) };
    pay(till, &mut sold, &made, &mut dice).await?;
    if dice.below(100) < 45
        && let Some(paid) = till.wait(&id, |payment| payment["status"] == "paid").await?
    {
        regret(till, &mut sold, &paid, &mut dice).await?;
    }
    Ok(sold)
}

async fn order(till: &Till, sold: &Sold, dice: &mut Dice) -> anyhow::Result<Value> {
    let centavos = 10_000 + dice.below(500_000);
    let mut body = json!({
        "id": sold.id, "order_id": sold.order, "amount": format!("{}.{:02}", centavos / 100, centavos % 100),
        "currency": "ARS", "description": "Mate",
        "payer": {"email": "ana@cliente.example.com", "first_name": "Ana", "identification": {"type": "DNI", "number": "12345678"}},
    });
    match sold.way {
        Way::Checkout => body["method"] = json!("checkout"),
        Way::Ticket => {
            body["method"] = json!("ticket");
            body["payment_method_id"] = json!("rapipago");
        }
        Way::Card => {
            let holders = ["APRO", "APRO", "APRO", "FUND", "OTHE", "CONT"];
            let token = till.card(dice.pick(&holders).copied().unwrap_or("APRO")).await?;
            body["method"] = json!("card");
            body["card"] = json!({"token": token, "payment_method_id": "visa", "installments": 1});
        }
    }
    Ok(body)
}

/// What the buyer does next, or the bank.
async fn pay(till: &Till, sold: &mut Sold, made: &Value, dice: &mut Dice) -> anyhow::Result<()> {
    let luck = dice.below(100);
    match (sold.way, made["provider_reference"].as_str(), made["external_id"].as_str()) {
        (Way::Checkout, Some(preference), _) => {
            let path = format!("preferences/{preference}/pay");
            if luck < 30 {
                let rejected =
                    json!({"status": "rejected", "status_detail": "cc_rejected_insufficient_amount"});
                till.provider(&path, rejected).await?;
            }
            if luck < 85 {
                till.provider(&path, json!({})).await?;
            }
        }
        (Way::Ticket, _, Some(payment)) => match luck {
            ..60 => drop(till.provider(&format!("payments/{payment}/approve"), json!({})).await?),
            60..75 => drop(till.provider(&format!("payments/{payment}/expire"), json!({})).await?),
            75..85 => {
                let path = format!("/v1/payments/{}/cancel", sold.id);
                till.call(Method::POST, &path, "cancel", Some(&json!({}))).await?;
                sold.is_cancelled = true;
            }
            _ => {}
        },
        (Way::Card, _, Some(payment)) if made["status"] == "pending" => {
            let what = if luck < 50 { "approve" } else { "reject" };
            till.provider(&format!("payments/{payment}/{what}"), json!({})).await?;
        }
        _ => {}
    }
    Ok(())
}

/// What becomes of a payment later.
async fn regret(till: &Till, sold: &mut Sold, paid: &Value, dice: &mut Dice) -> anyhow::Result<()> {
    let Some(payment) = paid["external_id"].as_str() else { return Ok(()) };
    match dice.below(100) {
        ..40 => {
            sold.is_refunded = true;
            refund(till, sold, json!({"amount": "10.50"}), "part").await?;
            if dice.below(2) == 0 {
                refund(till, sold, json!({"amount": "1.25"}), "more").await?;
            }
        }
        40..70 => {
            sold.is_refunded = true;
            refund(till, sold, json!({}), "whole").await?;
        }
        70..80 => drop(till.provider(&format!("payments/{payment}/refund"), json!({"amount": 5})).await?),
        80..90 => drop(till.provider(&format!("payments/{payment}/mediate"), json!({})).await?),
        _ => drop(till.provider(&format!("payments/{payment}/chargeback"), json!({})).await?),
    }
    Ok(())
}

async fn refund(till: &Till, sold: &Sold, body: Value, name: &str) -> anyhow::Result<()> {
    let key = format!("{}-{name}", sold.id);
    let path = format!("/v1/payments/{}/refunds", sold.id);
    let (status, answer) = till.call(Method::POST, &path, &key, Some(&body)).await?;
    ensure!(matches!(status, 201 | 202), "a refund of {} was answered with {status}: {answer}", sold.id);
    Ok(())
}
