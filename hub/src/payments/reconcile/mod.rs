//! Comparing the books: what the provider took and gave back, what is kept here, and what the shop reported.
//!
//! What the hub only missed (a notice that never came) it takes in, and says so; what it cannot decide becomes a case
//! ([`super::cases`]). Payments of other programs on the same account have other references and are ignored.
//!
//! - [`books`] reads the provider's side, in windows; [`orders`] the shop's.
//! - Once a day and account: whoever holds the row's lease compares, the other hubs do not. On demand:
//!   `trastienda-hub payments reconcile`. Twice does no harm: the same difference is raised once.

mod books;
mod orders;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::cases::Kind;
use super::provider::{self, Provider};
use super::store::{self, BooksDone, ClaimedBooks};
use crate::app::App;

/// How often it is looked whether books are due.
const LOOK: Duration = Duration::from_secs(2);
/// How often an account's books are compared.
const EVERY: TimeDelta = TimeDelta::days(1);
/// When they are compared again after the provider could not be asked.
const AGAIN: TimeDelta = TimeDelta::minutes(15);
/// How much of what was compared before is compared again: searches lag, clocks differ.
const OVERLAP: TimeDelta = TimeDelta::hours(6);
/// How far the provider's clock may be ahead of ours.
const AHEAD: TimeDelta = TimeDelta::minutes(10);
/// How long one window may take.
const LEASE: TimeDelta = TimeDelta::minutes(10);

/// What a comparing found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Payments of the provider that are ours.
    pub checked: u64,
    /// Payments of the provider that are not.
    pub ignored: u64,
    /// Payments whose state had not been heard of.
    pub caught_up: u64,
    /// Cases raised, by kind.
    pub raised: BTreeMap<&'static str, u64>,
}

impl Report {
    /// How many cases were raised.
    pub fn raised_total(&self) -> u64 {
        self.raised.values().sum()
    }

    fn raise(&mut self, kind: Kind, is_new: bool) {
        self.raise_many(kind, u32::from(is_new));
    }

    fn raise_many(&mut self, kind: Kind, new: u32) {
        if new > 0 {
            *self.raised.entry(kind.as_str()).or_default() += u64::from(new);
        }
    }
}

/// One comparing: whose books, and of which time.
struct Comparing<'a> {
    app: &'a App,
    project: ProjectId,
    provider: &'static dyn Provider,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// The lease to keep, when there is one.
    lease: Option<&'a ClaimedBooks>,
}

/// Compares a project's books since a time, with every provider that it has an account at.
///
/// # Errors
/// The provider or the database did not answer; what was raised before stays.
pub async fn run(app: &App, project: ProjectId, since: DateTime<Utc>) -> anyhow::Result<Report> {
    let accounts = store::list_providers(&mut *app.db.acquire().await?, project).await?;
    anyhow::ensure!(!accounts.is_empty(), "the project has no credentials at any provider");
    let to = app.clock.now() + AHEAD;
    let mut report = Report::default();
    for account in accounts {
        let Some(provider) = provider::find(&account.provider) else { continue };
        let comparing = Comparing { app, project, provider, from: since, to, lease: None };
        comparing.run(&mut report).await?;
    }
    Ok(report)
}

/// Compares whatever is due, until the program is to stop.
pub(super) async fn start(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = app.shutdown.token.cancelled() => return,
        }
        let compared = tokio::select! {
            compared = look(&app) => compared,
            // What was found is written; the rest is found by the next comparing.
            () = app.shutdown.token.cancelled() => return,
        };
        if let Err(error) = compared {
            tracing::error!(error = format!("{error:#}"), "the books could not be looked at");
        }
    }
}

async fn look(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    store::ensure_books(&app.db, now + EVERY).await?;
    let token = app.ids.uuid(now);
    let Some(books) = store::claim_books(&app.db, token, now, now + LEASE).await? else { return Ok(()) };
    let from = books.read_until.unwrap_or(now - EVERY) - OVERLAP;
    let mut report = Report::default();
    let result = match provider::find(&books.provider) {
        Some(provider) => {
            let project = ProjectId::from_uuid(books.project_id);
            let comparing = Comparing { app, project, provider, from, to: now + AHEAD, lease: Some(&books) };
            comparing.run(&mut report).await
        }
        None => Ok(()),
    };
    let failure = result.as_ref().err().map(|error| format!("{error:#}"));
    if let Some(error) = &failure {
        tracing::warn!(project.id = %ProjectId::from_uuid(books.project_id), error, "the books were not compared to their end");
    } else {
        let (checked, raised) = (report.checked, report.raised_total());
        tracing::info!(project.id = %ProjectId::from_uuid(books.project_id), checked, raised, "the books were compared");
    }
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let done = BooksDone {
        run_at: now + if failure.is_none() { EVERY } else { AGAIN },
        read_until: failure.is_none().then_some(now),
        checked: count(report.checked),
        raised: count(report.raised_total()),
        failure: failure.as_deref(),
    };
    store::finish_books(&app.db, &books, &done, app.clock.now()).await?;
    Ok(())
}
