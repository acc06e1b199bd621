//! SQL of the projects slice.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use trastienda_protocol::api_key::Mode;
use trastienda_protocol::ids::{Id as _, ProjectId};
use uuid::Uuid;

use super::model::{LimitOverrides, Project, ProjectContext, Service};
use super::plans::Plan;
use crate::http::pagination::{Cursor, ListQuery};

struct ProjectRow {
    id: Uuid,
    name: String,
    domain: String,
    mode: String,
    plan: String,
    is_active: bool,
    created_at: DateTime<Utc>,
}

impl TryFrom<ProjectRow> for Project {
    type Error = anyhow::Error;

    fn try_from(row: ProjectRow) -> anyhow::Result<Self> {
        let id = ProjectId::from_uuid(row.id);
        let mode =
            Mode::parse(&row.mode).with_context(|| format!("projects.mode of {id} is `{}`", row.mode))?;
        let plan =
            Plan::parse(&row.plan).with_context(|| format!("projects.plan of {id} is `{}`", row.plan))?;
        Ok(Self {
            id,
            name: row.name,
            domain: row.domain,
            mode,
            plan,
            is_active: row.is_active,
            created_at: row.created_at,
        })
    }
}

pub(crate) async fn insert_project(conn: &mut PgConnection, project: &Project) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into projects (id, name, domain, mode, plan, is_active, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $7)
        "#,
        project.id.uuid(),
        project.name,
        project.domain,
        project.mode.as_str(),
        project.plan.as_str(),
        project.is_active,
        project.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The project, locked against other changes when `lock` is set.
