//! SQL of what agents are behind with.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};

/// Counting stops here: a backlog of millions is not walked through to be shown.
const COUNT_MAX: i64 = 10_000;

/// Deliveries of a project's `agent:///` endpoints that are due and that no agent has, and since when the oldest is due.
/// Those of disabled endpoints and open circuits are held, and not counted.
pub(crate) async fn get_pulled_backlog(
    conn: &mut PgConnection,
    project: ProjectId,
    now: DateTime<Utc>,
) -> sqlx::Result<(i64, Option<DateTime<Utc>>)> {
    let row = sqlx::query!(
        r#"
        select coalesce(sum(w.due), 0)::bigint as "due!", min(w.oldest) as oldest
        from webhook_endpoints e
        cross join lateral (
            select count(*) as due, min(run_at) as oldest
            from (
                select run_at
                from webhook_deliveries
                where endpoint_id = e.id and status = 'pending' and lease_token is null and run_at <= $2
                order by run_at
                limit $3
            ) as first
        ) as w
        where e.project_id = $1 and starts_with(e.url, 'agent:') and e.disabled_at is null and e.open_until is null
        "#,
        project.uuid(),
        now,
        COUNT_MAX,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.due, row.oldest))
}
