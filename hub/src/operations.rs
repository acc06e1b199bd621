//! What watches the hub: liveness, readiness, metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::db::MIGRATOR;

/// Routes that anybody may call.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Routes of the operator.
pub fn admin_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Whether the hub can serve.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether everything that it needs is there.
    ready: bool,
    /// `ok`, or what is wrong.
    database: String,
    /// `ok`, or what is wrong.
    migrations: String,
    /// `ok`, or what is wrong.
    workers: String,
    /// What works only once it is configured, by variable.
    not_configured: Vec<&'static str>,
    /// The hub's version.
    version: &'static str,
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Database, migrations and workers are there. Names what is not configured.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
async fn readyz(State(app): State<App>) -> impl IntoResponse {
    let readiness = readiness(&app).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn readiness(app: &App) -> Readiness {
    let ok = || "ok".to_owned();
    let applied = sqlx::query_scalar!(r#"select count(*) as "count!" from _sqlx_migrations where success"#)
        .fetch_one(&app.db);
    let (database, migrations) = match applied.await {
        Ok(applied) if usize::try_from(applied).is_ok_and(|applied| applied >= MIGRATOR.iter().count()) => {
            (ok(), ok())
        }
        Ok(applied) => (
            ok(),
            format!("{applied} of {} are applied: run `trastienda-hub migrate`", MIGRATOR.iter().count()),
        ),
        Err(error) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            ("does not answer".to_owned(), "unknown".to_owned())
        }
    };
    let workers = if app.shutdown.token.is_cancelled() {
        "stopping".to_owned()
    } else if app.member.number().is_some() {
        ok()
    } else {
        "the listening connection is down".to_owned()
    };
    let ready = [&database, &migrations, &workers].iter().all(|part| *part == "ok");
    Readiness {
        ready,
        database,
        migrations,
        workers,
        not_configured: not_configured(app),
        version: env!("CARGO_PKG_VERSION"),
    }
}

fn not_configured(app: &App) -> Vec<&'static str> {
    let settings = [
        (app.config.smtp_url.is_none(), "TRASTIENDA_SMTP_URL"),
        (app.config.admin_token.is_none(), "TRASTIENDA_ADMIN_TOKEN"),
    ];
    settings.into_iter().filter(|(missing, _)| *missing).map(|(_, name)| name).collect()
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, content_type = "text/plain")))]
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render())
}
