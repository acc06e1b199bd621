//! SQL of the timeline.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use uuid::Uuid;

use crate::payments::model::{Payment, TimelineEntry};

/// Writes what happened.
pub(crate) async fn insert_entry(
    conn: &mut PgConnection,
    payment: &Payment,
    id: Uuid,
    entry: &TimelineEntry,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into payment_timeline (project_id, id, payment_id, kind, outcome, status, detail, provider_request_id,
                                      duration_ms, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        "#,
        payment.project_id.uuid(),
        id,
        payment.id.uuid(),
        entry.kind,
        entry.outcome,
        entry.status,
        entry.detail,
        entry.provider_request_id,
        entry.duration_ms,
        entry.at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct EntryRow {
    at: DateTime<Utc>,
    kind: String,
    outcome: String,
    status: Option<String>,
    detail: Option<String>,
    provider_request_id: Option<String>,
    duration_ms: Option<i32>,
}

/// What happened, oldest first. Of a very long story, the end.
pub(crate) async fn list_entries(
    conn: &mut PgConnection,
    project: ProjectId,
    id: PaymentId,
) -> sqlx::Result<Vec<TimelineEntry>> {
    let mut rows = sqlx::query_as!(
        EntryRow,
        r#"
        select created_at as at, kind, outcome, status, detail, provider_request_id, duration_ms
        from payment_timeline
        where project_id = $1 and payment_id = $2
        order by sequence desc
        limit 500
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    rows.reverse();
    let entry = |row: EntryRow| TimelineEntry {
        at: row.at,
        kind: row.kind,
        outcome: row.outcome,
        status: row.status,
        detail: row.detail,
        provider_request_id: row.provider_request_id,
        duration_ms: row.duration_ms,
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// Whether the timeline says so already.
pub(crate) async fn has_entry(
    conn: &mut PgConnection,
    payment: &Payment,
    outcome: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from payment_timeline where project_id = $1 and payment_id = $2 and outcome = $3
        ) as "exists!"
        "#,
        payment.project_id.uuid(),
        payment.id.uuid(),
        outcome,
    )
    .fetch_one(conn)
    .await
}
