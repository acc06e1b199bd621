//! `/control/sellers`: who exists, with the credentials to use.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, parse};
use crate::app::App;
use crate::sellers::{NewSeller, Seller};

/// `GET`
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let sellers: Vec<Value> = app.change(|state, _| state.sellers.iter().map(Seller::json).collect());
    Json(json!({"sellers": sellers}))
}

/// `POST`: adds one; everything left out is made up.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let new: NewSeller = parse(&body)?;
    app.change(|state, _| {
        let seller = Seller::made(new, &mut state.ids)
            .ok_or_else(|| Refusal::Invalid("site must be a known country".to_owned()))?;
        let taken = state.sellers.iter().any(|known| {
            known.user_id == seller.user_id
                || known.access_token == seller.access_token
                || known.public_key == seller.public_key
        });
        if taken {
            return Err(Refusal::Conflict("another seller has that number, token or key".to_owned()));
        }
        let answer = seller.json();
        state.sellers.push(seller);
        Ok((StatusCode::CREATED, Json(answer)))
    })
}

/// What of a seller can be changed, as in the panel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    webhook_url: Option<String>,
    webhook_secret: Option<String>,
}

/// `PATCH /control/sellers/{user_id}`: the address and the secret of the panel.
pub(super) async fn update(
    State(app): State<Arc<App>>,
    Path(user_id): Path<i64>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let change: Change = parse(&body)?;
    app.change(|state, _| {
        let seller = state.sellers.iter_mut().find(|seller| seller.user_id == user_id);
        let seller = seller.ok_or(Refusal::NotFound("seller"))?;
        if let Some(url) = change.webhook_url {
            seller.webhook_url = Some(url).filter(|url| !url.is_empty());
        }
        if let Some(secret) = change.webhook_secret {
            seller.webhook_secret = secret;
        }
        Ok(Json(seller.json()))
    })
}
