//! Daily quotas: counted in the transaction of what they count.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::ProjectId;

use super::model::{ProjectContext, Service};
use super::store;
use crate::http::{Error, Result};

/// Counts one use of a service. Past the quota a direct call is refused (and its transaction must not commit);
/// what an agent has acknowledged already is taken, counted and told.
pub async fn take(
    conn: &mut PgConnection,
    context: &ProjectContext,
    service: Service,
    now: DateTime<Utc>,
    acknowledged: bool,
) -> Result<()> {
    let day = now.date_naive();
    let used = add(conn, service, &[(context.project.id, day, 1)]).await?;
    check(
        context,
        service,
        used.get(&(context.project.id, day)).copied().unwrap_or_default(),
        now,
        acknowledged,
    )
}

/// Counts uses of a service, and gives what each project has used on each day.
pub async fn add(
    conn: &mut PgConnection,
    service: Service,
    amounts: &[(ProjectId, NaiveDate, i64)],
) -> sqlx::Result<HashMap<(ProjectId, NaiveDate), i64>> {
    store::add_usage(conn, service, amounts).await
}

/// Whether what a project has used is within its quota, as [`take`] says.
pub fn check(
    context: &ProjectContext,
    service: Service,
    used: i64,
    now: DateTime<Utc>,
    acknowledged: bool,
) -> Result<()> {
    let quota = service.quota(&context.limits);
    if used <= i64::from(quota) {
        return Ok(());
    }
    if acknowledged {
        metrics::counter!("trastienda_over_quota_total", "service" => service.as_str()).increment(1);
        tracing::warn!(project.id = %context.project.id, service = service.as_str(), used, quota, "over the daily quota; taken because an agent had acknowledged it");
        return Ok(());
    }
    let midnight = (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN).and_utc();
    Err(Error::TooMany {
        code: "quota_exceeded",
        detail: format!("the project may use {quota} {} a day (UTC)", service.as_str()),
        retry_after: u64::try_from((midnight - now).num_seconds()).unwrap_or(0).max(1),
    })
}
