//! SQL of alerts: what is open, and what was.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Takes the right to look, for as long as the transaction lasts, unless another hub has it.
pub(crate) async fn try_lock(conn: &mut PgConnection, key: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "taken!""#, key).fetch_one(conn).await
}

/// An alert.
#[derive(Debug, Clone)]
pub(crate) struct AlertRow {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) project_id: Option<Uuid>,
    pub(crate) subject: String,
    pub(crate) details: Value,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) cleared_at: Option<DateTime<Utc>>,
    pub(crate) recovered_at: Option<DateTime<Utc>>,
}

/// All that is open, the newest first.
pub(crate) async fn list_open(conn: &mut PgConnection) -> sqlx::Result<Vec<AlertRow>> {
    sqlx::query_as!(
        AlertRow,
        r#"
        select id, kind, project_id, subject, details, opened_at, cleared_at, recovered_at
        from alerts
        where recovered_at is null
        order by opened_at desc, id desc
        "#
    )
    .fetch_all(conn)
    .await
}

/// What is over, the last opened first.
pub(crate) async fn list_over(
    conn: &mut PgConnection,
    before: (DateTime<Utc>, Uuid),
    limit: i64,
) -> sqlx::Result<Vec<AlertRow>> {
    sqlx::query_as!(
        AlertRow,
        r#"
        select id, kind, project_id, subject, details, opened_at, cleared_at, recovered_at
        from alerts
        where recovered_at is not null and (opened_at, id) < ($1, $2)
        order by opened_at desc, id desc
        limit $3
        "#,
        before.0,
        before.1,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Opens an alert; false if it is open already.
pub(crate) async fn insert_alert(conn: &mut PgConnection, row: &AlertRow) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        insert into alerts (id, kind, project_id, subject, details, opened_at, cleared_at, recovered_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict do nothing
        "#,
        row.id,
        row.kind,
        row.project_id,
        row.subject,
        row.details,
        row.opened_at,
        row.cleared_at,
        row.recovered_at,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// It is still seen, or seen again: as it is now.
pub(crate) async fn mark_seen(conn: &mut PgConnection, id: Uuid, details: &Value) -> sqlx::Result<()> {
    sqlx::query!("update alerts set cleared_at = null, details = $2 where id = $1", id, details)
        .execute(conn)
        .await?;
    Ok(())
}

/// It is not seen any more.
pub(crate) async fn mark_cleared(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update alerts set cleared_at = $2 where id = $1 and cleared_at is null", id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// It is over.
pub(crate) async fn mark_recovered(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update alerts
        set recovered_at = $2, cleared_at = coalesce(cleared_at, $2)
        where id = $1 and recovered_at is null
        "#,
        id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}
