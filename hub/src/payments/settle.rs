//! Moving a payment: what the provider says is taken in under the row's lock, and what follows from it (timeline,
//! `payment.*`, `order.paid`) commits with it.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use trastienda_protocol::money::Money;

use super::cases::{self, Kind, NewCase};
use super::model::{Action, Payment, TimelineEntry};
use super::provider::Snapshot;
use super::status::{self, Attempt, Standing, State, Status};
use super::store;
use crate::app::App;
use crate::events::{self, Emit};
use crate::http;

/// What taking something in did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Something about the payment or its attempts changed.
    pub(crate) changed: bool,
    /// Events were stored: wake their queues after the commit.
    pub(crate) told: bool,
    /// Cases of money in another amount, currency or account.
    pub(crate) mismatches: u32,
    /// Cases of money that was taken twice.
    pub(crate) duplicates: u32,
}

impl Moved {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            changed: self.changed || other.changed,
            told: self.told || other.told,
            mismatches: self.mismatches + other.mismatches,
            duplicates: self.duplicates + other.duplicates,
        }
    }
}

/// Takes in what the provider says of one of its payments. `payment` is locked.
pub(crate) async fn take_in(
    app: &App,
    conn: &mut PgConnection,
    payment: &mut Payment,
    snapshot: &Snapshot,
    account_id: Option<&str>,
) -> anyhow::Result<Moved> {
    let now = app.clock.now();
    let Some(state) = snapshot.state else {
        // What it means is not known here, so nothing may follow from it.
        alert(payment, "unknown_status", "the provider gave a status that this version does not know");
        let said = format!("attempt {} has an unknown status: kept as it was", snapshot.external_id);
        // It is asked about again and again; once is enough to say it.
        if store::has_entry(conn, payment, &said).await? {
            return Ok(Moved::default());
        }
        note(app, conn, payment, "status", &said).await?;
        return Ok(Moved { changed: true, ..Moved::default() });
    };
    let same_account = account_id.is_none_or(|ours| snapshot.account_id.as_deref() == Some(ours));
    let told = Told { snapshot, same_account };
    let seen = Attempt {
        external_id: snapshot.external_id.clone(),
        state,
        reason: snapshot.reason.clone(),
        refunded_minor: snapshot.refunded_minor,
        is_match: same_account && snapshot.amount == Some(payment.amount),
        updated_at: snapshot.updated_at,
    };
    let mut attempts = store::list_attempts(conn, payment).await?;
    match attempts.iter_mut().find(|attempt| attempt.external_id == seen.external_id) {
        Some(known) if !seen.supersedes(known) => {
            return raise_differences(app, conn, payment, told, &attempts).await;
        }
        Some(known) => *known = seen.clone(),
        None => attempts.push(seen.clone()),
    }
    store::upsert_attempt(conn, payment, &seen, now).await?;
    let said = match &seen.reason {
        Some(reason) => format!("attempt {} is {} ({reason})", seen.external_id, state.as_str()),
        None => format!("attempt {} is {}", seen.external_id, state.as_str()),
    };
    note(app, conn, payment, "status", &said).await?;
    if !seen.is_match {
        note(app, conn, payment, "status", "amount, currency or account differ: not taken as paid").await?;
    }
    let raised = raise_differences(app, conn, payment, told, &attempts).await?;
    let next = status::derive(payment.rules(), &payment.standing, &attempts);
    let moved = settle(app, conn, payment, next).await?.and(raised);
    Ok(Moved { changed: true, ..moved })
}

/// What was told, and whether it is of the account that was asked for.
#[derive(Clone, Copy)]
struct Told<'a> {
    snapshot: &'a Snapshot,
    same_account: bool,
}

