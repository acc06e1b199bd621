//! SQL of retention.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId, lower_bound};
use uuid::Uuid;

/// Takes the lock for as long as the transaction lasts, unless another has it. The transaction may do nothing for long
/// while others do the work.
pub(super) async fn try_lock(conn: &mut PgConnection, key: i64) -> sqlx::Result<bool> {
    sqlx::raw_sql("set local idle_in_transaction_session_timeout = 0").execute(&mut *conn).await?;
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "taken!""#, key).fetch_one(conn).await
}

/// Gives up what disabled endpoints have held since before a time.
pub(super) async fn fail_held(
    conn: &mut PgConnection,
    project: ProjectId,
    cutoff: DateTime<Utc>,
    now: DateTime<Utc>,
    days: u32,
) -> sqlx::Result<u64> {
    let result = sqlx::query!(
        r#"
        update webhook_deliveries d
        set status = 'failed', finished_at = $3, last_error = $4
        from webhook_endpoints e
        where e.project_id = $1 and e.disabled_at is not null
          and d.endpoint_id = e.id and d.project_id = $1
          and d.status = 'pending' and d.lease_token is null and d.created_at < $2
        "#,
        project.uuid(),
        cutoff,
        now,
        format!("held for {days} days, and the endpoint stayed disabled"),
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected())
}

/// A disabled endpoint that holds old deliveries.
pub(super) struct OldHeld {
    pub(super) endpoint_id: Uuid,
    pub(super) project_name: String,
    pub(super) disabled_at: DateTime<Utc>,
    pub(super) held: i64,
}

pub(super) async fn list_old_held(
    conn: &mut PgConnection,
    project: ProjectId,
    before: DateTime<Utc>,
) -> sqlx::Result<Vec<OldHeld>> {
    sqlx::query_as!(
        OldHeld,
        r#"
        select e.id as endpoint_id, p.name as project_name, e.disabled_at as "disabled_at!", count(*) as "held!"
        from webhook_endpoints e
        join projects p on p.id = e.project_id
        join webhook_deliveries d on d.endpoint_id = e.id and d.project_id = e.project_id
        where e.project_id = $1 and e.disabled_at is not null and d.status = 'pending' and d.lease_token is null
          and d.created_at < $2
        group by e.id, p.name, e.disabled_at
        order by e.id
        "#,
        project.uuid(),
        before,
    )
    .fetch_all(conn)
    .await
}

/// Up to when the project's payloads are empty.
pub(super) async fn find_blanked_until(
    conn: &mut PgConnection,
    project: ProjectId,
) -> sqlx::Result<DateTime<Utc>> {
    let until =
        sqlx::query_scalar!("select until from project_blanking where project_id = $1", project.uuid())
            .fetch_optional(conn)
            .await?;
    Ok(until.unwrap_or(DateTime::UNIX_EPOCH))
}

/// Remembers up to when they are: no further than the oldest that had to keep its payload.
pub(super) async fn set_blanked_until(
    conn: &mut PgConnection,
    project: ProjectId,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into project_blanking (project_id, until)
        select $1, least($2, (
            select min(v.created_at)
            from webhook_deliveries d
            join events v on v.project_id = d.project_id and v.id = d.event_id
            where d.project_id = $1 and d.status = 'pending' and d.id >= $3 and d.id < $4
        ))
        on conflict (project_id) do update set until = excluded.until
        "#,
        project.uuid(),
        until,
        lower_bound(from),
        lower_bound(until),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Empties the data of the next events of a range, unless it is still to be delivered. Gives back their times.
pub(super) async fn blank_events(
    conn: &mut PgConnection,
    project: ProjectId,
    range: (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    sqlx::query_scalar!(
        r#"
        update events
        set data = '{}', problem = case when problem is null then null else jsonb_build_object('code', problem -> 'code') end,
            blanked_at = $4
        where project_id = $1 and id in (
            select v.id
            from events v
            where v.project_id = $1 and v.created_at >= $2 and v.created_at < $3 and v.blanked_at is null
              and not exists (
                  select from webhook_deliveries d
                  where d.project_id = $1 and d.event_id = v.id and d.status = 'pending'
              )
            order by v.created_at
            limit $5
        )
        returning created_at
        "#,
        project.uuid(),
        range.0,
        range.1,
        now,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Empties the excerpts of replies. Their ids carry their times.
pub(super) async fn blank_replies(
    conn: &mut PgConnection,
    project: ProjectId,
    range: (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update webhook_logs
        set response_excerpt = null
        where project_id = $1 and id >= $2 and id < $3 and response_excerpt is not null
        "#,
        project.uuid(),
        lower_bound(range.0),
        lower_bound(range.1),
    )
    .execute(conn)
    .await?;
    Ok(())
}
