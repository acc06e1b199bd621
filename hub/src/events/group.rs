//! One transaction for many events.
//!
//! The common case is written set by set: keys, orders paid, events, deliveries, use. An event that is not new, or
//! that a quota refuses, shows in what a statement did not write; then the transaction is rolled back, the others
//! are written without it, and it is written alone, where each such case is decided. Both take their locks in the
//! same order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::gather::OverQuota;
use super::ingest::{self, Ingest, ORDER_PAID};
use super::model::{Event, Source};
use super::{Followed, catalogue, store};
use crate::app::App;
use crate::db::kept::Transaction;
use crate::http::{Error, Result, idempotency};
use crate::projects::model::{ProjectContext, Service};
use crate::projects::quota;

/// An event that is ready to be written.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) context: Arc<ProjectContext>,
    pub(super) event: Event,
    pub(super) fingerprint: [u8; 32],
    pub(super) idempotency_key: Option<String>,
    pub(super) acknowledged: bool,
}

impl Prepared {
    /// Checks the id, or makes one.
    pub(super) fn new(app: &App, context: Arc<ProjectContext>, ingest: Ingest) -> Result<Self> {
        let now = app.clock.now();
        let id = match ingest.event.id {
            Some(id) => ingest::check_id(id, now, context.limits.retention_days)?,
            None => app.new_id(),
        };
        let order_id = ingest.event.order_id().map(str::to_owned);
        let event = Event {
            id,
            project_id: context.project.id,
            event_type: ingest.event.event_type,
            source: Source::Shop,
            status: "accepted",
            order_id,
            data: ingest.event.data,
            occurred_at: ingest.event.occurred_at,
            created_at: now,
            duplicate_of: None,
            problem: None,
            schema_errors: catalogue::to_json(&ingest.schema_errors),
            blanked_at: None,
        };
        Ok(Self {
            context,
            event,
            fingerprint: ingest.fingerprint,
            idempotency_key: ingest.idempotency_key,
            acknowledged: ingest.acknowledged,
        })
    }

    pub(super) fn claim(&self) -> Option<idempotency::Claim<'_>> {
        self.idempotency_key.as_deref().map(|key| idempotency::Claim {
            project: self.event.project_id,
            key,
            fingerprint: &self.fingerprint,
            kind: "event",
            resource: self.event.id.uuid(),
            lease_until: None,
        })
    }

    /// The order whose one `order.paid` this is, if it is the first.
    pub(super) fn paid_order(&self) -> Option<&str> {
        self.event.order_id.as_deref().filter(|_| self.event.event_type == ORDER_PAID)
    }

    pub(super) fn day(&self) -> NaiveDate {
        self.event.created_at.date_naive()
    }
}

/// A group's transaction, all but its commit.
pub(super) struct Written {
    tx: Transaction,
    followed: Vec<Box<dyn Followed>>,
}

impl Written {
    /// Ends it, and tells those who follow.
    pub(super) async fn commit(self, app: &App) -> sqlx::Result<()> {
        self.tx.commit().await?;
        for it in self.followed {
            it.committed(app);
        }
        Ok(())
    }

    /// Ends it as if it had never been.
    pub(super) async fn undo(self) {
        if let Err(error) = self.tx.rollback().await {
            // Its connection is closed, and the server undoes it.
            tracing::debug!(%error, "a group's transaction was not rolled back");
        }
    }
}

/// What became of a group.
pub(super) enum Outcome {
    /// All of it is written, and nothing committed.
    Written(Written),
    /// Nothing was written: the events at these places are not new, or past a quota.
    Refused(HashSet<usize>),
}

