//! The OpenAPI document, made from the code, and the page that shows it.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

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

/// The document once it has all routes: says how each is opened.
pub fn finish(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for (_, response) in
                operation.responses.responses.iter_mut().filter(|(code, _)| code.starts_with(['4', '5']))
            {
                name_problem(response);
            }
            let refusal = operation.responses.responses.entry("default".to_owned());
            refusal.or_insert_with(|| RefOr::T(refused()));
        }
        let scheme = match path.as_str() {
            path if path.starts_with("/v1/") => "api_key",
            path if path.starts_with("/admin/") || path == "/metrics" => "admin_token",
            _ => continue,
        };
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            operation.security = Some(vec![SecurityRequirement::new(scheme, Vec::<String>::new())]);
        }
    }
    document
}

/// A refusal that is described as JSON is a problem document.
fn name_problem(response: &mut RefOr<Response>) {
    const PROBLEM: &str = "#/components/schemas/Problem";
    let RefOr::T(response) = response else { return };
    let is_problem = |content: &RefOr<Content>| {
        let RefOr::T(content) = content else { return false };
        matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location == PROBLEM)
    };
    if response.content.get("application/json").is_some_and(is_problem)
        && let Some(content) = response.content.shift_remove("application/json")
    {
        response.content.insert(trastienda_protocol::problem::CONTENT_TYPE.to_owned(), content);
    }
}

/// Whatever an operation does not name: a refusal, always of the same form.
fn refused() -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new()
        .description("A refusal, or a failure of the hub's")
        .content(trastienda_protocol::problem::CONTENT_TYPE, problem)
        .build()
}

/// The published document, which a test holds equal to the code's: the code's takes megabytes to make and to keep.
const PUBLISHED: &str = include_str!("../../docs/openapi.json");

/// `/openapi.json` and the page at `/docs` that shows it, with nothing loaded from elsewhere.
pub fn docs() -> Router<App> {
    let page: Router<App> = SwaggerUi::new("/docs").config(Config::new(["/openapi.json"])).into();
    page.route("/openapi.json", get(|| async { ([(CONTENT_TYPE, "application/json")], PUBLISHED) }))
}

/// The document without a running hub, pretty-printed: what is published as `docs/openapi.json`.
pub fn document_json() -> anyhow::Result<String> {
    Ok(crate::router::document().to_pretty_json()?)
}
