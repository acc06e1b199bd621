//! The OpenAPI document, made from the code, and the page that shows it.

use axum::Router;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Trastienda",
        description = "The backend that many online shops share. Every refusal is a problem document (RFC 9457).",
    ),
    components(schemas(trastienda_protocol::problem::Problem))
)]
struct Document;

/// The document before the routes.
pub fn base() -> OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-KEY")));
    components.add_security_scheme("api_key", key);
    components.add_security_scheme(
        "admin_token",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
    );
    document
}

/// `/openapi.json` and the page at `/docs` that shows it, with nothing loaded from elsewhere.
pub fn docs(document: &OpenApi) -> Router<App> {
    SwaggerUi::new("/docs").url("/openapi.json", document.clone()).into()
}

/// The document without a running hub, pretty-printed: what is published as `docs/openapi.json`.
pub fn document_json() -> anyhow::Result<String> {
    Ok(crate::router::document().to_pretty_json()?)
}
