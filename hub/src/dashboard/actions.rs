//! Doing something to one thing of a shop: the API does it, the audit log has it.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;

use super::desk::{Call, Desk, shop_json};
use super::form::{Form, Sent};
use super::kinds::{Answer, Kind};
use super::lists::{self, Shown};
use super::{audit, store};
use crate::http::{Error, Result};

const REVEAL: &str = "reveal";

/// `POST /shops/{project}/{kind}/{id}/{verb}`.
pub(super) async fn act(
    State(desk): State<Desk>,
    Path((project, kind, id, verb)): Path<(String, String, String, String)>,
    Sent { operator, form }: Sent,
) -> Result<Response> {
    let kind = Kind::find(&kind)?;
    let shop = desk.shop(&project).await?;
    let path = lists::api_path(kind, &id)?;
    let mut conn = desk.app.db.acquire().await?;
    let entry = |action, outcome| audit::Entry {
        action,
        project: Some(shop.project.id),
        subject: Some(&id),
        outcome,
        address: None,
    };
    if verb == REVEAL {
        // It is known who looked before anything is seen.
        let action = format!("{}.{REVEAL}", kind.name);
        audit::write(&desk, &mut conn, &operator.name, entry(&action, "ok")).await?;
        drop(conn);
        let shown = Shown { kind, id: &id, query: &Form::default(), is_revealed: true };
        return lists::show(&desk, &operator, &shop, shown).await;
    }
    let verb = kind.verb(&verb)?;
    let action = format!("{}.{}", kind.name, verb.name);
    let written = audit::write(&desk, &mut conn, &operator.name, entry(&action, "started")).await?;
    drop(conn);
    let path = format!("{path}/{}", verb.name);
    let call = Call { idempotency_key: form.get("once"), ..Call::post(&path, verb.body(&form)) };
    let answer = desk.call(&operator, &shop, call).await;
    let outcome = answer
        .as_ref()
        .map_or_else(Error::problem, |_| trastienda_protocol::problem::Problem::new(200, "ok", "", ""));
    let mut conn = desk.app.db.acquire().await?;
    store::finish_audit(&mut conn, written, &outcome.code).await?;
    let answer = answer?;
    let back = match kind.detail_page {
        Some(_) => format!("/shops/{project}/{}/{id}", kind.name),
        None if kind.name == "templates" => format!("/shops/{project}/templates/{id}"),
        None => format!("/shops/{project}/{}", kind.name),
    };
    let done = if form.get("dry_run").is_some() { "dry-run" } else { verb.name };
    match verb.answer {
        Answer::Done => Ok(Redirect::to(&format!("{back}?done={done}")).into_response()),
        Answer::Number(field) => {
            let number = answer[field].as_i64().unwrap_or(0);
            Ok(Redirect::to(&format!("{back}?done={done}&n={number}")).into_response())
        }
        Answer::Secret(field) => {
            let context = json!({
                "shop": shop_json(&shop), "section": kind.name, "secret": answer[field], "what": verb.name, "back": back,
            });
            desk.page(&operator, "secret.html", context)
        }
    }
}
