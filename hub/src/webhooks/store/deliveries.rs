//! SQL of deliveries and their log.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{DeliveryId, EndpointId, EventId, Id as _, ProjectId};
use uuid::Uuid;

use crate::events::{DeliveryState, Event};
use crate::http::pagination::ListQuery;
use crate::queue::{Lease, Verdict};
use crate::webhooks::deliver::Attempted;
use crate::webhooks::failure::Class;
use crate::webhooks::model::{Attempt, Delivery};

/// An endpoint that an event may go to.
pub(crate) struct Target {
    pub(crate) id: Uuid,
    pub(crate) events: Vec<String>,
    pub(crate) ordered: bool,
}

/// The project's endpoints, disabled ones too: their deliveries wait. In one order, so that two events take the
/// locks of ordered endpoints alike.
pub(crate) async fn list_targets(conn: &mut PgConnection, project: ProjectId) -> sqlx::Result<Vec<Target>> {
    sqlx::query_as!(
        Target,
        "select id, events, ordered from webhook_endpoints where project_id = $1 order by id",
        project.uuid(),
    )
    .fetch_all(conn)
    .await
}

pub(crate) async fn insert_delivery(
    conn: &mut PgConnection,
    id: DeliveryId,
    target: &Target,
    event: &Event,
) -> sqlx::Result<()> {
    if target.ordered {
        // Whoever holds this lock commits before the next takes a number.
        sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1::text, 0))", target.id.to_string())
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query!(
        r#"
        insert into webhook_deliveries (project_id, id, endpoint_id, event_id, event_type, order_id, status, attempts, is_replay,
                                        sequence, run_at, created_at)
        values ($1, $2, $3, $4, $5, $6, 'pending', 0, false,
                case when $7 then nextval('webhook_delivery_sequence') end, $8, $8)
        "#,
        event.project_id.uuid(),
        id.uuid(),
        target.id,
        event.id.uuid(),
        event.event_type,
        event.order_id,
        target.ordered,
        event.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

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

/// A delivery that this hub may send now, with all that it needs.
#[derive(Debug)]
pub struct ClaimedDelivery {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) attempts: i32,
    pub(crate) is_replay: bool,
    /// The one delivery that a half-open circuit lets through.
    pub(crate) is_probe: bool,
    /// Whether the endpoint has failed since its last success.
    pub(crate) is_failing: bool,
    pub(crate) replay_rate: Option<i32>,
    pub(crate) lease_token: Uuid,
    pub(crate) url: String,
    pub(crate) headers_sealed: Option<Vec<u8>>,
    pub(crate) secret_sealed: Vec<u8>,
    pub(crate) previous_secret_sealed: Option<Vec<u8>>,
    pub(crate) previous_secret_expires_at: Option<DateTime<Utc>>,
    pub(crate) rate_per_second: Option<i32>,
    pub(crate) retry_schedule: Option<Vec<i32>>,
    pub(crate) data: Value,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) event_created_at: DateTime<Utc>,
}

impl ClaimedDelivery {
    pub(crate) fn delivery_id(&self) -> DeliveryId {
        DeliveryId::from_uuid(self.id)
    }
}

