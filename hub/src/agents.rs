//! Agents that report to the hub: when each was last seen and how it stands.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::heartbeat::{AgentStatus, Heartbeat};
use trastienda_protocol::ids::{Id as _, ProjectId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::{JsonBody, Result};

/// After so long without a poll an agent does not pull any more.
const AWAY: TimeDelta = TimeDelta::minutes(2);

/// The slice's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(heartbeat))
}

/// An agent says how it stands, once a minute.
#[utoipa::path(post, path = "/v1/agent/heartbeat", tag = "agents", request_body = Heartbeat, responses((status = 204)))]
async fn heartbeat(State(app): State<App>, caller: Caller, JsonBody(body): JsonBody) -> Result<StatusCode> {
    let heartbeat = Heartbeat::parse(&body)?;
    let mut conn = app.db.acquire().await?;
    upsert_agent(&mut conn, caller.project.id, &heartbeat, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An agent as the operator sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeenAgent {
    /// Its name for itself.
    pub agent_id: String,
    /// What it last said of itself.
    pub status: Value,
    /// When it last said anything.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub seen_at: DateTime<Utc>,
    /// Whether it pulls deliveries now.
    pub is_pulling: bool,
    /// Since when it has done so without a break; of one that no longer does, since when it did.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub pulling_since: Option<DateTime<Utc>>,
    /// When it last polled, give or take twenty seconds.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    pub polled_at: Option<DateTime<Utc>>,
}

/// An agent polls: a heartbeat, and the sign that it pulls. Who has been away for [`AWAY`] begins anew.
pub(crate) async fn upsert_pulling(
    conn: &mut PgConnection,
    project: ProjectId,
    (agent_id, status): (&str, &AgentStatus),
    now: DateTime<Utc>,
) -> Result<()> {
    let status = serde_json::to_value(status).map_err(anyhow::Error::from)?;
    sqlx::query!(
        r#"
        insert into agents (project_id, agent_id, status, seen_at, pulling_since, polled_at)
        values ($1, $2, $3, $4, $4, $4)
        on conflict (project_id, agent_id) do update
        set status = excluded.status, seen_at = excluded.seen_at, polled_at = excluded.polled_at,
            pulling_since = case when agents.polled_at > $5 then agents.pulling_since else excluded.pulling_since end
        "#,
        project.uuid(),
        agent_id,
        status,
        now,
        now - AWAY,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A project's agents, those seen last first: whether each pulls, and since when. At most 200.
pub(crate) async fn list_agents(
    conn: &mut PgConnection,
    project: ProjectId,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<SeenAgent>> {
    sqlx::query_as!(
        SeenAgent,
        r#"
        select agent_id, status, seen_at, coalesce(polled_at > $2, false) as "is_pulling!", pulling_since, polled_at
        from agents
        where project_id = $1
        order by seen_at desc, agent_id
        limit 200
        "#,
        project.uuid(),
        now - AWAY,
    )
    .fetch_all(conn)
    .await
}

async fn upsert_agent(
    conn: &mut PgConnection,
    project: ProjectId,
    heartbeat: &Heartbeat,
    now: DateTime<Utc>,
) -> Result<()> {
    let status = serde_json::to_value(&heartbeat.status).map_err(anyhow::Error::from)?;
    sqlx::query!(
        r#"
        insert into agents (project_id, agent_id, status, seen_at)
        values ($1, $2, $3, $4)
        on conflict (project_id, agent_id) do update set status = excluded.status, seen_at = excluded.seen_at
        "#,
        project.uuid(),
        heartbeat.agent_id,
        status,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
