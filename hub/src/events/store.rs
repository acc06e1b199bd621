//! SQL of the events slice.

use std::collections::HashSet;

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

/// Writes events, each with the digest of the body that made it; gives those whose id was not taken.
pub(super) async fn insert_events(
    conn: &mut PgConnection,
    events: &[(&Event, &[u8; 32])],
) -> anyhow::Result<HashSet<(ProjectId, EventId)>> {
    let mut rows = events.to_vec();
    // In one order, so that two transactions with the same ids wait for each other in turn.
    rows.sort_unstable_by_key(|(event, _)| (event.project_id.uuid(), event.id.uuid()));
    let mut data = Vec::with_capacity(rows.len());
    for (event, _) in &rows {
        data.push(serde_json::to_string(&event.data)?);
    }
    let problem = |event: &Event| event.problem.as_ref().map(Value::to_string);
    let inserted = sqlx::query!(
        r#"
        insert into events (project_id, id, type, source, status, order_id, data, occurred_at, created_at, duplicate_of,
                            problem, fingerprint)
        select new.project_id, new.id, new.type, new.source, new.status, new.order_id, new.data::jsonb, new.occurred_at,
               new.created_at, new.duplicate_of, new.problem::jsonb, new.fingerprint
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                    $8::timestamptz[], $9::timestamptz[], $10::uuid[], $11::text[], $12::bytea[])
            as new(project_id, id, type, source, status, order_id, data, occurred_at, created_at, duplicate_of, problem,
                   fingerprint)
        on conflict do nothing
        returning project_id, id
        "#,
        &rows.iter().map(|(event, _)| event.project_id.uuid()).collect::<Vec<_>>(),
        &rows.iter().map(|(event, _)| event.id.uuid()).collect::<Vec<_>>(),
        &rows.iter().map(|(event, _)| event.event_type.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|(event, _)| event.source.as_str().to_owned()).collect::<Vec<_>>(),
        &rows.iter().map(|(event, _)| event.status.to_owned()).collect::<Vec<_>>(),
        &rows.iter().map(|(event, _)| event.order_id.clone()).collect::<Vec<_>>() as &[Option<String>],
        &data,
        &rows.iter().map(|(event, _)| event.occurred_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &rows.iter().map(|(event, _)| event.created_at).collect::<Vec<_>>(),
        &rows.iter().map(|(event, _)| event.duplicate_of.map(EventId::uuid)).collect::<Vec<_>>() as &[Option<Uuid>],
        &rows.iter().map(|(event, _)| problem(event)).collect::<Vec<_>>() as &[Option<String>],
        &rows.iter().map(|(_, fingerprint)| fingerprint.to_vec()).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    let ids = |(project, id)| (ProjectId::from_uuid(project), EventId::from_uuid(id));
    Ok(inserted.into_iter().map(|row| ids((row.project_id, row.id))).collect())
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

/// Takes the one `order.paid` of each event's order; gives the events that are the first.
pub(super) async fn insert_paid_orders(
    conn: &mut PgConnection,
    events: &[&Event],
) -> sqlx::Result<HashSet<EventId>> {
    let mut rows: Vec<(Uuid, String, Uuid)> = events
        .iter()
        .filter_map(|event| Some((event.project_id.uuid(), event.order_id.clone()?, event.id.uuid())))
        .collect();
    rows.sort_unstable();
    let first = sqlx::query_scalar!(
        r#"
        insert into paid_orders (project_id, order_id, event_id)
        select * from unnest($1::uuid[], $2::text[], $3::uuid[])
        on conflict (project_id, order_id) do nothing
        returning event_id
        "#,
        &rows.iter().map(|(project, _, _)| *project).collect::<Vec<_>>(),
        &rows.iter().map(|(_, order, _)| order.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|(_, _, event)| *event).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    Ok(first.into_iter().map(EventId::from_uuid).collect())
}

/// Takes the one `order.paid` of an event's order; the other event that has it already, if one has.
pub(super) async fn find_or_take_paid_order(
    conn: &mut PgConnection,
    event: &Event,
) -> sqlx::Result<Option<EventId>> {
    if !insert_paid_orders(conn, &[event]).await?.is_empty() {
        return Ok(None);
    }
    let first = sqlx::query_scalar!(
        "select event_id from paid_orders where project_id = $1 and order_id = $2",
        event.project_id.uuid(),
        event.order_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(EventId::from_uuid(first)).filter(|first| *first != event.id))
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
