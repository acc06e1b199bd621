//! Who did what, when.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde_json::{Value, json};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::desk::{Desk, shop_json};
use super::session::Operator;
use super::store::{self, AuditRow};
use crate::http::Result;

const PAGE: i64 = 100;

/// Something that is done.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(super) action: &'a str,
    pub(super) project: Option<ProjectId>,
    /// What it is done to.
    pub(super) subject: Option<&'a str>,
    pub(super) outcome: &'a str,
    pub(super) address: Option<&'a str>,
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Self { action: "", project: None, subject: None, outcome: "ok", address: None }
    }
}

/// Writes an entry and gives its id.
pub(super) async fn write(
    desk: &Desk,
    conn: &mut PgConnection,
    operator: &str,
    entry: Entry<'_>,
) -> sqlx::Result<i64> {
    // A name that somebody tried is as long as they like.
    let operator: String = operator.chars().filter(|c| !c.is_control()).take(64).collect();
    tracing::info!(
        operator.action = entry.action,
        operator.outcome = entry.outcome,
        project.id = entry.project.map(tracing::field::display),
        "the operator acts"
    );
    store::insert_audit(conn, &operator, &entry, desk.app.clock.now()).await
}

fn shown(row: &AuditRow) -> Value {
    json!({
        "operator": row.operator, "action": row.action, "project_id": row.project_id.map(ProjectId::from_uuid),
        "project_name": row.project_name, "subject": row.subject, "outcome": row.outcome, "address": row.address,
        "created_at": trastienda_protocol::time::format(row.created_at),
    })
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Place {
    before: Option<i64>,
}

pub(super) async fn list(
    State(desk): State<Desk>,
    operator: Operator,
    Query(place): Query<Place>,
) -> Result<Response> {
    show(&desk, &operator, None, place, Value::Null).await
}

pub(super) async fn list_of_shop(
    State(desk): State<Desk>,
    operator: Operator,
    Path(project): Path<String>,
    Query(place): Query<Place>,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    show(&desk, &operator, Some(shop.project.id), place, shop_json(&shop)).await
}

async fn show(
    desk: &Desk,
    operator: &Operator,
    project: Option<ProjectId>,
    place: Place,
    shop: Value,
) -> Result<Response> {
    let before = place.before.unwrap_or(i64::MAX);
    let mut conn = desk.app.db.acquire().await?;
    let rows = match project {
        Some(project) => store::list_audit_of(&mut conn, project.uuid(), before, PAGE).await?,
        None => store::list_audit(&mut conn, before, PAGE).await?,
    };
    let shown: Vec<Value> = rows.iter().map(shown).collect();
    let next =
        (rows.len() == usize::try_from(PAGE).unwrap_or(0)).then(|| rows.last().map(|row| row.id)).flatten();
    desk.page(operator, "audit.html", json!({"shop": shop, "rows": shown, "next": next, "section": "audit"}))
}
