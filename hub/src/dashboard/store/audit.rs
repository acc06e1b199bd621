//! SQL of the audit log.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};
use uuid::Uuid;

use crate::dashboard::audit::Entry;

/// An entry.
#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) id: i64,
    pub(crate) operator: String,
    pub(crate) action: String,
    pub(crate) project_id: Option<Uuid>,
    pub(crate) project_name: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) outcome: String,
    pub(crate) address: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
}

pub(crate) async fn insert_audit(
    conn: &mut PgConnection,
    operator: &str,
    entry: &Entry<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        insert into audit_log (operator, action, project_id, subject, outcome, address, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        returning id
        "#,
        operator,
        entry.action,
        entry.project.map(ProjectId::uuid),
        entry.subject,
        entry.outcome,
        entry.address,
        now,
    )
    .fetch_one(conn)
    .await
}

/// How it ended.
pub(crate) async fn finish_audit(conn: &mut PgConnection, id: i64, outcome: &str) -> sqlx::Result<()> {
    sqlx::query!("update audit_log set outcome = $2 where id = $1", id, outcome).execute(conn).await?;
    Ok(())
}

pub(crate) async fn list_audit(
    conn: &mut PgConnection,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as!(
        AuditRow,
        r#"
        select a.id, a.operator, a.action, a.project_id, p.name as "project_name?", a.subject, a.outcome, a.address,
               a.created_at
        from audit_log a
        left join projects p on p.id = a.project_id
        where a.id < $1
        order by a.id desc
        limit $2
        "#,
        before,
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn list_audit_of(
    conn: &mut PgConnection,
    project: Uuid,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as!(
        AuditRow,
        r#"
        select id, operator, action, project_id, null::text as project_name, subject, outcome, address, created_at
        from audit_log
        where project_id = $1 and id < $2
        order by id desc
        limit $3
        "#,
        project,
        before,
        limit,
    )
    .fetch_all(conn)
    .await
}
