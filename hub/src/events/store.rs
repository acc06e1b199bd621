//! SQL of the events slice.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::ids::{EventId, Id as _, ProjectId};
use uuid::Uuid;

use super::model::{Event, Source};
use crate::http::pagination::ListQuery;

pub(super) struct EventRow {
    project_id: Uuid,
    id: Uuid,
    r#type: String,
    source: String,
    status: String,
    order_id: Option<String>,
    data: Value,
    occurred_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    duplicate_of: Option<Uuid>,
    problem: Option<Value>,
    schema_errors: Option<Value>,
    blanked_at: Option<DateTime<Utc>>,
    fingerprint: Vec<u8>,
}

impl TryFrom<EventRow> for Event {
    type Error = anyhow::Error;

    fn try_from(row: EventRow) -> anyhow::Result<Self> {
        let id = EventId::from_uuid(row.id);
        let Value::Object(data) = row.data else { anyhow::bail!("events.data of {id} is not an object") };
        let source = [Source::Shop, Source::Hub].into_iter().find(|source| source.as_str() == row.source);
        Ok(Self {
            id,
            project_id: ProjectId::from_uuid(row.project_id),
            event_type: row.r#type,
            source: source.with_context(|| format!("events.source of {id} is `{}`", row.source))?,
            status: if row.status == "rejected" { "rejected" } else { "accepted" },
            order_id: row.order_id,
            data,
            occurred_at: row.occurred_at,
            created_at: row.created_at,
            duplicate_of: row.duplicate_of.map(EventId::from_uuid),
            problem: row.problem,
            schema_errors: row.schema_errors,
            blanked_at: row.blanked_at,
        })
    }
}

/// Writes an event; false if its id is taken.
pub(super) async fn insert_event(
    conn: &mut PgConnection,
    event: &Event,
    fingerprint: &[u8; 32],
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        insert into events (project_id, id, type, source, status, order_id, data, occurred_at, created_at, duplicate_of,
                            problem, fingerprint)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        on conflict do nothing
        "#,
        event.project_id.uuid(),
        event.id.uuid(),
        event.event_type,
        event.source.as_str(),
        event.status,
        event.order_id,
        Value::Object(event.data.clone()),
        event.occurred_at,
        event.created_at,
        event.duplicate_of.map(EventId::uuid),
        event.problem,
        fingerprint,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Makes room for an event that was rejected under this id and is sent again.
pub(super) async fn delete_rejected(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EventId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from events where project_id = $1 and id = $2 and status = 'rejected'",
        project.uuid(),
        id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the one `order.paid` of an order; the event that has it already otherwise.
pub(super) async fn insert_paid_order(
    conn: &mut PgConnection,
    project: ProjectId,
    order_id: &str,
    event: EventId,
) -> sqlx::Result<Option<EventId>> {
    let inserted = sqlx::query!(
        r#"
        insert into paid_orders (project_id, order_id, event_id)
        values ($1, $2, $3)
        on conflict (project_id, order_id) do nothing
        "#,
        project.uuid(),
        order_id,
        event.uuid(),
    )
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(None);
    }
    let first = sqlx::query_scalar!(
        "select event_id from paid_orders where project_id = $1 and order_id = $2",
        project.uuid(),
        order_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(EventId::from_uuid(first)))
}

/// An event and the digest of the body that made it.
pub(super) async fn find_event(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EventId,
) -> anyhow::Result<Option<(Event, Vec<u8>)>> {
    let row = sqlx::query_as!(
        EventRow,
        r#"
        select project_id, id, type, source, status, order_id, data, occurred_at, created_at, duplicate_of, problem, fingerprint,
               schema_errors, blanked_at
        from events
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|mut row| {
        let fingerprint = std::mem::take(&mut row.fingerprint);
        Ok((Event::try_from(row)?, fingerprint))
    })
    .transpose()
}

/// The filters of the list.
pub(super) struct EventFilters {
    pub(super) event_type: Option<String>,
    pub(super) order_id: Option<String>,
    pub(super) status: Option<String>,
}

pub(super) async fn list_events(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
    filters: &EventFilters,
) -> anyhow::Result<Vec<Event>> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        select project_id, id, type, source, status, order_id, data, occurred_at, created_at, duplicate_of, problem, fingerprint,
               schema_errors, blanked_at
        from events
        where project_id = $1
          and (created_at, id) < ($2, $3)
          and ($4::timestamptz is null or created_at > $4)
          and ($5::timestamptz is null or created_at < $5)
          and ($6::text is null or type = $6)
          and ($7::text is null or order_id = $7)
          and ($8::text is null or status = $8)
        order by created_at desc, id desc
        limit $9
        "#,
        project.uuid(),
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        filters.event_type,
        filters.order_id,
        filters.status,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Event::try_from).collect()
}
