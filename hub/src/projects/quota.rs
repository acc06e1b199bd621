//! Daily quotas: counted in the transaction of what they count.

use chrono::{DateTime, Days, NaiveTime, Utc};
use sqlx::PgConnection;

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
    let used = store::add_usage(conn, context.project.id, service, now.date_naive(), 1).await?;
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

/// Counts several uses at once; false if that is more than the quota: then the transaction must not commit.
pub async fn has_room(
    conn: &mut PgConnection,
    context: &ProjectContext,
    service: Service,
    now: DateTime<Utc>,
    count: i64,
) -> sqlx::Result<bool> {
    let used = store::add_usage(conn, context.project.id, service, now.date_naive(), count).await?;
    Ok(used <= i64::from(service.quota(&context.limits)))
}
