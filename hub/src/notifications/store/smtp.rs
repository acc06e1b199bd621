//! SQL of a project's SMTP accounts and of the senders that the operator lets it use.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{Id as _, ProjectId};
use uuid::Uuid;

/// An account's row.
#[derive(Debug, Clone)]
pub(crate) struct AccountRow {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) security: String,
    pub(crate) username: Option<String>,
    pub(crate) sealed_password: Option<Vec<u8>>,
    pub(crate) sender: Option<String>,
    pub(crate) position: i32,
    pub(crate) is_enabled: bool,
    pub(crate) failures: i32,
    pub(crate) last_error: Option<String>,
    pub(crate) failed_at: Option<DateTime<Utc>>,
    pub(crate) worked_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A project's accounts in the order in which they are tried.
pub(crate) async fn list_accounts(conn: &mut PgConnection, project: Uuid) -> sqlx::Result<Vec<AccountRow>> {
    sqlx::query_as!(
        AccountRow,
        r#"
        select project_id, id, name, host, port, security, username, sealed_password, sender, position, is_enabled, failures,
               last_error, failed_at, worked_at, created_at, updated_at
        from smtp_accounts
        where project_id = $1
        order by position, id
        "#,
        project,
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn find_account(
    conn: &mut PgConnection,
    project: ProjectId,
    id: Uuid,
) -> sqlx::Result<Option<AccountRow>> {
    sqlx::query_as!(
        AccountRow,
        r#"
        select project_id, id, name, host, port, security, username, sealed_password, sender, position, is_enabled, failures,
               last_error, failed_at, worked_at, created_at, updated_at
        from smtp_accounts
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id,
    )
    .fetch_optional(conn)
    .await
}

/// Whether any project has an account that is used.
pub(crate) async fn exists_enabled_account(db: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from smtp_accounts where is_enabled) as "exists!""#)
        .fetch_one(db)
        .await
}

pub(crate) async fn has_enabled_account(conn: &mut PgConnection, project: ProjectId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from smtp_accounts where project_id = $1 and is_enabled) as "exists!""#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await
}

/// Writes an account, new or changed. Its history of failures starts anew.
pub(crate) async fn put_account(conn: &mut PgConnection, row: &AccountRow) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into smtp_accounts (project_id, id, name, host, port, security, username, sealed_password, sender, position,
                                   is_enabled, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict (project_id, id) do update
        set name = excluded.name, host = excluded.host, port = excluded.port, security = excluded.security,
            username = excluded.username, sealed_password = excluded.sealed_password, sender = excluded.sender,
            position = excluded.position, is_enabled = excluded.is_enabled, updated_at = excluded.updated_at,
            failures = 0, last_error = null, failed_at = null
        "#,
        row.project_id,
        row.id,
        row.name,
        row.host,
        row.port,
        row.security,
        row.username,
        row.sealed_password,
        row.sender,
        row.position,
        row.is_enabled,
        row.created_at,
        row.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn delete_account(
    conn: &mut PgConnection,
    project: ProjectId,
    id: Uuid,
) -> sqlx::Result<bool> {
    let result =
        sqlx::query!("delete from smtp_accounts where project_id = $1 and id = $2", project.uuid(), id)
            .execute(conn)
            .await?;
    Ok(result.rows_affected() == 1)
}

/// How an account's server was.
#[derive(Debug, Default)]
pub(crate) struct AccountNote {
    pub(crate) has_worked: bool,
    /// Failures in a row, since it last worked.
    pub(crate) failures: i32,
    pub(crate) error: Option<String>,
}

/// Notes how an account's server was.
pub(crate) async fn note_account(
    conn: &mut PgConnection,
    key: (Uuid, Uuid),
    note: &AccountNote,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update smtp_accounts
        set failures = case when $3::boolean then $4::integer else failures + $4::integer end,
            last_error = coalesce($5, last_error),
            failed_at = case when $4::integer > 0 then $6::timestamptz else failed_at end,
            worked_at = case when $3::boolean then $6::timestamptz else worked_at end
        where project_id = $1 and id = $2
          -- A good account is noted once a minute, not with every mail.
          and ($4::integer > 0 or failures > 0 or worked_at is null or worked_at < $6::timestamptz - interval '1 minute')
        "#,
        key.0,
        key.1,
        note.has_worked,
        note.failures,
        note.error,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the operator lets a project write as, beside its own domain.
pub(crate) async fn list_senders(conn: &mut PgConnection, project: Uuid) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select sender from mail_senders where project_id = $1 order by sender", project)
        .fetch_all(conn)
        .await
}

pub(crate) async fn replace_senders(
    conn: &mut PgConnection,
    project: ProjectId,
    senders: &[String],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("delete from mail_senders where project_id = $1", project.uuid())
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into mail_senders (project_id, sender, created_at) select $1, unnest($2::text[]), $3",
        project.uuid(),
        senders,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
