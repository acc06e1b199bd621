//! SQL of deliveries and their log.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{DeliveryId, EndpointId, EventId, Id as _, ProjectId};
use uuid::Uuid;

use crate::events::DeliveryState;
use crate::http::pagination::ListQuery;
use crate::webhooks::model::{Attempt, Delivery};

pub(crate) async fn list_states(
    conn: &mut PgConnection,
    project: ProjectId,
    event: EventId,
) -> sqlx::Result<Vec<DeliveryState>> {
    let rows = sqlx::query!(
        r#"
        select id, endpoint_id, status, attempts
        from webhook_deliveries
        where project_id = $1 and event_id = $2
        order by id
        "#,
        project.uuid(),
        event.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let state = |row: (Uuid, Uuid, String, i32)| DeliveryState {
        id: DeliveryId::from_uuid(row.0).to_string(),
        endpoint: EndpointId::from_uuid(row.1).to_string(),
        status: row.2,
        attempt_count: row.3,
    };
    Ok(rows.into_iter().map(|row| state((row.id, row.endpoint_id, row.status, row.attempts))).collect())
}

struct DeliveryRow {
    id: Uuid,
    endpoint_id: Uuid,
    event_id: Uuid,
    event_type: String,
    order_id: Option<String>,
    status: String,
    attempts: i32,
    run_at: DateTime<Utc>,
    last_response_code: Option<i32>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: DeliveryId::from_uuid(row.id),
            endpoint: EndpointId::from_uuid(row.endpoint_id),
            event: EventId::from_uuid(row.event_id),
            event_type: row.event_type,
            order_id: row.order_id,
            next_attempt_at: (row.status == "pending").then_some(row.run_at),
            status: row.status,
            attempt_count: row.attempts,
            last_response_code: row.last_response_code,
            last_error: row.last_error,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

/// The filters of the list.
pub(crate) struct DeliveryFilters {
    pub(crate) endpoint: Option<Uuid>,
    pub(crate) event_type: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) order_id: Option<String>,
}

pub(crate) async fn list_deliveries(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
    filters: &DeliveryFilters,
) -> sqlx::Result<Vec<Delivery>> {
    if let Some(order) = &filters.order_id {
        return list_of_order(conn, project, query, filters, order).await;
    }
    let rows = sqlx::query_as!(
        DeliveryRow,
        r#"
        select id, endpoint_id, event_id, event_type, order_id, status, attempts, run_at, last_response_code, last_error,
               created_at, finished_at
        from webhook_deliveries
        where project_id = $1
          -- The hub makes these ids itself, so their order is that of `created_at`.
          and id < $2
          and ($3::timestamptz is null or created_at > $3)
          and ($4::timestamptz is null or created_at < $4)
          and ($5::uuid is null or endpoint_id = $5)
          and ($6::text is null or event_type = $6)
          and ($7::text is null or status = $7)
        order by id desc
        limit $8
        "#,
        project.uuid(),
        query.after.id,
        query.created_after,
        query.created_before,
        filters.endpoint,
        filters.event_type,
        filters.status,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Delivery::from).collect())
}

/// An order has few events, and each few deliveries; among all deliveries there is no index by order.
async fn list_of_order(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
    filters: &DeliveryFilters,
    order: &str,
) -> sqlx::Result<Vec<Delivery>> {
    let rows = sqlx::query_as!(
        DeliveryRow,
        r#"
        select d.id, d.endpoint_id, d.event_id, d.event_type, d.order_id, d.status, d.attempts, d.run_at,
               d.last_response_code, d.last_error, d.created_at, d.finished_at
        from events e
        cross join lateral (
            select *
            from webhook_deliveries
            where project_id = $1
              and event_id = e.id
              and id < $2
              and ($3::timestamptz is null or created_at > $3)
              and ($4::timestamptz is null or created_at < $4)
              and ($5::uuid is null or endpoint_id = $5)
              and ($6::text is null or event_type = $6)
              and ($7::text is null or status = $7)
            -- Keeps the planner from beginning with the deliveries.
            offset 0
        ) d
        where e.project_id = $1 and e.order_id = $8
        order by d.id desc
        limit $9
        "#,
        project.uuid(),
        query.after.id,
        query.created_after,
        query.created_before,
        filters.endpoint,
        filters.event_type,
        filters.status,
        order,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Delivery::from).collect())
}

pub(crate) async fn find_delivery(
    conn: &mut PgConnection,
    project: ProjectId,
    id: DeliveryId,
) -> sqlx::Result<Option<Delivery>> {
    let row = sqlx::query_as!(
        DeliveryRow,
        r#"
        select id, endpoint_id, event_id, event_type, order_id, status, attempts, run_at, last_response_code, last_error,
               created_at, finished_at
        from webhook_deliveries
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Delivery::from))
}

pub(crate) async fn list_attempts(
    conn: &mut PgConnection,
    project: ProjectId,
    id: DeliveryId,
) -> sqlx::Result<Vec<Attempt>> {
    sqlx::query_as!(
        Attempt,
        r#"
        select created_at as at, attempt, response_code, duration_ms, error, error_class, request_id,
               response_excerpt as response
        from webhook_logs
        where project_id = $1 and delivery_id = $2
        order by created_at, id
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_all(conn)
    .await
}

/// Sends a delivery again by hand: from the start of its schedule, marked as a replay. Not while it is in flight.
pub(crate) async fn mark_retried(
    conn: &mut PgConnection,
    project: ProjectId,
    id: DeliveryId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update webhook_deliveries
        set status = 'pending', attempts = 0, run_at = $3, finished_at = null, is_replay = true
        where project_id = $1 and id = $2 and lease_token is null
        "#,
        project.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Whether the payload of a delivery's event is still there.
pub(crate) async fn has_payload(
    conn: &mut PgConnection,
    project: ProjectId,
    id: DeliveryId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists(
            select
            from webhook_deliveries d
            join events v on v.project_id = d.project_id and v.id = d.event_id
            where d.project_id = $1 and d.id = $2 and v.blanked_at is null
        ) as "there!"
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_one(conn)
    .await
}
