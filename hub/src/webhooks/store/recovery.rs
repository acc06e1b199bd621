//! SQL of replays and statistics.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{EndpointId, Id as _, ProjectId};

use crate::webhooks::recovery::{Replay, WindowStats};

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
        from webhook_deliveries
        where project_id = $1
          and endpoint_id = $2
          and created_at >= $3 and created_at < $4
          and ($5::text is null or event_type = $5)
          and (status = 'failed' or (status = 'sent' and not $6))
        "#,
        project.uuid(),
        endpoint.uuid(),
        replay.since,
        replay.until,
        replay.event_type,
        replay.only_failed,
    )
    .fetch_one(conn)
    .await
}

/// Makes the deliveries pending again, spread over time when a rate is given, the oldest first.
pub(crate) async fn mark_replayed(
    conn: &mut PgConnection,
    project: ProjectId,
    endpoint: EndpointId,
    replay: &Replay,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let result = sqlx::query!(
        r#"
        with chosen as (
            select project_id, id, row_number() over (order by created_at, id) - 1 as place
            from webhook_deliveries
            where project_id = $1
              and endpoint_id = $2
              and created_at >= $3 and created_at < $4
              and ($5::text is null or event_type = $5)
              and (status = 'failed' or (status = 'sent' and not $6))
        )
        update webhook_deliveries d
        set status = 'pending', attempts = 0, finished_at = null, is_replay = true,
            run_at = $7::timestamptz + coalesce(make_interval(secs => chosen.place::double precision / $8), interval '0')
        from chosen
        where d.project_id = chosen.project_id and d.id = chosen.id and d.status <> 'pending'
        "#,
        project.uuid(),
        endpoint.uuid(),
        replay.since,
        replay.until,
        replay.event_type,
        replay.only_failed,
        now,
        replay.rate_per_second.map(f64::from),
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

/// The endpoint's attempts since a time.
pub(crate) async fn get_window_stats(
    conn: &mut PgConnection,
    project: ProjectId,
    endpoint: EndpointId,
    since: DateTime<Utc>,
) -> sqlx::Result<WindowStats> {
    sqlx::query_as!(
        WindowStats,
        r#"
        select count(*) filter (where status = 'sent') as "sent!",
               count(*) filter (where status = 'failed') as "failed!",
               percentile_cont(0.5) within group (order by duration_ms) as p50_ms,
               percentile_cont(0.95) within group (order by duration_ms) as p95_ms,
               percentile_cont(0.99) within group (order by duration_ms) as p99_ms
        from webhook_logs
        where project_id = $1 and endpoint_id = $2 and created_at >= $3
        "#,
        project.uuid(),
        endpoint.uuid(),
        since,
    )
    .fetch_one(conn)
    .await
}