/// Raises what is wrong with a payment's attempts, unless it was raised before.
async fn raise_differences(
    app: &App,
    conn: &mut PgConnection,
    payment: &Payment,
    told: Told<'_>,
    attempts: &[Attempt],
) -> anyhow::Result<Moved> {
    let Told { snapshot, same_account } = told;
    let mut moved = Moved::default();
    let is_match = same_account && snapshot.amount == Some(payment.amount);
    let holds = snapshot.state.is_some_and(|state| state.is_captured() || state == State::Authorized);
    if holds && !is_match && raise_mismatch(app, conn, payment, snapshot, same_account).await? {
        moved.mismatches += 1;
    }
    for extra in status::holding(attempts).skip(1) {
        if raise_extra(app, conn, payment, extra).await? {
            note(app, conn, payment, "status", "paid more than once: one attempt is to be given back")
                .await?;
            moved.duplicates += 1;
        }
    }
    Ok(moved)
}

/// Takes in several, in the provider's own order of changes.
pub(crate) async fn take_in_all(
    app: &App,
    conn: &mut PgConnection,
    payment: &mut Payment,
    snapshots: &[Snapshot],
    account_id: Option<&str>,
) -> anyhow::Result<Moved> {
    let mut ordered: Vec<&Snapshot> = snapshots.iter().collect();
    ordered.sort_by_key(|snapshot| snapshot.updated_at);
    let mut moved = Moved::default();
    for snapshot in ordered {
        moved = moved.and(take_in(app, conn, payment, snapshot, account_id).await?);
    }
    Ok(moved)
}

/// Ends a pending payment without the provider: refused, cancelled, expired.
pub(crate) async fn close(
    app: &App,
    conn: &mut PgConnection,
    payment: &mut Payment,
    detail: &str,
) -> anyhow::Result<Moved> {
    if payment.standing.status != Status::Pending {
        return Ok(Moved::default());
    }
    let next =
        Standing { status: Status::Failed, detail: Some(detail.to_owned()), ..payment.standing.clone() };
    settle(app, conn, payment, next).await
}

/// Writes where the payment stands now, and what follows from that.
pub(crate) async fn settle(
    app: &App,
    conn: &mut PgConnection,
    payment: &mut Payment,
    next: Standing,
) -> anyhow::Result<Moved> {
    if next == payment.standing {
        return Ok(Moved::default());
    }
    let now = app.clock.now();
    let told = status::events(&payment.standing, &next);
    if next.status == Status::Paid {
        payment.paid_at = payment.paid_at.or(Some(now));
    }
    if next.status != Status::Pending && payment.action == Some(Action::Sync) {
        payment.action = None;
    }
    payment.standing = next;
    payment.updated_at = now;
    store::update_standing(conn, payment, now).await?;
    let (status, detail) = (payment.standing.status.as_str(), payment.standing.detail.clone());
    tracing::info!(project.id = %payment.project_id, payment.id = %payment.id, status, detail, "a payment moved");
    metrics::counter!("trastienda_payment_moves_total", "provider" => payment.provider.clone(), "status" => status)
        .increment(1);
    let entry = TimelineEntry {
        at: now,
        kind: "status".to_owned(),
        outcome: told.first().map_or_else(|| "moved".to_owned(), |event| (*event).to_owned()),
        status: Some(status.to_owned()),
        detail,
        provider_request_id: None,
        duration_ms: None,
    };
    store::insert_entry(conn, payment, app.ids.uuid(now), &entry).await?;
    let mut duplicates = 0;
    for event_type in &told {
        emit(app, conn, payment, event_type, payment.event_data()).await?;
    }
    if told.contains(&"payment.paid") {
        duplicates += u32::from(tell_order_paid(app, conn, payment).await?);
        let note = "the payment came";
        let kind = Kind::OrderWithoutPayment;
        store::drop_cases_of_order(conn, payment, kind, note, now).await?;
    }
    Ok(Moved { changed: true, told: !told.is_empty(), mismatches: 0, duplicates })
}

/// Tells `order.paid` once what is paid for the order reaches what it costs. Whether it is more, which is a case.
async fn tell_order_paid(app: &App, conn: &mut PgConnection, payment: &Payment) -> anyhow::Result<bool> {
    let sum = store::lock_order_sum(conn, payment).await?;
    if sum < payment.order_amount.minor {
        return Ok(false);
    }
    let is_over = sum > payment.order_amount.minor
        && sum > payment.amount.minor
        && raise_overpayment(app, conn, payment, sum).await?;
    let paid = Money { minor: sum, currency: payment.amount.currency };
    let mut data = payment.event_data();
    data.insert("paid_amount".to_owned(), json!(paid.to_string()));
    emit(app, conn, payment, "order.paid", data).await?;
    Ok(is_over)
}

