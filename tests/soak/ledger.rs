//! What was sent and what was promised for it, and whether the promises were kept.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use e2e::{Agent, Catcher, Hub, Project, until};
use serde_json::Value;

use crate::receiver::Receiver;

/// An event that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Its body, with its id.
    pub(crate) body: Value,
    /// Whether anybody said 202 to it.
    pub(crate) acknowledged: bool,
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
pub(crate) struct Found {
    /// Events that were acknowledged and arrived.
    pub(crate) events: usize,
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

        let stored = stored(witnesses, "soak.counted").await?;
        let lost: Vec<_> = self.acknowledged().filter(|id| !stored.contains(*id)).collect();
        ensure!(lost.is_empty(), "acknowledged, and not at the hub: {lost:?}");
        let strange: Vec<_> = stored.iter().filter(|id| !self.events.contains_key(*id)).collect();
        ensure!(strange.is_empty(), "at the hub, and never sent: {strange:?}");

        let arrived = async || {
            let arrivals = witnesses.receiver.arrivals();
            let missing =
                stored.iter().filter(|id| arrivals.get(*id).is_none_or(|one| one.taken == 0)).count();
            if missing == 0 { Ok(Some(arrivals)) } else { bail!("{missing} of {} are missing", stored.len()) }
        };
        let arrivals = until("every event is delivered", arrived).await?;
        for id in &stored {
            let sent = self.events.get(id).map(|sent| &sent.body["data"]);
            let came = arrivals.get(id).map(|arrival| &arrival.data);
            ensure!(sent == came, "{id} arrived as {came:?}, and was sent as {sent:?}");
        }
        ensure!(
            witnesses.receiver.forged() == 0,
            "{} webhooks were not signed right",
            witnesses.receiver.forged()
        );

        let repeated_mails = self.check_mails(witnesses.catcher).await?;
        self.check_payments(witnesses).await?;
        let repeated_webhooks = arrivals.values().map(|arrival| arrival.taken.saturating_sub(1)).sum();
        Ok(Found {
            events: self.acknowledged().count(),
            payments: self.payments.len(),
            mails: self.mails.len(),
            repeated_webhooks,
            repeated_mails,
        })
    }

    async fn check_mails(&self, catcher: &Catcher) -> anyhow::Result<usize> {
        let mut repeated = 0;
        for address in &self.mails {
            catcher.mail_to(address).await?;
        }
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for mail in catcher.mails().await? {
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
