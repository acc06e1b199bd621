//! Notifications.
use crate::app::App;
pub mod routes {
    //! Routes.
    use crate::app::App;
    use utoipa_axum::router::OpenApiRouter;
    /// Routes.
    pub fn router() -> OpenApiRouter<App> {
        OpenApiRouter::new()
    }
}
pub mod open {
    //! Routes.
    use crate::app::App;
    use utoipa_axum::router::OpenApiRouter;
    /// Routes.
    pub fn router() -> OpenApiRouter<App> {
        OpenApiRouter::new()
    }
}
/// Starts the queue.
pub fn start(_app: &App) {}
/// One operation of a batch.
pub(crate) async fn batch(
    _app: &App,
    _context: &std::sync::Arc<crate::projects::model::ProjectContext>,
    _operation: trastienda_protocol::batch::Operation,
) -> crate::http::Result<trastienda_protocol::batch::OperationResult> {
    Err(crate::http::Error::Unavailable("this service"))
}
