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

/// A notice to be sent whatever happened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    user_id: i64,
    url: Option<String>,
    topic: Kind,
    data_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Of the Orders API, signed over its id as it is.
    Order,
    /// The same, signed over its id in lower case.
    OrderLowered,
    /// The unsigned hint about a payment.
    Hint,
    /// The same with a signature that means nothing.
    HintWithGarbage,
}

/// `POST /control/notices`: a notice that no payment of this simulator causes.
pub(super) async fn send(State(app): State<Arc<App>>, body: Bytes) -> Result<StatusCode, Refusal> {
    let wanted: Wanted = parse(&body)?;
    let (topic, forged) = match wanted.topic {
        Kind::Order => (Topic::Order { lowered: false }, false),
        Kind::OrderLowered => (Topic::Order { lowered: true }, false),
        Kind::Hint => (Topic::HintOfPayment, false),
        Kind::HintWithGarbage => (Topic::HintOfPayment, true),
    };
    let target = Target { user_id: wanted.user_id, url: wanted.url };
    app.dispatcher.send_one(target.notice(&app, topic, wanted.data_id, forged)?);
    Ok(StatusCode::ACCEPTED)
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
    app.dispatcher.send_one(target.notice(&app, Topic::Ping, "123456".to_owned(), false)?);
    Ok(StatusCode::ACCEPTED)
}

impl Target {
    fn notice(self, app: &App, topic: Topic, data_id: String, forged: bool) -> Result<Notice, Refusal> {
        app.change(|state, _| {
            let seller = state.find_seller(self.user_id).ok_or(Refusal::NotFound("seller"))?;
            let url = self.url.or_else(|| seller.webhook_url.clone());
            Ok(Notice {
                topic,
                url: url.ok_or_else(|| Refusal::Invalid("url is needed: the seller has none".to_owned()))?,
                data_id,
                user_id: seller.user_id,
                secret: seller.webhook_secret.clone(),
                forged,
            })
        })
    }
}
