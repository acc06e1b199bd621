//! Leases of jobs that nobody runs any more, and who says so.
//!
//! - A lease whose time is over is void, and so are a hub's when its lock is gone and it does not come back at once: the
//!   other hubs cannot know more of it.
//! - The hub itself does ([`super::in_hand`]). What it has in hand stays its own when its connection breaks, when the
//!   database is away for longer than a lease, or when the clock jumps: under its new number it takes on what it leased
//!   under the old ones, and never takes back what it is sending at that moment or has sent and not written yet.
//! - What it leased without ever learning that it did, it takes back at once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::LEASE;
use super::in_hand::Claim;
use super::members::{self, Running};
use crate::app::App;

/// The tables whose rows are jobs, all with `lease_token`, `lease_hub` and `lease_until`.
const JOB_TABLES: [&str; 8] = [
    "webhook_deliveries",
    "webhook_replays",
    "notifications",
    "payment_transactions",
    "payment_notices",
    "payment_providers",
    "operator_mails",
    "alert_webhooks",
];

const RELEASED: &str = "set lease_token = null, lease_hub = null, lease_until = null";
/// So long before its time is over, a lease of what is in hand gets more.
const RENEWED: TimeDelta = TimeDelta::seconds(10);

/// Leases of one table, by what becomes of them.
#[derive(Debug, Default)]
struct Sorted {
    /// Their time is over, or their hub gone.
    void: Vec<Uuid>,
    /// This hub's, and nothing is in hand.
    unstarted: Vec<Uuid>,
    /// This hub's and in hand, under an old number or not for much longer.
    kept: Vec<Uuid>,
}

/// Takes back leases that are void; gives the hubs that run.
pub async fn release_void(app: &App) -> sqlx::Result<Vec<Running>> {
    // Who holds leases is asked before who is alive: a hub that joins in between holds none of those, and a number that
    // is gone never comes back. What is in hand is asked last: nothing in the database was not in hand before.
    let leases = list(&app.db).await?;
    let alive = members::list_alive(&app.db).await?;
    let heard = members::list_heard(&app.db).await?;
    let mut holders: Vec<i32> = leases.iter().map(|lease| lease.hub).collect();
    holders.sort_unstable();
    holders.dedup();
    let gone = app.member.gone(&holders, &alive, &heard);
    let sorted = sort(app, &leases, &alive, &gone);
    let (mut released, mut given_back) = (0, 0);
    for (table, Sorted { void, unstarted, kept }) in JOB_TABLES.iter().zip(sorted) {
        released += release(&app.db, table, &void).await?;
        given_back += release(&app.db, table, &unstarted).await?;
        keep(app, table, &kept).await?;
    }
    if released > 0 {
        metrics::counter!("trastienda_leases_released_total").increment(released);
        tracing::warn!(
            released,
            "took back the leases of jobs whose hub died or hung; what was in flight may repeat"
        );
    }
    if given_back > 0 {
        tracing::info!(
            given_back,
            "took back leases that the database had written without its answer arriving; nothing was sent under them"
        );
    }
    if released + given_back > 0 {
        app.wakes.wake_all();
    }
    Ok(alive.into_iter().map(|number| Running { number, is_heard: heard.contains(&number) }).collect())
}

/// The leases of each of [`JOB_TABLES`].
fn sort(app: &App, leases: &[Leased], alive: &[i32], gone: &[i32]) -> [Sorted; JOB_TABLES.len()] {
    let now = app.clock.now();
    let (number, past) = (app.member.number(), app.member.past_numbers());
    let may_judge = app.member.may_judge(alive, now);
    let time = LEASE.to_std().unwrap_or(Duration::MAX);
    let mut sorted: [Sorted; JOB_TABLES.len()] = Default::default();
    for lease in leases {
        let Some(of_table) = usize::try_from(lease.place).ok().and_then(|place| sorted.get_mut(place)) else {
            continue;
        };
        let is_past = past.contains(&lease.hub);
        if !is_past && number != Some(lease.hub) {
            if may_judge && (lease.until < now || gone.contains(&lease.hub)) {
                of_table.void.push(lease.token);
            }
            continue;
        }
        match app.in_hand.claim_on(lease.token, time) {
            Claim::InHand if is_past || lease.until < now + RENEWED => of_table.kept.push(lease.token),
            Claim::Time if lease.until < now => of_table.void.push(lease.token),
            Claim::InHand | Claim::Time => {}
            Claim::None => of_table.unstarted.push(lease.token),
        }
    }
    sorted
}

/// At the end: gives back what could not be finished, so that others need not wait for the lease.
pub(crate) async fn release_own(app: &App) {
    let numbers: Vec<i32> = app.member.past_numbers().into_iter().chain(app.member.number()).collect();
    for table in JOB_TABLES {
        let query = sqlx::query(AssertSqlSafe(release_own_statement(table))).bind(&numbers);
        if let Err(error) = query.execute(&app.db).await {
            tracing::warn!(%error, "leases were not released; they end by themselves");
        }
    }
}

/// A lease, of one row or many.
#[derive(Debug, sqlx::FromRow)]
struct Leased {
    /// The table's in [`JOB_TABLES`].
    place: i32,
    hub: i32,
    token: Uuid,
    until: DateTime<Utc>,
}

/// All leases there are.
async fn list(db: &PgPool) -> sqlx::Result<Vec<Leased>> {
    sqlx::query_as(AssertSqlSafe(list_statement())).fetch_all(db).await
}

/// Takes leases back; tells how many rows had them.
async fn release(db: &PgPool, table: &str, tokens: &[Uuid]) -> sqlx::Result<u64> {
    if tokens.is_empty() {
        return Ok(0);
    }
    let query = sqlx::query(AssertSqlSafe(release_statement(table))).bind(tokens);
    Ok(query.execute(db).await?.rows_affected())
}

/// Puts this hub's number to leases of its own, and gives them time, so that the others leave them alone.
async fn keep(app: &App, table: &str, tokens: &[Uuid]) -> sqlx::Result<()> {
    let Some(number) = app.member.number().filter(|_| !tokens.is_empty()) else { return Ok(()) };
    let query = sqlx::query(AssertSqlSafe(keep_statement(table))).bind(tokens);
    query.bind(number).bind(app.clock.now() + LEASE).execute(&app.db).await?;
    Ok(())
}

/// Every statement of these and how many parameters it has, for the test that has them explained.
pub fn statements() -> Vec<(String, usize)> {
    let of = |table| {
        [(release_statement(table), 1), (release_own_statement(table), 1), (keep_statement(table), 3)]
    };
    JOB_TABLES.into_iter().flat_map(of).chain([(list_statement(), 0)]).collect()
}

// `lease_token is not null` is what leads to the small index of what is leased.

fn list_statement() -> String {
    let of = |(place, table): (usize, &&str)| {
        format!(
            "select {place} as place, lease_hub as hub, lease_token as token, min(lease_until) as until \
             from {table} where lease_token is not null group by lease_hub, lease_token"
        )
    };
    JOB_TABLES.iter().enumerate().map(of).collect::<Vec<_>>().join(" union all ")
}

fn release_statement(table: &str) -> String {
    format!("update {table} {RELEASED} where lease_token is not null and lease_token = any($1)")
}

fn release_own_statement(table: &str) -> String {
    format!("update {table} {RELEASED} where lease_token is not null and lease_hub = any($1)")
}

fn keep_statement(table: &str) -> String {
    format!(
        "update {table} set lease_hub = $2, lease_until = greatest(lease_until, $3) \
         where lease_token is not null and lease_token = any($1)"
    )
}
