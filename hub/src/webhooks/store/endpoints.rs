//! SQL of endpoints. Secrets and own headers go in and out sealed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{EndpointId, Id as _, ProjectId};
use uuid::Uuid;

use crate::http::pagination::ListQuery;

/// What the secrets of endpoints are sealed for.
pub(crate) const SECRET_PURPOSE: &str = "webhook_endpoints.secret";
/// What the own headers of endpoints are sealed for.
pub(crate) const HEADERS_PURPOSE: &str = "webhook_endpoints.headers";

/// An endpoint's row.
#[derive(Debug, Clone)]
pub(crate) struct EndpointRow {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) description: String,
    pub(crate) headers_sealed: Option<Vec<u8>>,
    pub(crate) max_in_flight: i32,
    pub(crate) rate_per_second: Option<i32>,
    pub(crate) ordered: bool,
    pub(crate) retry_schedule: Option<Vec<i32>>,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) open_until: Option<DateTime<Utc>>,
    pub(crate) failing_since: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
}

pub(crate) async fn insert_endpoint(
    conn: &mut PgConnection,
    project: ProjectId,
    row: &EndpointRow,
    secret_sealed: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into webhook_endpoints (project_id, id, url, events, description, headers_sealed, secret_sealed, max_in_flight,
                                       rate_per_second, ordered, retry_schedule, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
        "#,
        project.uuid(),
        row.id,
        row.url,
        &row.events,
        row.description,
        row.headers_sealed.as_deref(),
        secret_sealed,
        row.max_in_flight,
        row.rate_per_second,
        row.ordered,
        row.retry_schedule.as_deref(),
        row.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts the project's endpoints, one counter at a time: two creations cannot both take the last place.
pub(crate) async fn count_endpoints(conn: &mut PgConnection, project: ProjectId) -> sqlx::Result<i64> {
    sqlx::query!("select 1 as one from projects where id = $1 for update", project.uuid())
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_endpoints where project_id = $1"#,
        project.uuid()
    )
    .fetch_one(conn)
    .await
}

pub(crate) async fn find_endpoint(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EndpointId,
) -> sqlx::Result<Option<EndpointRow>> {
    sqlx::query_as!(
        EndpointRow,
        r#"
        select id, url, events, description, headers_sealed, max_in_flight, rate_per_second, ordered, retry_schedule,
               disabled_at, disabled_reason, open_until, failing_since, created_at
        from webhook_endpoints
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await
}

pub(crate) async fn list_endpoints(
    conn: &mut PgConnection,
    project: ProjectId,
    query: &ListQuery,
) -> sqlx::Result<Vec<EndpointRow>> {
    sqlx::query_as!(
        EndpointRow,
        r#"
        select id, url, events, description, headers_sealed, max_in_flight, rate_per_second, ordered, retry_schedule,
               disabled_at, disabled_reason, open_until, failing_since, created_at
        from webhook_endpoints
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

pub(crate) async fn update_endpoint(
    conn: &mut PgConnection,
    project: ProjectId,
    row: &EndpointRow,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update webhook_endpoints
        set url = $3, events = $4, description = $5, headers_sealed = $6, max_in_flight = $7, rate_per_second = $8,
            ordered = $9, retry_schedule = $10, updated_at = $11
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        row.id,
        row.url,
        &row.events,
        row.description,
        row.headers_sealed.as_deref(),
        row.max_in_flight,
        row.rate_per_second,
        row.ordered,
        row.retry_schedule.as_deref(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes an endpoint; what was not delivered to it fails.
pub(crate) async fn delete_endpoint(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EndpointId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query!(
        r#"
        update webhook_deliveries
        set status = 'failed', last_error = 'the endpoint was deleted', finished_at = $3,
            lease_token = null, lease_hub = null, lease_until = null
        where project_id = $1 and endpoint_id = $2 and status = 'pending'
        "#,
        project.uuid(),
        id.uuid(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    let result = sqlx::query!(
        "delete from webhook_endpoints where project_id = $1 and id = $2",
        project.uuid(),
        id.uuid()
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Replaces the secret; the old one signs too until `overlap_until`.
pub(crate) async fn rotate_secret(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EndpointId,
    secret_sealed: &[u8],
    overlap_until: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update webhook_endpoints
        set previous_secret_sealed = secret_sealed, previous_secret_expires_at = $4, secret_sealed = $3
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
        secret_sealed,
        overlap_until,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Lets a disabled endpoint receive again, and forgets how it failed.
pub(crate) async fn enable_endpoint(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EndpointId,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update webhook_endpoints
        set disabled_at = null, disabled_reason = null, updated_at = $3, failures = 0, openings = 0, open_until = null,
            probe_hub = null, probe_granted_at = null, failing_since = null, alerted_percent = 0
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deliveries that a disabled endpoint, or one whose circuit is open, holds.
pub(crate) async fn count_held(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EndpointId,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from webhook_deliveries d
        join webhook_endpoints e on e.project_id = d.project_id and e.id = d.endpoint_id
        where d.project_id = $1 and d.endpoint_id = $2 and d.status = 'pending' and d.lease_token is null
          and (e.disabled_at is not null or e.open_until is not null)
        "#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_one(conn)
    .await
}

/// Gives up what is held; it can be replayed.
pub(crate) async fn skip_held(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EndpointId,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let result = sqlx::query!(
        r#"
        update webhook_deliveries d
        set status = 'failed', last_error = 'skipped when the endpoint was enabled', finished_at = $3
        from webhook_endpoints e
        where e.project_id = d.project_id and e.id = d.endpoint_id
          and d.project_id = $1 and d.endpoint_id = $2 and d.status = 'pending' and d.lease_token is null
          and (e.disabled_at is not null or e.open_until is not null)
        "#,
        project.uuid(),
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(i64::try_from(result.rows_affected()).unwrap_or(i64::MAX))
}

/// The sealed secrets that sign now: the current one, and the one before while a rotation overlaps.
pub(crate) async fn list_secrets(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EndpointId,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Vec<u8>>> {
    let row = sqlx::query!(
        r#"
        select secret_sealed, case when previous_secret_expires_at > $3 then previous_secret_sealed end as previous
        from webhook_endpoints
        where project_id = $1 and id = $2
        "#,
        project.uuid(),
        id.uuid(),
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.into_iter().flat_map(|row| [Some(row.secret_sealed), row.previous]).flatten().collect())
}