/// Money in another amount, currency or account than was asked for.
async fn raise_mismatch(
    app: &App,
    conn: &mut PgConnection,
    payment: &Payment,
    snapshot: &Snapshot,
    same_account: bool,
) -> sqlx::Result<bool> {
    let differs = if same_account { "amount or currency" } else { "account" };
    let detail = format!(
        "the provider's payment {} has another {differs} than was asked for: not taken as paid",
        snapshot.external_id
    );
    let same_currency = snapshot.amount.filter(|amount| amount.currency == payment.amount.currency);
    let case = NewCase {
        external_id: Some(snapshot.external_id.clone()),
        expected: Some(payment.amount),
        actual: same_currency,
        ..NewCase::about(payment, Kind::AmountMismatch, &snapshot.external_id, detail)
    };
    cases::raise(app, conn, payment.project_id, &case).await
}

/// A second attempt of one payment that holds money.
async fn raise_extra(
    app: &App,
    conn: &mut PgConnection,
    payment: &Payment,
    extra: &Attempt,
) -> sqlx::Result<bool> {
    let detail = "the customer paid this payment more than once: this one is to be given back";
    let case = NewCase {
        external_id: Some(extra.external_id.clone()),
        expected: Some(payment.amount),
        ..NewCase::about(payment, Kind::Duplicate, &extra.external_id, detail)
    };
    cases::raise(app, conn, payment.project_id, &case).await
}

/// More than the order costs, by several payments.
pub(crate) async fn raise_overpayment(
    app: &App,
    conn: &mut PgConnection,
    payment: &Payment,
    sum: i64,
) -> sqlx::Result<bool> {
    let detail = "the order's payments come to more than it costs: one is to be given back";
    let actual = Money { minor: sum, currency: payment.amount.currency };
    let case = NewCase {
        expected: Some(payment.order_amount),
        actual: Some(actual),
        ..NewCase::about(payment, Kind::Duplicate, payment.id.to_string(), detail)
    };
    cases::raise(app, conn, payment.project_id, &case).await
}

async fn emit(
    app: &App,
    conn: &mut PgConnection,
    payment: &Payment,
    event_type: &'static str,
    data: Map<String, Value>,
) -> anyhow::Result<()> {
    let emit = Emit { event_type, order_id: Some(payment.order_id.clone()), data };
    let emitted = events::emit(app, conn, payment.project_id, emit).await.map_err(http::Error::into_cause);
    emitted.map(drop).with_context(|| format!("{event_type} was not stored"))
}

/// Writes a line of the timeline.
pub(crate) async fn note(
    app: &App,
    conn: &mut PgConnection,
    payment: &Payment,
    kind: &str,
    outcome: &str,
) -> sqlx::Result<()> {
    let now = app.clock.now();
    let entry = TimelineEntry {
        at: now,
        kind: kind.to_owned(),
        outcome: outcome.to_owned(),
        status: None,
        detail: None,
        provider_request_id: None,
        duration_ms: None,
    };
    store::insert_entry(conn, payment, app.ids.uuid(now), &entry).await
}

/// Something that a person must look at.
fn alert(payment: &Payment, kind: &'static str, message: &'static str) {
    metrics::counter!("trastienda_payment_alerts_total", "kind" => kind).increment(1);
    tracing::error!(project.id = %payment.project_id, payment.id = %payment.id, alert = kind, "{message}");
}

/// When it happened, for entries that were made before the transaction.
pub(crate) fn call_entry(
    at: DateTime<Utc>,
    outcome: String,
    request_id: Option<String>,
    duration_ms: i32,
) -> TimelineEntry {
    TimelineEntry {
        at,
        kind: "call".to_owned(),
        outcome,
        status: None,
        detail: None,
        provider_request_id: request_id,
        duration_ms: Some(duration_ms),
    }
}
