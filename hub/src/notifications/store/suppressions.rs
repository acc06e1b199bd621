//! SQL of the suppression list. Addresses are kept in lower case.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};

use crate::notifications::suppressions::Suppression;

/// Writes an address, or replaces its reason and end.
pub(crate) async fn put_suppression(
    conn: &mut PgConnection,
    project: ProjectId,
    suppression: &Suppression,
) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(
        r#"
        insert into suppressions (project_id, id, address, reason, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (project_id, address) do update set reason = excluded.reason, expires_at = excluded.expires_at
        returning created_at
        "#,
        project.uuid(),
        suppression.id,
        suppression.address,
        suppression.reason,
        suppression.created_at,
        suppression.expires_at,
    )
    .fetch_one(conn)
    .await
}

pub(crate) async fn delete_suppression(
    conn: &mut PgConnection,
    project: ProjectId,
    address: &str,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "delete from suppressions where project_id = $1 and address = $2",
        project.uuid(),
        address,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// A page of the list: newest first, from a place on.
pub(crate) async fn list_suppressions(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &crate::http::pagination::ListQuery,
) -> sqlx::Result<Vec<Suppression>> {
    sqlx::query_as!(
        Suppression,
        r#"
        select id, address, reason, created_at, expires_at
        from suppressions
        where project_id = $1
          and (created_at, id) < ($2, $3)
          and ($4::timestamptz is null or created_at > $4)
          and ($5::timestamptz is null or created_at < $5)
        order by created_at desc, id desc
        limit $6
        "#,
        project.uuid(),
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await
}

/// Puts an address on the list that a server refused for good, unless it is there for longer.
pub(crate) async fn suppress_refused(
    conn: &mut PgConnection,
    project: uuid::Uuid,
    suppression: &Suppression,
    notification: uuid::Uuid,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into suppressions (project_id, id, address, reason, created_at, expires_at, notification_id)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (project_id, address) do update
        set reason = excluded.reason, expires_at = excluded.expires_at, notification_id = excluded.notification_id
        where suppressions.expires_at < excluded.expires_at
        "#,
        project,
        suppression.id,
        suppression.address,
        suppression.reason,
        suppression.created_at,
        suppression.expires_at,
        notification,
    )
    .execute(conn)
    .await?;
    Ok(())
}
