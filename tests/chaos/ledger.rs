//! What was sent and what was promised for it, and whether the promises were kept.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use e2e::{Agent, Catcher, Hub, Project, until};
use serde_json::Value;

use crate::receiver::Receiver;

/// What is sent; a shop's own event.
pub(crate) const EVENT_TYPE: &str = "chaos.counted";

/// An event that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Its body, with its id.
    pub(crate) body: Value,
    /// Whether anybody said 202 to it.
    pub(crate) acknowledged: bool,
    /// Whether the page that held it was overwritten: it may be lost, and nothing else may.
    pub(crate) destroyed: bool,
}

/// A payment that was made.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    /// Its id.
    pub(crate) id: String,
    /// Its order's.
    pub(crate) order: String,
}

/// Everything that was sent.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Events, by id.
    pub(crate) events: BTreeMap<String, Sent>,
    /// Addresses that an acknowledged mail goes to, one each.
    pub(crate) mails: BTreeSet<String>,
    /// Payments that the buyer paid.
    pub(crate) payments: Vec<Payment>,
}

/// What the promises look like from outside.
pub(crate) struct Witnesses<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) project: &'a Project,
    pub(crate) agent: &'a Agent,
    pub(crate) catcher: &'a Catcher,
    pub(crate) receiver: &'a Receiver,
}

/// What was found beside the promises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Events that were acknowledged.
    pub(crate) events: usize,
    /// Those of them that overwritten pages took along, by name.
    pub(crate) destroyed: usize,
    /// Payments that were paid and reported once.
    pub(crate) payments: usize,
    /// Mails that came.
    pub(crate) mails: usize,
    /// Webhooks that came again under their id, after the shop had already answered 200.
    pub(crate) repeated_webhooks: usize,
    /// Mails that came again under their Message-ID.
    pub(crate) repeated_mails: usize,
}

impl Ledger {
    /// Ids of acknowledged events.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = &String> {
        self.events.iter().filter(|(_, sent)| sent.acknowledged).map(|(id, _)| id)
    }

    /// Waits until all is done, and holds everything against what was promised.
    pub(crate) async fn settle(&self, witnesses: &Witnesses<'_>) -> anyhow::Result<Found> {
        witnesses.agent.until_drained().await?;
        let status = witnesses.agent.status().await?;
        ensure!(status["dead_letters"] == 0, "the agent gave up on something: {status}");

        let stored = stored(witnesses, EVENT_TYPE).await?;
        let (destroyed, lost): (Vec<_>, Vec<_>) = self
            .acknowledged()
            .filter(|id| !stored.contains(*id))
            .partition(|id| self.events.get(*id).is_some_and(|sent| sent.destroyed));
        ensure!(lost.is_empty(), "acknowledged, and not at the hub: {lost:?}");
        let strange: Vec<_> = stored.iter().filter(|id| !self.events.contains_key(*id)).collect();
        ensure!(strange.is_empty(), "at the hub, and never sent: {strange:?}");

        until("every event is delivered", async || match witnesses.receiver.missing(&stored) {
            0 => Ok(Some(())),
            missing => bail!("{missing} of {} are missing", stored.len()),
        })
        .await?;
        for id in &stored {
            let sent = self.events.get(id).map(|sent| &sent.body["data"]);
            let came = witnesses.receiver.arrival(id).map(|arrival| arrival.data);
            ensure!(sent == came.as_ref(), "{id} arrived as {came:?}, and was sent as {sent:?}");
        }
        let forged = witnesses.receiver.forged();
        ensure!(forged == 0, "{forged} webhooks were not signed right");

        let repeated_mails = self.check_mails(witnesses.catcher).await?;
        self.check_payments(witnesses).await?;
        Ok(Found {
            events: self.acknowledged().count(),
            destroyed: destroyed.len(),
            payments: self.payments.len(),
            mails: self.mails.len(),
            repeated_webhooks: witnesses.receiver.repeated(),
            repeated_mails,
        })
    }

    async fn check_mails(&self, catcher: &Catcher) -> anyhow::Result<usize> {
        let mails = until("every mail comes", async || {
            let mails = catcher.mails().await?;
            let came: BTreeSet<&str> =
                mails.iter().filter_map(|mail| mail["envelope_to"][0].as_str()).collect();
            match self.mails.iter().find(|address| !came.contains(address.as_str())) {
                Some(missing) => bail!("none came to {missing}"),
                None => Ok(Some(mails)),
            }
        })
        .await?;
        let mut repeated = 0;
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for mail in mails {
            let to = mail["envelope_to"][0].as_str().unwrap_or_default().to_owned();
            let message = mail["message_id"].as_str().unwrap_or_default().to_owned();
            if let Some(earlier) = seen.insert(to.clone(), message.clone()) {
                ensure!(earlier == message, "{to} got two different mails");
                repeated += 1;
            }
        }
        Ok(repeated)
    }

    async fn check_payments(&self, witnesses: &Witnesses<'_>) -> anyhow::Result<()> {
        for payment in &self.payments {
            let path = format!("/v1/payments/{}", payment.id);
            until(&format!("{} is paid", payment.id), async || {
                Ok((witnesses.hub.get(witnesses.project, &path).await?["status"] == "paid").then_some(()))
            })
            .await?;
            let path = format!("/v1/events?type=order.paid&order_id={}", payment.order);
            let listed = witnesses.hub.get(witnesses.project, &path).await?;
            let count = listed["data"].as_array().map_or(0, Vec::len);
            ensure!(count == 1, "order {} was reported as paid {count} times", payment.order);
        }
        Ok(())
    }
}

/// The ids of all events of a type at the hub; twice the same is an error.
async fn stored(witnesses: &Witnesses<'_>, event_type: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/events?type={event_type}&limit=200{cursor}");
        let listed = witnesses.hub.get(witnesses.project, &path).await?;
        for event in listed["data"].as_array().context("no list")? {
            let id = event["id"].as_str().context("no id")?.to_owned();
            ensure!(ids.insert(id.clone()), "{id} is at the hub twice");
        }
        match listed["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids),
        }
    }
}