/// Claims due deliveries. Each enabled endpoint of an active project is asked by itself for as many as it has
/// places, so a backlog of one is never walked through for another.
pub(crate) async fn claim_deliveries(
    db: &PgPool,
    lease: Lease,
    limit: i64,
    busy_endpoints: &[Uuid],
    busy_counts: &[i32],
) -> sqlx::Result<Vec<ClaimedDelivery>> {
    sqlx::query_as!(
        ClaimedDelivery,
        r#"
        with due as (
            select d.project_id, d.id
            from webhook_endpoints e
            join projects p on p.id = e.project_id and p.is_active
            left join unnest($3::uuid[], $4::integer[]) as busy(endpoint_id, in_flight) on busy.endpoint_id = e.id
            cross join lateral (
                select project_id, id
                from webhook_deliveries
                where endpoint_id = e.id
                  and status = 'pending'
                  and lease_token is null
                  and run_at <= $1
                  -- In order: only the first that is not over, and none while that is in flight.
                  and (sequence is null or sequence = (
                      select min(first.sequence)
                      from webhook_deliveries first
                      where first.endpoint_id = e.id and first.status = 'pending' and first.sequence is not null
                  ))
                order by run_at
                -- While the circuit is open the hub with the right to the probe takes one.
                limit greatest(case when e.ordered or e.open_until is not null then 1 else e.max_in_flight end - coalesce(busy.in_flight, 0), 0)
                -- Another hub's claim is under way on these rows.
                for update skip locked
            ) d
            where e.disabled_at is null and (e.open_until is null or e.probe_hub = $6)
            limit $2
        ),
        claimed as (
            update webhook_deliveries d
            set lease_token = $5, lease_hub = $6, lease_until = $7
            from due
            where d.project_id = due.project_id and d.id = due.id
            returning d.project_id, d.id, d.endpoint_id, d.event_id, d.event_type, d.attempts, d.is_replay,
                      d.replay_rate
        )
        select c.project_id, c.id, c.endpoint_id, c.event_id, c.event_type, c.attempts, c.is_replay, c.replay_rate,
               e.open_until is not null as "is_probe!", e.failing_since is not null as "is_failing!",
               $5::uuid as "lease_token!",
               e.url, e.headers_sealed, e.secret_sealed, e.previous_secret_sealed, e.previous_secret_expires_at,
               e.rate_per_second, e.retry_schedule,
               v.data, v.occurred_at, v.created_at as event_created_at
        from claimed c
        join webhook_endpoints e on e.project_id = c.project_id and e.id = c.endpoint_id
        join events v on v.project_id = c.project_id and v.id = c.event_id
        "#,
        lease.now,
        limit,
        busy_endpoints,
        busy_counts,
        lease.token,
        lease.hub,
        lease.until,
    )
    .fetch_all(db)
    .await
}

/// Moves a delivery on, if its lease is still the one under which the attempt was made.
pub(crate) async fn finish_delivery(
    conn: &mut PgConnection,
    attempted: &Attempted,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (status, run_at) = match &attempted.verdict {
        Some(Verdict::Done) => ("sent", None),
        Some(Verdict::Failed) => ("failed", None),
        Some(Verdict::Retry { at }) => ("pending", Some(*at)),
        None => ("pending", None),
    };
    let delivery = &attempted.delivery;
    sqlx::query!(
        r#"
        update webhook_deliveries
        set status = $4,
            attempts = attempts + $5,
            run_at = coalesce($6, run_at),
            last_response_code = case when $5 = 1 then $7 else last_response_code end,
            last_error = case when $5 = 1 then $8 else last_error end,
            finished_at = case when $4 <> 'pending' then $9::timestamptz end,
            lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and id = $2 and lease_token = $3
        "#,
        delivery.project_id,
        delivery.id,
        delivery.lease_token,
        status,
        i32::from(attempted.verdict.is_some()),
        run_at,
        attempted.response_code,
        attempted.error,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn insert_log(conn: &mut PgConnection, id: Uuid, attempted: &Attempted) -> sqlx::Result<()> {
    let delivery = &attempted.delivery;
    let duration = i32::try_from(attempted.duration.as_millis()).unwrap_or(i32::MAX);
    let status = if attempted.verdict == Some(Verdict::Done) { "sent" } else { "failed" };
    sqlx::query!(
        r#"
        insert into webhook_logs (project_id, id, delivery_id, endpoint_id, event_id, event, target_url, attempt, status,
                                  response_code, duration_ms, error, response_excerpt, created_at, error_class, request_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        "#,
        delivery.project_id,
        id,
        delivery.id,
        delivery.endpoint_id,
        delivery.event_id,
        delivery.event_type,
        delivery.url,
        delivery.attempts + 1,
        status,
        attempted.response_code,
        duration,
        attempted.error,
        attempted.excerpt,
        attempted.at,
        attempted.error_class.map(Class::as_str),
        attempted.request_id,
    )
    .execute(conn)
    .await?;
    Ok(())
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
    let rows = sqlx::query_as!(
        DeliveryRow,
        r#"
        select id, endpoint_id, event_id, event_type, order_id, status, attempts, run_at, last_response_code, last_error,
               created_at, finished_at
        from webhook_deliveries
        where project_id = $1
          and (created_at, id) < ($2, $3)
          and ($4::timestamptz is null or created_at > $4)
          and ($5::timestamptz is null or created_at < $5)
          and ($6::uuid is null or endpoint_id = $6)
          and ($7::text is null or event_type = $7)
          and ($8::text is null or status = $8)
          and ($9::text is null or order_id = $9)
        order by created_at desc, id desc
        limit $10
        "#,
        project.uuid(),
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        filters.endpoint,
        filters.event_type,
        filters.status,
        filters.order_id,
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
