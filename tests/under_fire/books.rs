//! The hub's books against the provider's, payment by payment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::story::{Sold, Way};
use crate::till::Till;

/// How long it may take until all is as the provider has it, once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_mins(5);

/// The provider's payments, by our id.
type Truth = BTreeMap<String, Vec<Value>>;

async fn truth(till: &Till) -> anyhow::Result<Truth> {
    let mut truth = Truth::new();
    let all = till.provider_has("/control/payments").await?;
    for payment in all["payments"].as_array().context("the provider has no list")? {
        if let Some(reference) = payment["external_reference"].as_str() {
            truth.entry(reference.to_owned()).or_default().push(payment.clone());
        }
    }
    Ok(truth)
}

/// Waits until every payment is as the provider has it. Gives how many ended how.
pub(crate) async fn settle(till: &Till, sold: &[Sold]) -> anyhow::Result<BTreeMap<String, usize>> {
    let deadline = Instant::now() + PATIENCE;
    let mut ends = BTreeMap::new();
    let mut left: Vec<Sold> = sold.to_vec();
    loop {
        // What is made now was unknown until now, so the truth is asked for anew each time.
        let truth = truth(till).await?;
        let mut checks = JoinSet::new();
        let mut waiting = Vec::new();
        let mut why = String::new();
        for one in left {
            if checks.len() >= 16 {
                take(checks.join_next().await, &mut waiting, &mut ends, &mut why)?;
            }
            let (till, there) = (till.clone(), truth.get(&one.id).cloned().unwrap_or_default());
            checks.spawn(async move {
                till.sync(&one.id).await;
                let shown = till.payment(&one.id).await;
                (one.clone(), shown.and_then(|shown| agree(&one, &shown, &there)))
            });
        }
        while let Some(done) = checks.join_next().await {
            take(Some(done), &mut waiting, &mut ends, &mut why)?;
        }
        if waiting.is_empty() {
            return Ok(ends);
        }
        if Instant::now() > deadline {
            bail!("{} of {} are not as the provider has them, as {why}", waiting.len(), sold.len());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        left = waiting;
    }
}

type Checked = Option<Result<(Sold, anyhow::Result<String>), tokio::task::JoinError>>;

fn take(
    checked: Checked,
    waiting: &mut Vec<Sold>,
    ends: &mut BTreeMap<String, usize>,
    why: &mut String,
) -> anyhow::Result<()> {
    let Some(checked) = checked else { return Ok(()) };
    match checked? {
        (_, Ok(end)) => *ends.entry(end).or_default() += 1,
        (one, Err(error)) => {
            *why = format!("{}: {error:#}", one.id);
            waiting.push(one);
        }
    }
    Ok(())
}

/// Whether a payment is here as it is there; how, in a word.
fn agree(sold: &Sold, here: &Value, there: &[Value]) -> anyhow::Result<String> {
    let is =
        |payment: &Value, states: &[&str]| payment["status"].as_str().is_some_and(|s| states.contains(&s));
    let taken: Vec<&Value> =
        there.iter().filter(|p| is(p, &["approved", "in_mediation", "charged_back", "refunded"])).collect();
    // Never twice.
    ensure!(taken.len() <= 1, "charged {} times", taken.len());
    ensure!(sold.way == Way::Checkout || there.len() <= 1, "made {} times at the provider", there.len());
    let status = here["status"].as_str().unwrap_or_default();
    let expected = match (taken.first(), there.first(), sold.way) {
        (Some(_), _, _) => "paid",
        (None, Some(one), Way::Card | Way::Ticket) if is(one, &["rejected", "cancelled"]) => "failed",
        (None, Some(_), _) => "pending",
        // A checkout that nobody paid; anything else has to be there by now.
        (None, None, Way::Checkout) => "pending",
        (None, None, _) => bail!("the provider does not have it: {here}"),
    };
    ensure!(status == expected, "is {status} here and {expected} there: {here}");
    if let Some(taken) = taken.first() {
        let refunded = if is(taken, &["refunded"]) {
            &taken["transaction_amount"]
        } else {
            &taken["transaction_amount_refunded"]
        };
        let (ours, theirs) =
            (centavos(here["amount_refunded"].as_str().unwrap_or_default())?, number(refunded));
        ensure!(ours == theirs || is(taken, &["charged_back"]), "{ours} given back here, {theirs} there");
        let amounts =
            (centavos(here["amount"].as_str().unwrap_or_default())?, number(&taken["transaction_amount"]));
        ensure!(amounts.0 == amounts.1, "{amounts:?} are the amounts");
    }
    if sold.is_refunded {
        let refunds = here["refunds"].as_array().context("no refunds")?;
        ensure!(
            !refunds.is_empty() && refunds.iter().all(|refund| refund["status"] == "done"),
            "refunds: {refunds:?}"
        );
        let given: i64 =
            refunds.iter().map(|r| centavos(r["amount"].as_str().unwrap_or_default()).unwrap_or(0)).sum();
        ensure!(
            given == centavos(here["amount_refunded"].as_str().unwrap_or_default())?,
            "refunds are not {given}"
        );
    }
    if sold.way == Way::Checkout {
        ensure!(here["checkout_url"].is_string(), "no checkout was made: {here}");
    }
    let detail = here["detail"].as_str().filter(|detail| !detail.starts_with("rejected_")).unwrap_or("-");
    Ok(format!("{status} {detail}"))
}

/// What cannot be seen payment by payment: events, preferences, and payments that only the provider has.
pub(crate) async fn compare(till: &Till, sold: &[Sold]) -> anyhow::Result<()> {
    let truth = truth(till).await?;
    let known: BTreeSet<&str> = sold.iter().map(|one| one.id.as_str()).collect();
    let lost: Vec<&String> = truth.keys().filter(|id| !known.contains(id.as_str())).collect();
    ensure!(lost.is_empty(), "only the provider has {lost:?}");
    for one in sold {
        let is_paid = till.payment(&one.id).await?["status"] == "paid";
        for event in ["order.paid", "payment.paid"] {
            let told = till.count_events(event, &one.order).await?;
            ensure!(told == usize::from(is_paid), "{event} of {} was told {told} times", one.order);
        }
        if one.way == Way::Checkout {
            let path = format!("/checkout/preferences/search?external_reference={}", one.id);
            let made = till.provider_has(&path).await?["total"].as_u64();
            ensure!(made == Some(1), "{} has {made:?} preferences", one.id);
        }
        ensure!(!one.is_cancelled || !is_paid, "{} was given up and paid", one.id);
    }
    Ok(())
}

fn centavos(text: &str) -> anyhow::Result<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    Ok(whole.parse::<i64>()? * 100 + format!("{part:0<2}").parse::<i64>()?)
}

fn number(value: &Value) -> i64 {
    let text = value.to_string();
    centavos(&text).unwrap_or(-1)
}
