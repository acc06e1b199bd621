//! SQL of the endpoints' health.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use trastienda_protocol::ids::{EndpointId, Id as _, ProjectId};
use uuid::Uuid;

use crate::webhooks::health::Health;

/// An endpoint's health and what is told with it.
#[derive(Debug)]
pub(crate) struct HealthRow {
    pub(crate) project_id: Uuid,
    pub(crate) project_name: String,
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) is_disabled: bool,
    pub(crate) health: Health,
}

impl HealthRow {
    pub(crate) fn project(&self) -> ProjectId {
        ProjectId::from_uuid(self.project_id)
    }

    pub(crate) fn endpoint(&self) -> EndpointId {
        EndpointId::from_uuid(self.id)
    }
}

/// The endpoints' health, locked against other attempts' outcomes, in the order of their ids.
pub(crate) async fn lock_health(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<HealthRow>> {
    let rows = sqlx::query!(
        r#"
        select e.project_id, p.name as project_name, e.id, e.url, e.disabled_at is not null as "is_disabled!",
               e.failures, e.openings, e.open_until, e.failing_since, e.alerted_percent
        from webhook_endpoints e
        join projects p on p.id = e.project_id
        where e.id = any($1)
        order by e.id
        for no key update of e
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| HealthRow {
            project_id: row.project_id,
            project_name: row.project_name,
            id: row.id,
            url: row.url,
            is_disabled: row.is_disabled,
            health: Health {
                failures: row.failures,
                openings: row.openings,
                open_until: row.open_until,
                failing_since: row.failing_since,
                alerted_percent: row.alerted_percent,
            },
        })
        .collect())
}

/// Writes a changed health; the right to a probe is over with whatever changed it.
pub(crate) async fn update_health(
    conn: &mut PgConnection,
    row: &HealthRow,
    health: &Health,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update webhook_endpoints
        set failures = $3, openings = $4, open_until = $5, failing_since = $6, alerted_percent = $7,
            probe_hub = case when open_until is not distinct from $5 then probe_hub end,
            probe_granted_at = case when open_until is not distinct from $5 then probe_granted_at end
        where project_id = $1 and id = $2
        "#,
        row.project_id,
        row.id,
        health.failures,
        health.openings,
        health.open_until,
        health.failing_since,
        health.alerted_percent,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether any circuit's open time is over.
pub(crate) async fn has_open_circuits(db: &PgPool, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists(select from webhook_endpoints where open_until <= $1 and disabled_at is null) as "any!""#,
        now,
    )
    .fetch_one(db)
    .await
}

/// Gives this hub the right to one probe for each circuit whose open time is over, unless a living hub has it. Endpoints
/// that agents pull: only those of `pullers`.
pub(crate) async fn grant_probes(
    db: &PgPool,
    hub: i32,
    (alive, pullers): (&[i32], &[Uuid]),
    now: DateTime<Utc>,
    joined_before: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let result = sqlx::query!(
        r#"
        update webhook_endpoints
        set probe_hub = $1, probe_granted_at = $3
        where open_until <= $3
          and disabled_at is null
          and (
              probe_hub is null
              or (probe_hub <> all($2) and probe_granted_at < $4)
              -- Its agents poll elsewhere by now, and no lease is so long.
              or (starts_with(url, 'agent:') and probe_hub <> $1 and probe_granted_at < $6)
          )
          and (not starts_with(url, 'agent:') or project_id = any($5))
        "#,
        hub,
        alive,
        now,
        joined_before,
        pullers,
        now - crate::queue::LEASE * 2,
    )
    .execute(db)
    .await?;
    Ok(result.rows_affected())
}

/// Disables an endpoint, unless it is already.
pub(crate) async fn disable_endpoint(
    conn: &mut PgConnection,
    row: &HealthRow,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update webhook_endpoints
        set disabled_at = $3, disabled_reason = $4, updated_at = $3
        where project_id = $1 and id = $2 and disabled_at is null
        "#,
        row.project_id,
        row.id,
        now,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// How many deliveries wait for each of these endpoints; those under way are not counted.
pub(crate) async fn count_waiting(
    conn: &mut PgConnection,
    project: ProjectId,
    endpoints: &[Uuid],
) -> sqlx::Result<std::collections::HashMap<Uuid, i64>> {
    let rows = sqlx::query!(
        r#"
        select wanted.id as "id!", (
            select count(*) from webhook_deliveries d
            where d.endpoint_id = wanted.id and d.status = 'pending' and d.lease_token is null and d.project_id = $1
        ) as "count!"
        from unnest($2::uuid[]) as wanted(id)
        "#,
        project.uuid(),
        endpoints,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.count)).collect())
}
