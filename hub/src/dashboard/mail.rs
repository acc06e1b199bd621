//! A rendered mail, for a frame of the page that showed it: only with the ticket of whoever asked to see it there.

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use super::desk::{Call, Desk};
use super::frame;
use super::session::Operator;
use crate::http::{Error, Result};

#[derive(Debug, serde::Deserialize)]
pub(super) struct Ticket {
    ticket: Option<String>,
}

pub(super) async fn show(
    State(desk): State<Desk>,
    operator: Operator,
    Path((project, id)): Path<(String, String)>,
    Query(given): Query<Ticket>,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let given = given.ticket.unwrap_or_default();
    if !bool::from(given.as_bytes().ct_eq(operator.ticket(&id).as_bytes())) {
        return Err(Error::Forbidden {
            code: "not_asked_for",
            detail: "the mail's contents are shown from its page, where it is noted who looked".to_owned(),
        });
    }
    let path = format!("/v1/notifications/{id}");
    let notification = desk.call(&operator, &shop, Call::get(&path)).await?;
    let html = notification["content"]["html"].as_str().unwrap_or_default().to_owned();
    Ok(framed(html))
}

/// Somebody's HTML, for a frame in which it can do nothing.
pub(super) fn framed(html: String) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, frame::MAIL)], Html(html)).into_response()
}