pub(crate) async fn find_project(conn: &mut PgConnection, id: ProjectId) -> anyhow::Result<Option<Project>> {
    let row = sqlx::query_as!(
        ProjectRow,
        r#"
        select id, name, domain, mode, plan, is_active, created_at
        from projects
        where id = $1
        "#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(Project::try_from).transpose()
}

pub(crate) async fn list_projects(
    conn: &mut PgConnection,
    query: &ListQuery,
) -> anyhow::Result<Vec<Project>> {
    let rows = sqlx::query_as!(
        ProjectRow,
        r#"
        select id, name, domain, mode, plan, is_active, created_at
        from projects
        where (created_at, id) < ($1, $2)
          and ($3::timestamptz is null or created_at > $3)
          and ($4::timestamptz is null or created_at < $4)
        order by created_at desc, id desc
        limit $5
        "#,
        query.after.created_at,
        query.after.id,
        query.created_after,
        query.created_before,
        query.limit + 1,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Project::try_from).collect()
}

/// Where a project stands in lists.
pub(crate) fn place(project: &Project) -> Cursor {
    Cursor { created_at: project.created_at, id: project.id.uuid() }
}

/// What may change about a project; `None` stays.
#[derive(Debug, Default)]
pub struct ProjectChanges {
    /// A new name.
    pub name: Option<String>,
    /// A new domain.
    pub domain: Option<String>,
    /// Another plan.
    pub plan: Option<Plan>,
    /// Active or not.
    pub is_active: Option<bool>,
}

pub(crate) async fn update_project(
    conn: &mut PgConnection,
    id: ProjectId,
    changes: &ProjectChanges,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        r#"
        update projects
        set name = coalesce($2, name),
            domain = coalesce($3, domain),
            plan = coalesce($4, plan),
            is_active = coalesce($5, is_active),
            updated_at = $6
        where id = $1
        "#,
        id.uuid(),
        changes.name,
        changes.domain,
        changes.plan.map(Plan::as_str),
        changes.is_active,
        now,
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// A project with its limits and flags.
pub(crate) async fn find_context(
    conn: &mut PgConnection,
    id: ProjectId,
) -> anyhow::Result<Option<ProjectContext>> {
    let Some(project) = find_project(conn, id).await? else { return Ok(None) };
    let overrides = find_limits(conn, id).await?;
    let flags = sqlx::query!("select flag, enabled from project_features where project_id = $1", id.uuid())
        .fetch_all(conn)
        .await?;
    let own_flags: BTreeMap<String, bool> = flags.into_iter().map(|row| (row.flag, row.enabled)).collect();
    Ok(Some(ProjectContext { limits: overrides.on(project.plan), project, own_flags }))
}

pub(crate) async fn set_limits(
    conn: &mut PgConnection,
    id: ProjectId,
    limits: &LimitOverrides,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into project_limits (project_id, requests_per_minute, events_per_day, emails_per_day, whatsapp_per_day,
                                    payments_per_day, endpoints, retention_days)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (project_id) do update
        set requests_per_minute = excluded.requests_per_minute,
            events_per_day = excluded.events_per_day,
            emails_per_day = excluded.emails_per_day,
            whatsapp_per_day = excluded.whatsapp_per_day,
            payments_per_day = excluded.payments_per_day,
            endpoints = excluded.endpoints,
            retention_days = excluded.retention_days
        "#,
        id.uuid(),
        limits.requests_per_minute,
        limits.events_per_day,
        limits.emails_per_day,
        limits.whatsapp_per_day,
        limits.payments_per_day,
        limits.endpoints,
        limits.retention_days,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The limits that the project itself sets.
pub(crate) async fn find_limits(conn: &mut PgConnection, id: ProjectId) -> sqlx::Result<LimitOverrides> {
    let row = sqlx::query_as!(
        LimitOverrides,
        r#"
        select requests_per_minute, events_per_day, emails_per_day, whatsapp_per_day, payments_per_day, endpoints, retention_days
        from project_limits
        where project_id = $1
        "#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.unwrap_or_default())
}

/// Every project with the days for which it keeps what it keeps.
pub(crate) async fn list_retentions(conn: &mut PgConnection) -> anyhow::Result<Vec<(ProjectId, u32)>> {
    let rows = sqlx::query!(
        r#"
        select p.id as "id!", p.plan as "plan!", l.retention_days as "retention_days?"
        from projects p
        left join project_limits l on l.project_id = p.id
        "#
    )
    .fetch_all(conn)
    .await?;
    let days = rows.into_iter().map(|row| {
        let plan = Plan::parse(&row.plan)
            .with_context(|| format!("projects.plan of {} is `{}`", row.id, row.plan))?;
        let own = LimitOverrides { retention_days: row.retention_days, ..LimitOverrides::default() };
        Ok((ProjectId::from_uuid(row.id), own.on(plan).retention_days))
    });
    days.collect()
}

/// Sets a flag, or with `None` leaves it to the plan again.
pub(crate) async fn set_feature(
    conn: &mut PgConnection,
    id: ProjectId,
    flag: &str,
    enabled: Option<bool>,
) -> sqlx::Result<()> {
    match enabled {
        Some(enabled) => {
            sqlx::query!(
                r#"
                insert into project_features (project_id, flag, enabled)
                values ($1, $2, $3)
                on conflict (project_id, flag) do update set enabled = excluded.enabled
                "#,
                id.uuid(),
                flag,
                enabled,
            )
            .execute(conn)
            .await?;
        }
        None => {
            sqlx::query!("delete from project_features where project_id = $1 and flag = $2", id.uuid(), flag)
                .execute(conn)
                .await?;
        }
    }
    Ok(())
}

/// Adds to what a service did today and returns the day's new total.
pub(crate) async fn add_usage(
    conn: &mut PgConnection,
    service: Service,
    amounts: &[(ProjectId, NaiveDate, i64)],
) -> sqlx::Result<HashMap<(ProjectId, NaiveDate), i64>> {
    let mut rows = amounts.to_vec();
    // In one order, so that two transactions with the same projects wait for each other in turn.
    rows.sort_unstable_by_key(|(project, day, _)| (project.uuid(), *day));
    let used = sqlx::query!(
        r#"
        insert into usage_daily (project_id, day, service, used)
        select new.project_id, new.day, $4, new.amount
        from unnest($1::uuid[], $2::date[], $3::bigint[]) as new(project_id, day, amount)
        on conflict (project_id, day, service) do update set used = usage_daily.used + excluded.used
        returning project_id, day, used
        "#,
        &rows.iter().map(|(project, _, _)| project.uuid()).collect::<Vec<_>>(),
        &rows.iter().map(|(_, day, _)| *day).collect::<Vec<_>>(),
        &rows.iter().map(|(_, _, amount)| *amount).collect::<Vec<_>>(),
        service.as_str(),
    )
    .fetch_all(conn)
    .await?;
    Ok(used.into_iter().map(|row| ((ProjectId::from_uuid(row.project_id), row.day), row.used)).collect())
}

/// What each service did on a day.
pub(crate) async fn list_usage(
    conn: &mut PgConnection,
    id: ProjectId,
    day: NaiveDate,
) -> sqlx::Result<BTreeMap<String, i64>> {
    let rows = sqlx::query!(
        "select service, used from usage_daily where project_id = $1 and day = $2",
        id.uuid(),
        day
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.service, row.used)).collect())
}

/// The services that the project has used since a day.
pub(crate) async fn list_services(
    conn: &mut PgConnection,
    id: ProjectId,
    since: NaiveDate,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select distinct service from usage_daily where project_id = $1 and day >= $2 and used > 0 order by service",
        id.uuid(),
        since,
    )
    .fetch_all(conn)
    .await
}
