//! What is kept for how long. Looked after every hour, by one hub at a time.
//!
//! - **Held deliveries** of disabled endpoints wait for the project's retention (never under 30 days). A week before its
//!   end the operator is told; at its end they fail, which is on record and can be read.
//! - **Payloads** of a project whose retention is shorter than the longest of all are emptied at its own time: the
//!   events' `data` and the excerpts of replies. What is still to be delivered keeps its payload.
//! - **Notifications** lose their address and contents; the row stays ([`crate::notifications::blank`]).
//! - **Partitions** go when they are past the longest retention of all, whole, at the price of one command; never one
//!   that holds something unfinished, or what something unfinished needs ([`crate::db::partitions`]).

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};

use crate::app::App;
use crate::db::partitions;
use crate::operator::{self, Alert};
use crate::{notifications, projects};

/// How long before held deliveries are given up the operator is told.
const NOTICE: TimeDelta = TimeDelta::days(7);
/// The least that any retention can be.
const DAYS_MIN: u32 = 30;
/// Rows that one statement empties.
const SLICE: i64 = 1_000;
/// The advisory lock of whoever is at it.
const LOCK: i64 = 0x7472_6173_7265_7465;

/// Gives up, empties and drops what is over. Another hub that is at it already is left alone.
pub async fn run(app: &App) -> anyhow::Result<()> {
    let mut lock = app.db.begin().await?;
    if !store::try_lock(&mut lock, LOCK).await? {
        return Ok(());
    }
    let now = app.clock.now();
    let projects = projects::list_retentions(&mut lock).await?;
    let longest = projects.iter().map(|(_, days)| *days).max().unwrap_or(DAYS_MIN).max(DAYS_MIN);
    for (project, days) in projects {
        let cutoff = now - TimeDelta::days(i64::from(days));
        expire_held(app, project, days, cutoff, now).await?;
        notifications::blank::blank(app, project, cutoff).await?;
        if days < longest {
            blank(app, project, cutoff).await?;
        }
    }
    let keep = TimeDelta::days(i64::from(longest)).max(partitions::BEHIND);
    let dropped = partitions::drop_before(&app.db, now - keep).await?;
    if dropped > 0 {
        metrics::counter!("trastienda_partitions_dropped_total").increment(dropped);
        tracing::info!(dropped, days = longest, "partitions past the retention were dropped");
    }
    lock.rollback().await?;
    Ok(())
}

async fn expire_held(
    app: &App,
    project: ProjectId,
    days: u32,
    cutoff: DateTime<Utc>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    let expired = store::fail_held(&mut tx, project, cutoff, now, days).await?;
    if expired > 0 {
        metrics::counter!("trastienda_webhook_held_expired_total").increment(expired);
        tracing::error!(project.id = %project, expired, days,
            "held deliveries were given up: their endpoint stayed disabled for the whole retention");
    }
    for old in store::list_old_held(&mut tx, project, cutoff + NOTICE).await? {
        warn(app, &mut tx, project, days, &old).await?;
    }
    tx.commit().await?;
    operator::wake(app);
    Ok(())
}

async fn warn(
    app: &App,
    conn: &mut PgConnection,
    project: ProjectId,
    days: u32,
    old: &store::OldHeld,
) -> anyhow::Result<()> {
    let endpoint = trastienda_protocol::ids::EndpointId::from_uuid(old.endpoint_id);
    let body = format!(
        "El endpoint {endpoint} del proyecto «{name}» sigue desactivado y retiene {held} entregas con más de {after} días.\n\
         A los {days} días se dan por fallidas. Para entregarlas:  POST /v1/webhook-endpoints/{endpoint}/enable\n\n\
         --\n\
         The endpoint {endpoint} of the project \"{name}\" is still disabled and holds {held} deliveries of more than {after} days.\n\
         After {days} days they fail. To deliver them:  POST /v1/webhook-endpoints/{endpoint}/enable\n",
        name = old.project_name,
        held = old.held,
        after = i64::from(days) - NOTICE.num_days(),
    );
    let alert = Alert {
        kind: "held_expiring",
        key: format!("held:{project}:{endpoint}:{}", old.disabled_at.timestamp_millis()),
        subject: format!("Trastienda: entregas retenidas por vencer en {}", old.project_name),
        body,
    };
    operator::tell(app, conn, alert).await
}

/// Empties a project's payloads up to a time, from where the last run stopped.
async fn blank(app: &App, project: ProjectId, cutoff: DateTime<Utc>) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    let from = store::find_blanked_until(&mut conn, project).await?;
    let (mut blanked, mut at) = (0, from);
    loop {
        let events = store::blank_events(&mut conn, project, (at, cutoff), now, SLICE).await?;
        let Some(last) = events.iter().max() else { break };
        blanked += events.len() as u64;
        at = *last;
    }
    store::blank_replies(&mut conn, project, (from, cutoff)).await?;
    store::set_blanked_until(&mut conn, project, (from, cutoff)).await?;
    if blanked > 0 {
        metrics::counter!("trastienda_payloads_blanked_total").increment(blanked);
        tracing::info!(project.id = %project, blanked, "payloads past the project's retention were emptied");
    }
    Ok(())
}