/// Writes events set by set.
pub(super) async fn write_together(
    app: &App,
    group: &[&Prepared],
    over: &mut OverQuota,
) -> anyhow::Result<Outcome> {
    let mut tx = app.kept.begin().await?;
    let claims: Vec<_> = group.iter().enumerate().filter_map(|(i, it)| Some((i, it.claim()?))).collect();
    let paid: Vec<_> = group.iter().enumerate().filter(|(_, it)| it.paid_order().is_some()).collect();
    let mut refused = HashSet::new();
    if !claims.is_empty() {
        let list: Vec<_> = claims.iter().map(|(_, claim)| *claim).collect();
        let taken = idempotency::claim_new(&mut tx, &list, app.clock.now()).await?;
        refused.extend(
            claims
                .iter()
                .filter(|(_, it)| !taken.contains(&(it.project, it.key.to_owned())))
                .map(|(i, _)| *i),
        );
    }
    if !paid.is_empty() {
        let list: Vec<&Event> = paid.iter().map(|(_, it)| &it.event).collect();
        let first = store::insert_paid_orders(&mut tx, &list).await?;
        refused.extend(paid.iter().filter(|(_, it)| !first.contains(&it.event.id)).map(|(i, _)| *i));
    }
    let rows: Vec<_> = group.iter().map(|it| (&it.event, &it.fingerprint)).collect();
    let inserted = store::insert_events(&mut tx, &rows).await?;
    if inserted.len() < group.len() {
        let missing = group
            .iter()
            .enumerate()
            .filter(|(_, it)| !inserted.contains(&(it.event.project_id, it.event.id)));
        refused.extend(missing.map(|(i, _)| i));
    }
    if !refused.is_empty() {
        tx.rollback().await?;
        return Ok(Outcome::Refused(refused));
    }
    let events: Vec<&Event> = group.iter().map(|it| &it.event).collect();
    for event in &events {
        catalogue::flag(&mut tx, event).await?;
    }
    let mut followed = Vec::new();
    for subscriber in &app.subscribers {
        followed.push(subscriber.on_events(app, &mut tx, &events, true).await.map_err(Error::into_cause)?);
    }
    // Last: other hubs' transactions wait for this row.
    let over_now = take_quotas(&mut tx, group, over).await?;
    if !over_now.is_empty() {
        tx.rollback().await?;
        return Ok(Outcome::Refused(over_now));
    }
    Ok(Outcome::Written(Written { tx, followed }))
}

/// Counts each project's use; gives the places of the direct calls that are past a quota.
async fn take_quotas(
    conn: &mut sqlx::PgConnection,
    group: &[&Prepared],
    over: &mut OverQuota,
) -> anyhow::Result<HashSet<usize>> {
    let mut uses: HashMap<(ProjectId, NaiveDate), (i64, &Prepared)> = HashMap::new();
    for it in group {
        uses.entry((it.event.project_id, it.day())).or_insert((0, it)).0 += 1;
    }
    let amounts: Vec<_> =
        uses.iter().map(|((project, day), (amount, _))| (*project, *day, *amount)).collect();
    let used = quota::add(conn, Service::Events, &amounts).await?;
    let mut refused = HashSet::new();
    for ((project, day), (_, first)) in uses {
        let used = used.get(&(project, day)).copied().unwrap_or_default();
        if quota::check(&first.context, Service::Events, used, first.event.created_at, false).is_ok() {
            continue;
        }
        let direct =
            group.iter().enumerate().filter(|(_, it)| it.event.project_id == project && !it.acknowledged);
        let direct: Vec<usize> = direct.map(|(place, _)| place).collect();
        if direct.is_empty() {
            // Only what an agent acknowledged: taken, counted and told.
            quota::check(&first.context, Service::Events, used, first.event.created_at, true)
                .map_err(Error::into_cause)?;
        } else {
            over.insert(day, project);
            refused.extend(direct);
        }
    }
    Ok(refused)
}

pub(super) fn count(event: &Event) {
    let outcome = if event.duplicate_of.is_some() { "duplicate" } else { "accepted" };
    metrics::counter!("trastienda_events_total", "source" => event.source.as_str(), "outcome" => outcome)
        .increment(1);
}
