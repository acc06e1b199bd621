//! Card tokens: what a browser turns a card into, with the seller's public key.
//!
//! The number and the security code are looked at and dropped; only what the real one shows is kept. A
//! token pays once and lives seven days.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::app::App;
use crate::clock::written;
use crate::error::{ApiError, ApiResult};
use crate::sites::Method;

/// A card as a payment sees it.
#[derive(Clone, Debug)]
pub(crate) struct CardToken {
    pub(crate) seller: i64,
    pub(crate) method: &'static Method,
    pub(crate) used: bool,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) holder: String,
    /// The `card` of a payment made with it.
    pub(crate) card: Value,
}

/// `POST /v1/card_tokens`, with `?public_key=` or with the seller's access token.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let bearer = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let bearer = bearer.and_then(|header| header.split_once(' ')).map(|(_, token)| token);
    let given = query.get("public_key").map(String::as_str).or(bearer);
    let given = given.ok_or_else(ApiError::no_authorization)?.to_owned();
    let body: Value = serde_json::from_slice(&body).map_err(|_| ApiError::bad_request(1, "Invalid JSON"))?;
    app.change(|state, now| {
        let by_key = state.sellers.iter().find(|seller| seller.public_key == given);
        let seller = by_key.or_else(|| state.seller_of(&given)).ok_or_else(ApiError::invalid_token)?;
        let site = seller.site().ok_or_else(ApiError::invalid_token)?;
        let fields = Fields::read(&body)?;
        let method =
            site.brand(&fields.number).ok_or_else(|| ApiError::bad_request(316, "invalid card_number"))?;
        let user_id = seller.user_id;
        let id = state.ids.draws().hex();
        let expires_at = now + TimeDelta::days(7);
        let card = json!({
            "id": null,
            "first_six_digits": fields.number.get(..6),
            "last_four_digits": fields.number.get(fields.number.len() - 4..),
            "expiration_month": fields.month,
            "expiration_year": fields.year,
            "date_created": written(now),
            "date_last_updated": written(now),
            "cardholder": {"name": fields.holder, "identification": fields.identification},
        });
        let mut answer = card.clone();
        answer["id"] = json!(id);
        answer["status"] = json!("active");
        answer["date_due"] = json!(written(expires_at));
        answer["live_mode"] = json!(true);
        answer["luhn_validation"] = json!(true);
        answer["require_esc"] = json!(false);
        answer["security_code_length"] = json!(fields.code_length);
        answer["card_number_length"] = json!(fields.number.len());
        let token =
            CardToken { seller: user_id, method, used: false, expires_at, holder: fields.holder, card };
        state.card_tokens.insert(id, token);
        Ok((StatusCode::CREATED, Json(answer)))
    })
}

struct Fields {
    number: String,
    month: i64,
    year: i64,
    holder: String,
    identification: Value,
    code_length: usize,
}

impl Fields {
    fn read(body: &Value) -> ApiResult<Self> {
        let refuse = ApiError::bad_request;
        let number: String =
            text(body, "card_number").chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if number.is_empty() {
            return Err(refuse(205, "parameter card_number cannot be null/empty"));
        }
        if !(13..=19).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse(316, "invalid card_number"));
        }
        let month = whole(body, "expiration_month")
            .ok_or_else(|| refuse(208, "parameter expiration_month cannot be null/empty"))?;
        let year = whole(body, "expiration_year")
            .ok_or_else(|| refuse(209, "parameter expiration_year cannot be null/empty"))?;
        if !(1..=12).contains(&month) {
            return Err(refuse(325, "invalid parameter expiration_month"));
        }
        let year = if year < 100 { year + 2000 } else { year };
        if !(2000..2100).contains(&year) {
            return Err(refuse(326, "invalid parameter expiration_year"));
        }
        let holder = body.pointer("/cardholder/name").and_then(Value::as_str).unwrap_or_default().trim();
        if holder.is_empty() {
            return Err(refuse(221, "parameter cardholder.name cannot be null/empty"));
        }
        let code = text(body, "security_code");
        if code.is_empty() {
            return Err(refuse(224, "parameter security_code cannot be null/empty"));
        }
        Ok(Self {
            number,
            month,
            year,
            holder: holder.to_owned(),
            identification: body.pointer("/cardholder/identification").cloned().unwrap_or(Value::Null),
            code_length: code.len(),
        })
    }
}

/// A field that forms send as a text or as a number.
fn text(body: &Value, name: &str) -> String {
    match body.get(name) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn whole(body: &Value, name: &str) -> Option<i64> {
    text(body, name).parse().ok()
}
