//! SQL of replays and statistics.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{EndpointId, Id as _, ProjectId, lower_bound};

use crate::webhooks::recovery::{Replay, WindowStats};

/// A delivery's id is made a moment after its event's time; no longer than this.
pub(super) const ID_LATE: TimeDelta = TimeDelta::minutes(1);

/// How many deliveries a replay would send.
pub(crate) async fn count_replay(
    conn: &mut PgConnection,
    project: ProjectId,
    endpoint: EndpointId,
    replay: &Replay,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from webhook_deliveries d
        where project_id = $1
          and endpoint_id = $2
          and created_at >= $3 and created_at < $4
          and id >= $7 and id < $8
          and ($5::text is null or event_type = $5)
          and (status = 'failed' or (status = 'sent' and not $6))
          -- What has no payload any more cannot go again.
          and exists (
              select from events v
              where v.project_id = d.project_id and v.id = d.event_id and v.blanked_at is null
          )
        "#,
        project.uuid(),
        endpoint.uuid(),
        replay.since,
        replay.until,
        replay.event_type,
        replay.only_failed,
        lower_bound(replay.since),
        lower_bound(replay.until + ID_LATE),
    )
    .fetch_one(conn)
    .await
}

/// Makes the deliveries pending again, all at once.
pub(crate) async fn mark_replayed(
    conn: &mut PgConnection,
    project: ProjectId,
    endpoint: EndpointId,
    replay: &Replay,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let result = sqlx::query!(
        r#"
        update webhook_deliveries d
        set status = 'pending', attempts = 0, finished_at = null, is_replay = true, replay_rate = null, run_at = $9
        where project_id = $1
          and endpoint_id = $2
          and created_at >= $3 and created_at < $4
          and id >= $7 and id < $8
          and ($5::text is null or event_type = $5)
          and (status = 'failed' or (status = 'sent' and not $6))
          and exists (
              select from events v
              where v.project_id = d.project_id and v.id = d.event_id and v.blanked_at is null
          )
        "#,
        project.uuid(),
        endpoint.uuid(),
        replay.since,
        replay.until,
        replay.event_type,
        replay.only_failed,
        lower_bound(replay.since),
        lower_bound(replay.until + ID_LATE),
        now,
    )
    .execute(conn)
    .await?;
    Ok(i64::try_from(result.rows_affected()).unwrap_or(i64::MAX))
}

/// Deliveries that wait, and since when the oldest has.
pub(crate) async fn get_backlog(
    conn: &mut PgConnection,
    project: ProjectId,
    endpoint: EndpointId,
) -> sqlx::Result<(i64, Option<DateTime<Utc>>)> {
    let row = sqlx::query!(
        r#"
        select count(*) as "count!", min(created_at) as oldest
        from webhook_deliveries
        where project_id = $1 and endpoint_id = $2 and status = 'pending'
        "#,
        project.uuid(),
        endpoint.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok((row.count, row.oldest))
}

/// The endpoint's attempts in a window that ends now.
pub(crate) async fn get_window_stats(
    conn: &mut PgConnection,
    project: ProjectId,
    endpoint: EndpointId,
    (now, length): (DateTime<Utc>, TimeDelta),
) -> anyhow::Result<WindowStats> {
    let row = sqlx::query!(
        r#"
        with attempts as (
            select status, duration_ms, error_class
            from webhook_logs
            where project_id = $1 and endpoint_id = $2 and created_at >= $3
        )
        select count(*) filter (where status = 'sent') as "sent!",
               count(*) filter (where status = 'failed') as "failed!",
               percentile_cont(0.5) within group (order by duration_ms) as p50_ms,
               percentile_cont(0.95) within group (order by duration_ms) as p95_ms,
               percentile_cont(0.99) within group (order by duration_ms) as p99_ms,
               (
                   select jsonb_object_agg(error_class, count)
                   from (select error_class, count(*) from attempts where error_class is not null group by error_class) e
               ) as errors
        from attempts
        "#,
        project.uuid(),
        endpoint.uuid(),
        now - length,
    )
    .fetch_one(conn)
    .await?;
    let attempts = row.sent + row.failed;
    // Far fewer attempts than 2^32: the conversions lose nothing.
    let float = |count: i64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    Ok(WindowStats {
        attempts,
        sent: row.sent,
        failed: row.failed,
        success_rate: (attempts > 0).then(|| float(row.sent) / float(attempts)),
        attempts_per_minute: float(attempts) / float(length.num_minutes().max(1)),
        p50_ms: row.p50_ms,
        p95_ms: row.p95_ms,
        p99_ms: row.p99_ms,
        errors: row.errors.map(serde_json::from_value).transpose()?.unwrap_or_default(),
    })
}
