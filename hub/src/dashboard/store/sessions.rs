//! SQL of operators and their sessions.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

pub(crate) async fn insert_session(
    conn: &mut PgConnection,
    digest: &[u8],
    operator: &str,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("delete from dashboard_sessions where expires_at < $1", now).execute(&mut *conn).await?;
    sqlx::query!(
        r#"
        insert into dashboard_sessions (token_digest, operator, created_at, seen_at, expires_at)
        values ($1, $2, $3, $3, $4)
        "#,
        digest,
        operator,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whose session it is, unless it is over or was not used for too long. Its use is noted, at most once a minute.
pub(crate) async fn find_session(
    conn: &mut PgConnection,
    digest: &[u8],
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
) -> sqlx::Result<Option<String>> {
    let row = sqlx::query!(
        r#"
        select operator, seen_at < $2::timestamptz - interval '1 minute' as "is_stale!"
        from dashboard_sessions
        where token_digest = $1 and expires_at > $2 and seen_at > $3
        "#,
        digest,
        now,
        idle_since,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if row.as_ref().is_some_and(|row| row.is_stale) {
        sqlx::query!("update dashboard_sessions set seen_at = $2 where token_digest = $1", digest, now)
            .execute(conn)
            .await?;
    }
    Ok(row.map(|row| row.operator))
}

pub(crate) async fn delete_session(conn: &mut PgConnection, digest: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("delete from dashboard_sessions where token_digest = $1", digest).execute(conn).await?;
    Ok(())
}

pub(crate) async fn delete_sessions(conn: &mut PgConnection, operator: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from dashboard_sessions where operator = $1", operator).execute(conn).await?;
    Ok(())
}

pub(crate) async fn count_sessions(
    conn: &mut PgConnection,
    operator: &str,
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from dashboard_sessions
        where operator = $1 and expires_at > $2 and seen_at > $3
        "#,
        operator,
        now,
        idle_since,
    )
    .fetch_one(conn)
    .await
}

/// Wrong tries since then, from an address and for a name.
pub(crate) async fn count_refused(
    conn: &mut PgConnection,
    address: &str,
    name: &str,
    since: DateTime<Utc>,
) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"
        select (select count(*) from audit_log
                where action = 'session.refused' and address = $1 and created_at > $3) as "by_address!",
               (select count(*) from audit_log
                where action = 'session.refused' and operator = $2 and created_at > $3) as "by_name!"
        "#,
        address,
        name,
        since,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.by_address, row.by_name))
}

pub(crate) async fn find_password(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select password_hash from operators where name = $1", name)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn list_operators(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select name from operators order by name").fetch_all(conn).await
}

pub(crate) async fn upsert_operator(
    conn: &mut PgConnection,
    name: &str,
    password_hash: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into operators (name, password_hash, created_at, updated_at)
        values ($1, $2, $3, $3)
        on conflict (name) do update set password_hash = excluded.password_hash, updated_at = excluded.updated_at
        "#,
        name,
        password_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn delete_operator(conn: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from operators where name = $1", name).execute(conn).await?;
    Ok(())
}
