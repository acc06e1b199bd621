//! `/admin/v1/projects/{id}/mail-senders`: what a project may write as its `from` through the operator's SMTP servers.
//!
//! Always its own domain, which the operator gave it, and what is below that; beyond it what is listed here. Through an
//! account of its own a project writes as it likes: that server knows it.

use axum::Json;
use axum::extract::{Path, State};
use lettre::message::Mailbox;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::check::{self, Errors, Fields};
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::problem::FieldError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::http::{Error, JsonBody, Result};
use crate::notifications::store;

/// Addresses and domains.
#[derive(Debug, Serialize, ToSchema)]
pub struct Senders {
    /// Each an address, as `ventas@example.com`, or a domain, as `example.com`.
    pub senders: Vec<String>,
}

/// The operator's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// Shows what a project may write as, beside its own domain.
#[utoipa::path(get, path = "/admin/v1/projects/{id}/mail-senders", tag = "admin", responses((status = 200, body = Senders)))]
async fn get(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Senders>> {
    let project = find(&app, &id).await?;
    let mut conn = app.db.acquire().await?;
    Ok(Json(Senders { senders: store::list_senders(&mut conn, project.uuid()).await? }))
}

/// Replaces what a project may write as, beside its own domain.
#[utoipa::path(
    put, path = "/admin/v1/projects/{id}/mail-senders", tag = "admin",
    request_body = Senders, responses((status = 200, body = Senders)),
)]
async fn put(
    State(app): State<App>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Senders>> {
    let project = find(&app, &id).await?;
    let senders = read_body(&body)?;
    let mut tx = app.db.begin().await?;
    store::replace_senders(&mut tx, project, &senders, app.clock.now()).await?;
    tx.commit().await?;
    Ok(Json(Senders { senders }))
}

async fn find(app: &App, id: &str) -> Result<ProjectId> {
    let id = ProjectId::parse(id).map_err(|_| Error::NotFound("project"))?;
    let mut conn = app.db.acquire().await?;
    let found = crate::projects::store::find_project(&mut conn, id).await?;
    found.map(|project| project.id).ok_or(Error::NotFound("project"))
}

fn read_body(body: &Value) -> Result<Vec<String>, Vec<FieldError>> {
    let mut errors = Errors::default();
    let senders = Fields::of(body, &mut errors).and_then(|mut fields| {
        let senders = fields.required("senders", |value| {
            let items = value.as_array().filter(|items| items.len() <= 100);
            let items = items.ok_or("must be a list of at most 100 addresses and domains")?;
            let read: Result<Vec<String>, String> = items.iter().map(sender).collect();
            read.map(|mut senders| {
                senders.sort_unstable();
                senders.dedup();
                senders
            })
        });
        fields.finish();
        senders
    });
    errors.finish(senders)
}

fn sender(value: &Value) -> Result<String, String> {
    let wrong =
        || "each must be an address, as `ventas@example.com`, or a domain, as `example.com`".to_owned();
    let text = value.as_str().ok_or_else(wrong)?.to_lowercase();
    let address = if text.contains('@') { text.clone() } else { format!("x@{text}") };
    check::email(&Value::String(address)).map_err(|_| wrong())?;
    Ok(text)
}

/// Whether a project may write as an address through the operator's servers.
pub(crate) async fn is_allowed(
    conn: &mut PgConnection,
    project: (Uuid, &str),
    hubs: &Mailbox,
    from: &Mailbox,
) -> sqlx::Result<bool> {
    if from.email == hubs.email || covers(&project.1.to_lowercase(), from) {
        return Ok(true);
    }
    let listed = store::list_senders(conn, project.0).await?;
    Ok(listed.iter().any(|sender| covers(sender, from)))
}

/// A sender that is a domain covers what is below it.
fn covers(sender: &str, from: &Mailbox) -> bool {
    let address = from.email.to_string().to_lowercase();
    if sender.contains('@') {
        return sender == address;
    }
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    !sender.is_empty()
        && (domain == sender || domain.strip_suffix(sender).is_some_and(|rest| rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_covers_itself_and_what_is_below_and_nothing_that_only_looks_like_it() {
        let from = |text: &str| text.parse::<Mailbox>().unwrap();
        for (sender, address, expected) in [
            ("example.com", "Ana <ana@Example.com>", true),
            ("example.com", "ana@mail.example.com", true),
            ("example.com", "ana@notexample.com", false),
            ("example.com", "ana@example.com.evil.net", false),
            ("mail.example.com", "ana@example.com", false),
            ("ventas@example.com", "Ventas@example.com", true),
            ("ventas@example.com", "otra@example.com", false),
            ("", "ana@example.com", false),
        ] {
            assert_eq!(covers(sender, &from(address)), expected, "{sender} {address}");
        }
    }
}
