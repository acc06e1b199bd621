//! Lists and what is listed, as the API shows it, with personal fields masked.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Value, json};

use super::desk::{Call, Desk, shop_json};
use super::form::Form;
use super::kinds::Kind;
use super::mask;
use super::session::Operator;
use super::{curl, store};
use crate::http::{Error, Result};
use crate::projects::model::ProjectContext;
use trastienda_protocol::ids::Id as _;

/// A list with its filters and its next page.
pub(super) async fn list(
    State(desk): State<Desk>,
    operator: Operator,
    Path((project, kind)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let kind = Kind::find(&kind)?;
    let shop = desk.shop(&project).await?;
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    // Whoever has an id wants that one.
    if let Some(id) = query.get("id").filter(|_| kind.detail_page.is_some()) {
        api_path(kind, id)?;
        return Ok(Redirect::to(&format!("/shops/{project}/{}/{id}", kind.name)).into_response());
    }
    let filters: serde_json::Map<String, Value> = kind
        .filters
        .iter()
        .map(|name| ((*name).to_owned(), query.get(name).unwrap_or_default().into()))
        .collect();
    let given = |name: &&'static str| Some((*name, query.get(name)?));
    // The next page's address: the same filters, and its cursor.
    let more = query_of(kind.filters.iter().filter_map(given));
    let asked = kind.filters.iter().chain(["cursor"].iter()).filter_map(given);
    let path = format!(
        "{}?{}",
        kind.api,
        query_of(asked.chain(kind.fixed.iter().copied()).chain([("limit", "50")]))
    );
    let (page, problem) = match desk.call(&operator, &shop, Call::get(&path)).await {
        Ok(page) => (page, None),
        // A filter that means nothing is said beside the form, not instead of it.
        Err(error @ (Error::Problem(_) | Error::Invalid(_))) => {
            (json!({"data": [], "next_cursor": null}), Some(error.problem()))
        }
        Err(error) => return Err(error),
    };
    let mut rows = page["data"].clone();
    for row in rows.as_array_mut().into_iter().flatten() {
        mask::mask_at(row, kind.personal);
    }
    let context = json!({
        "shop": shop_json(&shop), "section": kind.name, "rows": rows, "next_cursor": page["next_cursor"],
        "filters": filters, "more": more, "problem": problem, "done": done(&query), "number": number(&query),
    });
    desk.page(&operator, kind.list_page, context)
}

/// A query of these pairs.
pub(super) fn query_of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// One thing, masked.
pub(super) async fn detail(
    State(desk): State<Desk>,
    operator: Operator,
    Path((project, kind, id)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let kind = Kind::find(&kind)?;
    let shop = desk.shop(&project).await?;
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    show(&desk, &operator, &shop, Shown { kind, id: &id, query: &query, is_revealed: false }).await
}

/// What is to be shown, and how.
pub(super) struct Shown<'a> {
    pub(super) kind: &'static Kind,
    pub(super) id: &'a str,
    pub(super) query: &'a Form,
    pub(super) is_revealed: bool,
}

/// The page of one thing.
pub(super) async fn show(
    desk: &Desk,
    operator: &Operator,
    shop: &Arc<ProjectContext>,
    shown: Shown<'_>,
) -> Result<Response> {
    let Shown { kind, id, query, is_revealed } = shown;
    let page = kind.detail_page.ok_or(Error::NotFound("page"))?;
    let path = api_path(kind, id)?;
    let mut thing = desk.call(operator, shop, Call::get(&path)).await?;
    let extra = extra(desk, operator, shop, (kind.name, id), (&thing, is_revealed)).await?;
    if !is_revealed {
        mask::mask_at(&mut thing, kind.personal);
    }
    let context = json!({
        "shop": shop_json(shop), "section": kind.name, "kind": kind.name, "it": thing, "extra": extra,
        "is_revealed": is_revealed, "done": done(query), "number": number(query),
        // A form that is sent twice is one action.
        "once": hex::encode(desk.app.ids.uuid(desk.app.clock.now()).as_bytes()),
    });
    desk.page(operator, page, context)
}

/// What a page shows besides the thing itself.
async fn extra(
    desk: &Desk,
    operator: &Operator,
    shop: &Arc<ProjectContext>,
    (kind, id): (&str, &str),
    (thing, is_revealed): (&Value, bool),
) -> Result<Value> {
    match kind {
        "deliveries" => curl::extra(desk, operator, shop, thing, is_revealed).await,
        "endpoints" => {
            let stats = format!("/v1/webhook-endpoints/{id}/stats");
            let stats = desk.call(operator, shop, Call::get(&stats)).await?;
            let recent = format!("/v1/webhook-deliveries?limit=10&endpoint={id}");
            let recent = desk.call(operator, shop, Call::get(&recent)).await?;
            Ok(json!({"stats": stats, "recent": recent["data"]}))
        }
        "notifications" if is_revealed => Ok(json!({"ticket": operator.ticket(id)})),
        "payments" => {
            let mut conn = desk.app.db.acquire().await?;
            let cases =
                store::list_open_cases(&mut conn, shop.project.id.uuid(), thing["order_id"].as_str()).await?;
            Ok(json!({"cases": cases}))
        }
        _ => Ok(Value::Null),
    }
}

/// The API's address of a thing. What is no id is nothing.
pub(super) fn api_path(kind: &Kind, id: &str) -> Result<String> {
    let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if is_id && !id.is_empty() && !id.starts_with('.') {
        Ok(format!("{}/{id}", kind.api))
    } else {
        Err(Error::NotFound("page"))
    }
}

/// Which action the page before this one did; one of ours, or nothing.
pub(super) fn done(query: &Form) -> String {
    query
        .get("done")
        .filter(|done| done.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .unwrap_or_default()
        .to_owned()
}

fn number(query: &Form) -> i64 {
    query.get("n").and_then(|text| text.parse().ok()).unwrap_or(0)
}
