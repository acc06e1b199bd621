//! Asking an account what changed, every other minute: one call for all of its payments that wait.
//!
//! Each pending payment is asked about on its own schedule, which for a ticket is hourly. With every notice lost that
//! would be how late a shop hears of it; this hears within minutes, for one call however many wait. It is only how fast
//! the hub learns: what this misses (a search that lags, an hour of absence) the payment's own schedule finds.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use uuid::Uuid;

use super::calls::Calls;
use super::credentials;
use super::lanes::{self, Side};
use super::provider::{self, CallError, Snapshot};
use super::store::{self, ClaimedAccount, NextSweep};
use super::{schedule, settle, waiters};
use crate::app::App;
use crate::events;
use crate::queue::worker::Queue;
use crate::queue::{Lease, is_away};

/// How often an account is asked.
pub(crate) const EVERY: TimeDelta = TimeDelta::minutes(2);
/// How much of what was asked about before is asked about again: searches lag, clocks differ.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);
/// How far back at most: of what is older, each payment's own turn has come.
const BACK_MAX: TimeDelta = TimeDelta::hours(1);
/// How far the provider's clock may be ahead of ours.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// How long one reading may take: well within the lease. What is left is read the next time.
const READ_MAX: Duration = Duration::from_secs(40);
/// The shortest time that is asked about at once.
const SPAN_MIN: TimeDelta = TimeDelta::seconds(2);

/// The queue of accounts.
pub(crate) struct Sweeps(pub(crate) App);

/// An account that was asked.
#[derive(Debug)]
pub(crate) struct Done {
    account: ClaimedAccount,
    /// Whose account it is at the provider.
    owner: Option<String>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// What changed, and up to when that is all.
    Changed { snapshots: Vec<(PaymentId, Snapshot)>, until: DateTime<Utc> },
    /// The provider did not say, and how it failed if it was asked: later.
    Retry(DateTime<Utc>, Option<&'static str>),
}

impl Queue for Sweeps {
    type Job = ClaimedAccount;
    type Done = Done;
    const NAME: &'static str = "payment_sweeps";
    const CONCURRENCY: usize = 8;

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<ClaimedAccount>> {
        Ok(store::claim_accounts(&self.0.db, lease, limit).await?)
    }

    async fn run(&self, account: ClaimedAccount) -> Done {
        let (answer, owner) = match ask(&self.0, &account).await {
            Ok(answered) => answered,
            Err(error) => {
                let project = ProjectId::from_uuid(account.project_id);
                tracing::warn!(project.id = %project, provider = account.provider, error = format!("{error:#}"), "the account was not asked what changed");
                (Answer::Retry(self.0.clock.now() + EVERY, Some("error")), None)
            }
        };
        Done { account, owner, answer }
    }

    async fn finish(&self, done: &[Done]) -> anyhow::Result<()> {
        for done in done {
            write(&self.0, done).await?;
        }
        Ok(())
    }
}

async fn ask(app: &App, account: &ClaimedAccount) -> anyhow::Result<(Answer, Option<String>)> {
    let project = ProjectId::from_uuid(account.project_id);
    let provider = provider::find(&account.provider)
        .with_context(|| format!("payment_providers.provider of {project} is `{}`", account.provider))?;
    let opened = credentials::open(app, &mut *app.db.acquire().await?, project, provider).await?;
    let credentials = opened.context("the account is gone")?;
    let pass = match lanes::enter(app, project, provider.name(), Side::Back, Sweeps::NAME) {
        Ok(pass) => pass,
        Err(at) => return Ok((Answer::Retry(at, None), None)),
    };
    let mut calls = Calls::on(pass);
    let now = app.clock.now();
    let known = account.swept_until.unwrap_or(now);
    let (mut from, end) = (known.max(now - BACK_MAX) - OVERLAP, now + AHEAD);
    let mut width = end - from;
    let (mut snapshots, deadline) = (Vec::new(), Instant::now() + READ_MAX);
    while from < end && Instant::now() < deadline {
        let to = (from + width).min(end);
        let changed = provider.list_changed(&credentials.access, from, to).await;
        match calls.record("sweep", now, changed) {
            Ok(Some(some)) => {
                from = to;
                snapshots.extend(some.into_iter().filter_map(ours));
            }
            // More changed than is read at once.
            Ok(None) if width > SPAN_MIN => width = (width / 2).max(SPAN_MIN),
            Ok(None) => anyhow::bail!("more payments changed at once than can be read"),
            Err(CallError::Busy { retry_after }) => {
                return Ok((Answer::Retry(schedule::after_busy(2, retry_after, now), Some("busy")), None));
            }
            Err(error) => {
                return Ok((Answer::Retry(schedule::after_unknown(2, now), Some(failure(&error))), None));
            }
        }
    }
    let until = from.min(now).max(known);
    Ok((Answer::Changed { snapshots, until }, credentials.account_id))
}

/// One that may be about a payment of ours. What an unknown status means is asked about in the payment's own turn, and
/// told once.
fn ours(snapshot: Snapshot) -> Option<(PaymentId, Snapshot)> {
    let id = PaymentId::parse(snapshot.reference.as_deref()?).ok()?;
    snapshot.state.is_some().then_some((id, snapshot))
}

async fn write(app: &App, done: &Done) -> anyhow::Result<()> {
    let now = app.clock.now();
    let next = match &done.answer {
        Answer::Retry(at, failure) => NextSweep { sweep_at: *at, swept_until: None, failure: *failure },
        Answer::Changed { snapshots, until } => {
            take_in(app, done, snapshots).await?;
            NextSweep { sweep_at: now + EVERY, swept_until: Some(*until), failure: None }
        }
    };
    Ok(store::release_account(&app.db, &done.account, next, now).await?)
}

/// In a word: what the provider said may be long.
fn failure(error: &CallError) -> &'static str {
    match error {
        CallError::Busy { .. } => "busy",
        CallError::NotReached(_) => "not_reached",
        CallError::Unknown(_) => "unknown",
        CallError::Unauthorized { .. } => "unauthorized",
        CallError::Refused { .. } | CallError::NotFound => "refused",
    }
}

/// Takes in what is new of payments that are pending. An error means that the database is away.
async fn take_in(app: &App, done: &Done, snapshots: &[(PaymentId, Snapshot)]) -> anyhow::Result<()> {
    let project = ProjectId::from_uuid(done.account.project_id);
    let seen: Vec<(PaymentId, &Snapshot)> = snapshots.iter().map(|(id, snapshot)| (*id, snapshot)).collect();
    let mut conn = app.db.acquire().await?;
    let news = store::list_news(&mut conn, project, &done.account.provider, &seen).await?;
    drop(conn);
    let news: HashSet<Uuid> = news.into_iter().collect();
    for (id, snapshot) in snapshots.iter().filter(|(id, _)| news.contains(&id.uuid())) {
        match take_in_one(app, project, *id, snapshot, done.owner.as_deref()).await {
            Err(error) if is_away(&error) => return Err(error),
            Err(error) => {
                tracing::error!(payment.id = %id, error = format!("{error:#}"), "what changed was not written");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn take_in_one(
    app: &App,
    project: ProjectId,
    id: PaymentId,
    snapshot: &Snapshot,
    owner: Option<&str>,
) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    let Some(mut payment) = store::lock_payment(&mut tx, project, id, None).await? else { return Ok(()) };
    let moved = settle::take_in(app, &mut tx, &mut payment, snapshot, owner).await?;
    tx.commit().await?;
    if moved.told {
        events::wake(app);
    }
    waiters::wake(id);
    Ok(())
}
