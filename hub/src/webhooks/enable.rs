//! `POST /v1/webhook-endpoints/{id}/enable`: the end of being disabled, and what becomes of what was held meanwhile.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use trastienda_protocol::check::{self, Errors, Fields};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::endpoints::{parse_id, show};
use super::model::Endpoint;
use super::store;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::{Error, JsonBody, Result};

/// The route.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(enable))
}

/// What to do with the deliveries that were held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backlog {
    /// They go, oldest first.
    Send,
    /// They fail, and can be replayed later.
    Skip,
}

impl Backlog {
    const CHOICES: &'static [(&'static str, Self)] = &[("send", Self::Send), ("skip", Self::Skip)];

    fn parse(body: &Value) -> Result<Self> {
        let mut errors = Errors::default();
        let backlog = Fields::of(body, &mut errors).map(|mut fields| {
            let backlog = fields.optional("backlog", check::one_of(Self::CHOICES)).unwrap_or(Self::Send);
            fields.finish();
            backlog
        });
        Ok(errors.finish(backlog)?)
    }
}

/// An endpoint that receives again, and what became of the deliveries that it had missed.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointEnabled {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// What is done with what was held: `send` (unless the body says otherwise) or `skip`.
    backlog: Backlog,
    /// How many deliveries that concerns.
    backlog_count: i64,
}

/// Lets a disabled endpoint receive again, with its circuit closed. What was held goes now; with `"backlog": "skip"` it
/// fails instead, and can be replayed later.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/enable", tag = "webhooks", responses((status = 200, body = EndpointEnabled)))]
async fn enable(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<EndpointEnabled>> {
    let id = parse_id(&id)?;
    let backlog = Backlog::parse(&body)?;
    let (project, now) = (caller.project.id, app.clock.now());
    let mut tx = app.db.begin().await?;
    store::find_endpoint(&mut tx, project, id).await?.ok_or(Error::NotFound("endpoint"))?;
    let backlog_count = match backlog {
        Backlog::Send => store::count_held(&mut tx, project, id).await?,
        Backlog::Skip => store::skip_held(&mut tx, project, id, now).await?,
    };
    store::enable_endpoint(&mut tx, project, id, now).await?;
    let row = store::find_endpoint(&mut tx, project, id).await?.ok_or(Error::NotFound("endpoint"))?;
    let endpoint = show(&app, &mut tx, project, row).await?;
    tx.commit().await?;
    super::wake(&app);
    Ok(Json(EndpointEnabled { endpoint, backlog, backlog_count }))
}
