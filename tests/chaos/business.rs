//! What goes on between the misfortunes: a shop's calls of every kind.

use anyhow::{Context as _, ensure};
use e2e::until;
use serde_json::json;
use std::time::Duration;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, NotificationId, RandomIds};

use crate::ledger::Payment;
use crate::receiver::Mood;
use crate::world::World;

/// The provider's bad days. None of them loses a notice: that takes the hub minutes to make up for.
const FAULTS: [&str; 6] = [
    r#"{"kind": "duplicate_notice", "next": 3}"#,
    r#"{"kind": "forge_notice", "next": 2}"#,
    r#"{"kind": "delay_notice", "ms": 700}"#,
    r#"{"kind": "latency", "ms": 400, "next": 2}"#,
    r#"{"kind": "server_error", "status": 502, "method": "GET"}"#,
    r#"{"kind": "too_many_requests", "retry_after": 1, "method": "GET"}"#,
];

impl World {
    pub(crate) async fn direct(&mut self) -> anyhow::Result<()> {
        let caller = self.caller();
        for _ in 0..=self.dice.below(10) {
            let body = self.event();
            caller.insist("/v1/events", &body).await?;
            self.acknowledge(body["id"].as_str().unwrap_or_default(), Duration::ZERO);
        }
        Ok(())
    }

    pub(crate) async fn again(&mut self) -> anyhow::Result<()> {
        let count = self.ledger.acknowledged().count() as u64;
        let place = usize::try_from(self.dice.below(count))?;
        let Some(id) = self.ledger.acknowledged().nth(place).cloned() else { return Ok(()) };
        let sent = &self.ledger.events[&id];
        let body = sent.body.clone();
        let through_agent = self.dice.below(2) == 0;
        let answer = until("a repeat is answered", async || {
            if !through_agent {
                return self.hub.post(&self.project, "/v1/events", body.clone()).await.map(Some);
            }
            let (status, answer) = self.agent.post("/v1/events", &body).await?;
            ensure!(status == 202, "the agent answered {status} to a repeat: {answer}");
            Ok(Some(answer))
        })
        .await?;
        ensure!(answer["id"] == body["id"], "a repeat of {id} was answered with {answer}");
        // What an overwritten page took along is back now: the shop has sent it again.
        if let Some(sent) = self.ledger.events.get_mut(&id) {
            sent.destroyed = false;
        }
        Ok(())
    }

    pub(crate) async fn mails(&mut self) -> anyhow::Result<()> {
        for _ in 0..=self.dice.below(3) {
            self.number += 1;
            let to = format!("c{}@cliente.example.com", self.number);
            // The caller makes the id, as the extension and the package do.
            let id = ids::new::<NotificationId>(&RandomIds, &SystemClock).to_string();
            let body = json!({"id": id, "channel": "email", "to": to, "subject": "Remojo", "text": "Hola"});
            let (status, answer) = self.agent.post("/v1/notifications", &body).await?;
            ensure!(status == 202, "the agent answered {status} to a mail: {answer}");
            self.ledger.mails.insert(to);
        }
        Ok(())
    }

    pub(crate) async fn payment(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let order = format!("R-{}", self.number);
        let body = json!({
            "order_id": order, "amount": "1500.00", "currency": "ARS", "description": "Mate", "method": "checkout",
            "payer": {"email": "ana@cliente.example.com"},
        });
        // The same key each time: however often it is asked for, it is one payment.
        let (id, preference) = until("a payment is made", async || {
            let made = self.hub.create_payment(&self.project, &order, &body).await?;
            let text = |name: &str| made[name].as_str().map(str::to_owned);
            text("id").zip(text("provider_reference")).context("no preference yet").map(Some)
        })
        .await?;
        if let Some(fault) = self.dice.pick(&FAULTS) {
            self.simulator.control("faults", serde_json::from_str(fault)?).await?;
        }
        self.simulator.pay(&preference).await?;
        self.ledger.payments.push(Payment { id, order });
        Ok(())
    }

    pub(crate) fn change_mood(&mut self) {
        let moods = [Mood::Well, Mood::Slow, Mood::Failing];
        self.receiver.set_mood(*self.dice.pick(&moods).unwrap_or(&Mood::Well));
    }
}
