//! Agents that report to the hub: when each was last seen and how it stands.

use axum::extract::State;
use axum::http::StatusCode;
use sqlx::PgConnection;
use trastienda_protocol::heartbeat::Heartbeat;
use trastienda_protocol::ids::{Id as _, ProjectId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::{JsonBody, Result};

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

async fn upsert_agent(
    conn: &mut PgConnection,
    project: ProjectId,
    heartbeat: &Heartbeat,
    now: chrono::DateTime<chrono::Utc>,
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
