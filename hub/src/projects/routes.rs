//! What a project can ask about itself.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use chrono::Days;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admin::check_flag;
use super::model::Project;
use super::plans::Limits;
use super::store;
use crate::app::App;
use crate::http::Result;
use crate::http::auth::Caller;

/// Days back in which a service counts as used.
const SERVICES_DAYS: u64 = 30;

/// The slice's routes for projects.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(project)).routes(routes!(features)).routes(routes!(feature))
}

/// A project about itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectSelf {
    #[serde(flatten)]
    project: Project,
    features: BTreeMap<String, bool>,
    limits: Limits,
    /// Today's use (UTC), by service.
    usage: BTreeMap<String, i64>,
    /// The services used in the last 30 days.
    services: Vec<String>,
}

/// All flags.
#[derive(Debug, Serialize, ToSchema)]
pub struct Features {
    features: BTreeMap<String, bool>,
}

/// One flag.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feature {
    flag: String,
    enabled: bool,
    /// Whether the plans have such a flag, or somebody has set it for the project.
    is_known: bool,
}

/// The project's name, mode, plan, flags, limits, today's use and services in use.
#[utoipa::path(get, path = "/v1/project", tag = "project", responses((status = 200, body = ProjectSelf)))]
async fn project(State(app): State<App>, caller: Caller) -> Result<Json<ProjectSelf>> {
    let today = app.clock.now().date_naive();
    let mut conn = app.db.acquire().await?;
    let usage = store::list_usage(&mut conn, caller.project.id, today).await?;
    let services =
        store::list_services(&mut conn, caller.project.id, today - Days::new(SERVICES_DAYS)).await?;
    Ok(Json(ProjectSelf {
        project: caller.project.clone(),
        features: caller.features(),
        limits: caller.limits,
        usage,
        services,
    }))
}

/// All feature flags.
#[utoipa::path(get, path = "/v1/features", tag = "project", responses((status = 200, body = Features)))]
async fn features(caller: Caller) -> Json<Features> {
    Json(Features { features: caller.features() })
}

/// One feature flag; one that nobody knows is off, and says so: a caller's own default may count then.
#[utoipa::path(get, path = "/v1/features/{flag}", tag = "project", responses((status = 200, body = Feature)))]
async fn feature(caller: Caller, Path(flag): Path<String>) -> Result<Json<Feature>> {
    check_flag(&flag)?;
    let enabled = caller.feature(&flag);
    let is_known = caller.features().contains_key(&flag);
    Ok(Json(Feature { flag, enabled, is_known }))
}
