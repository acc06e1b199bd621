//! `/control/notices`: what was sent, and how it was answered.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, parse};
use crate::app::App;
use crate::webhooks::{Attempt, Notice, Topic};

/// `GET`: every attempt, oldest first; `?data_id=` for one payment or order.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let wanted = query.get("data_id");
    let attempts: Vec<Value> = app
        .dispatcher
        .log()
        .iter()
        .filter(|attempt| wanted.is_none_or(|wanted| *wanted == attempt.data_id))
        .map(Attempt::json)
        .collect();
    Json(json!({"notices": attempts}))
}

/// Where to send a ping.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    user_id: i64,
    url: Option<String>,
}

/// `POST /control/notices/ping`: the panel's test, about a payment 123456 that does not exist.
pub(super) async fn ping(State(app): State<Arc<App>>, body: Bytes) -> Result<StatusCode, Refusal> {
    let target: Target = parse(&body)?;
    let notice = app.change(|state, _| {
        let seller = state.find_seller(target.user_id).ok_or(Refusal::NotFound("seller"))?;
        let url = target.url.or_else(|| seller.webhook_url.clone());
        Ok(Notice {
            topic: Topic::Ping,
            url: url.ok_or_else(|| Refusal::Invalid("url is needed: the seller has none".to_owned()))?,
            data_id: "123456".to_owned(),
            user_id: seller.user_id,
            secret: seller.webhook_secret.clone(),
            forged: false,
        })
    })?;
    app.dispatcher.send_one(notice);
    Ok(StatusCode::ACCEPTED)
}
