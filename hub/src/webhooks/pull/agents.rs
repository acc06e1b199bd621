//! Which agents a project has, whether and since when they pull, and how far behind they are: for the operator.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use trastienda_protocol::ids::{Id as _, ProjectId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::agents::{self, SeenAgent};
use crate::app::App;
use crate::http::{Error, Result};
use crate::webhooks::store;

/// The route for the operator.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A project's agents, and what waits for them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectAgents {
    /// The agents, those seen last first.
    agents: Vec<SeenAgent>,
    /// Deliveries that are due and that no agent has: how far behind they are. Held ones are not counted.
    waiting: i64,
    /// The age of the oldest of them, in seconds.
    oldest_seconds: i64,
}

/// Lists a project's agents: when each was seen, since when it has been pulling, and how far behind they are.
#[utoipa::path(get, path = "/admin/v1/projects/{id}/agents", tag = "admin", responses((status = 200, body = ProjectAgents)))]
async fn list(State(app): State<App>, Path(id): Path<String>) -> Result<Json<ProjectAgents>> {
    let project = ProjectId::parse(&id).map_err(|_| Error::NotFound("project"))?;
    let now = app.clock.now();
    let mut conn = app.db.acquire().await?;
    let agents = agents::list_agents(&mut conn, project, now).await?;
    let (waiting, oldest): (i64, Option<DateTime<Utc>>) =
        store::get_pulled_backlog(&mut conn, project, now).await?;
    let oldest_seconds = oldest.map_or(0, |oldest| (now - oldest).num_seconds().max(0));
    Ok(Json(ProjectAgents { agents, waiting, oldest_seconds }))
}
