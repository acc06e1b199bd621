//! `GET /v1/event-types`.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::EventType;
use crate::app::App;
use crate::http::auth::Caller;

/// The route.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The catalogue.
#[derive(Debug, Serialize, ToSchema)]
struct EventTypes {
    /// The types, all of them.
    data: Vec<EventType>,
    /// Always null: there is one page.
    next_cursor: Option<String>,
}

/// Lists the event types that the hub knows, each with the JSON Schema (2020-12) of its `data` and an example. A shop's
/// own types need no entry.
#[utoipa::path(get, path = "/v1/event-types", tag = "events", responses((status = 200, body = EventTypes)))]
async fn list(_: Caller) -> Json<EventTypes> {
    Json(EventTypes { data: super::list(), next_cursor: None })
}
