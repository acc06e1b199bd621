//! SQL of what is looked at: each statement stays on an index, and counts no further than it must.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::ids::lower_bound;
use uuid::Uuid;

/// An endpoint that is disabled or on its way there.
#[derive(Debug)]
pub(crate) struct EndpointSeen {
    pub(crate) project_id: Uuid,
    pub(crate) project_name: String,
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) failing_since: Option<DateTime<Utc>>,
    pub(crate) alerted_percent: i16,
}

pub(crate) async fn list_endpoints(conn: &mut PgConnection) -> sqlx::Result<Vec<EndpointSeen>> {
    sqlx::query_as!(
        EndpointSeen,
        r#"
        select e.project_id, p.name as project_name, e.id, e.url, e.disabled_at, e.disabled_reason, e.failing_since,
               e.alerted_percent
        from webhook_endpoints e
        join projects p on p.id = e.project_id and p.is_active
        where e.disabled_at is not null or e.alerted_percent > 0
        "#
    )
    .fetch_all(conn)
    .await
}

/// An agent.
#[derive(Debug)]
pub(crate) struct AgentSeen {
    pub(crate) project_id: Uuid,
    pub(crate) project_name: String,
    pub(crate) agent_id: String,
    pub(crate) status: Value,
    pub(crate) seen_at: DateTime<Utc>,
}

/// The agents that were seen since then.
pub(crate) async fn list_agents(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<AgentSeen>> {
    sqlx::query_as!(
        AgentSeen,
        r#"
        select a.project_id, p.name as project_name, a.agent_id, a.status, a.seen_at
        from agents a
        join projects p on p.id = a.project_id and p.is_active
        where a.seen_at > $1
        "#,
        since,
    )
    .fetch_all(conn)
    .await
}

/// A shop some of whose calls were refused though its agent had acknowledged them.
#[derive(Debug)]
pub(crate) struct RefusedSeen {
    pub(crate) project_id: Uuid,
    pub(crate) project_name: String,
    pub(crate) events: i64,
    pub(crate) notifications: i64,
}

/// What was refused since then; counting stops at a thousand.
pub(crate) async fn list_refused(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<RefusedSeen>> {
    sqlx::query_as!(
        RefusedSeen,
        r#"
        select p.id as project_id, p.name as project_name, e.refused as "events!", n.refused as "notifications!"
        from projects p
        cross join lateral (
            select count(*) as refused from (
                select from events where project_id = p.id and status = 'rejected' and id >= $2 limit 1000) x
        ) e
        cross join lateral (
            select count(*) as refused from (
                select from notifications
                where project_id = p.id and status = 'failed' and finished_at >= $1 and detail = 'refused'
                limit 1000) x
        ) n
        where p.is_active and e.refused + n.refused > 0
        "#,
        since,
        lower_bound(since),
    )
    .fetch_all(conn)
    .await
}

/// A mail server that takes nothing.
#[derive(Debug)]
pub(crate) struct ServerSeen {
    /// Null: the operator's own.
    pub(crate) project_id: Option<Uuid>,
    pub(crate) project_name: Option<String>,
    /// The account's id, or the server's name.
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) failures: i64,
}

/// Projects' accounts that failed so often in a row.
pub(crate) async fn list_failing_accounts(
    conn: &mut PgConnection,
    failures: i32,
) -> sqlx::Result<Vec<ServerSeen>> {
    sqlx::query_as!(
        ServerSeen,
        r#"
        select a.project_id as "project_id?", p.name as "project_name?", a.id::text as "subject!", a.name as "name!",
               a.failures::bigint as "failures!"
        from smtp_accounts a
        join projects p on p.id = a.project_id and p.is_active
        where a.is_enabled and a.failures >= $1
        "#,
        failures,
    )
    .fetch_all(conn)
    .await
}

/// The operator's servers of which nothing but failures is known since then, at least so many: those that are no refusal of
/// a recipient. Looked at are each shop's last two hundred attempts.
pub(crate) async fn list_failing_servers(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    failures: i32,
) -> sqlx::Result<Vec<ServerSeen>> {
    sqlx::query_as!(
        ServerSeen,
        r#"
        select null::uuid as "project_id?", null::text as "project_name?", t.server as "subject!", t.server as "name!",
               count(*) as "failures!"
        from projects p
        cross join lateral (
            select server, status, response_code
            from notification_attempts
            where project_id = p.id and id >= $1
            order by id desc
            limit 200
        ) t
        where t.server is not null
          and not exists (select from smtp_accounts a where a.project_id = p.id and a.name = t.server)
        group by t.server
        having count(*) filter (where t.status = 'sent' or t.response_code between 550 and 559) = 0
           and count(*) >= $2
        "#,
        lower_bound(since),
        i64::from(failures),
    )
    .fetch_all(conn)
    .await
}

/// A payment account that does not answer.
#[derive(Debug)]
pub(crate) struct ProviderSeen {
    pub(crate) project_id: Uuid,
    pub(crate) project_name: String,
    pub(crate) provider: String,
    pub(crate) failing_since: DateTime<Utc>,
    pub(crate) failure: Option<String>,
}

/// Accounts whose payments wait, and that have not answered since before then.
pub(crate) async fn list_providers(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Vec<ProviderSeen>> {
    sqlx::query_as!(
        ProviderSeen,
        r#"
        select v.project_id, p.name as project_name, v.provider, v.failing_since as "failing_since!", v.failure
        from payment_providers v
        join projects p on p.id = v.project_id and p.is_active
        where v.failing_since <= $1
          and exists (
              select from payment_transactions t
              where t.project_id = v.project_id and t.provider = v.provider and t.action = 'sync'
          )
        "#,
        before,
    )
    .fetch_all(conn)
    .await
}

/// A case that nobody has closed.
#[derive(Debug)]
pub(crate) struct CaseSeen {
    pub(crate) project_id: Uuid,
    pub(crate) project_name: String,
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) order_id: Option<String>,
}

pub(crate) async fn list_open_cases(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<CaseSeen>> {
    sqlx::query_as!(
        CaseSeen,
        r#"
        select c.project_id, p.name as project_name, c.id, c.kind, c.order_id
        from projects p
        cross join lateral (
            select project_id, id, kind, order_id
            from payment_cases
            where project_id = p.id and status = 'open'
            limit $1
        ) c
        where p.is_active
        limit $1
        "#,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// How near PostgreSQL is to refusing work.
#[derive(Debug)]
pub(crate) struct Strain {
    pub(crate) connections: i64,
    pub(crate) connections_max: i64,
    /// Transactions until their numbers would run out are 2³¹ less this.
    pub(crate) oldest_age: i64,
}

pub(crate) async fn get_strain(conn: &mut PgConnection) -> sqlx::Result<Strain> {
    sqlx::query_as!(
        Strain,
        r#"
        select (select coalesce(sum(numbackends), 0)::bigint from pg_stat_database) as "connections!",
               current_setting('max_connections')::bigint as "connections_max!",
               (select max(age(datfrozenxid))::bigint from pg_database) as "oldest_age!"
        "#
    )
    .fetch_one(conn)
    .await
}
