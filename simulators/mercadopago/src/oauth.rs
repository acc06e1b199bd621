//! `POST /oauth/token`: how a marketplace gets a seller's token, and another before it ends.
//!
//! Each refresh gives a new refresh token and makes the old one worthless, as the real one does: who does not keep the
//! new one has lost the seller. A seller's code is `TG-code-<user_id>`, and works once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extracted;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::state::State;

/// How long a token lives: 180 days.
const LIFE_SECONDS: u32 = 15_552_000;

/// The tokens that were given out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Whose an access token is.
    pub(crate) access: HashMap<String, i64>,
    refresh: HashMap<String, i64>,
    used_codes: HashSet<String>,
}

/// Gives a token for a code or for a refresh token.
pub(crate) async fn token(Extracted(app): Extracted<Arc<App>>, body: Bytes) -> ApiResult<Json<Value>> {
    let body = read(&body).ok_or_else(|| ApiError::bad_request(1, "Params Error"))?;
    let text = |name: &str| body.get(name).map(String::as_str).unwrap_or_default();
    if text("client_id").is_empty() || text("client_secret").is_empty() {
        return Err(ApiError::grant("invalid_client", "invalid client_id or client_secret"));
    }
    app.change(|state, _| {
        let user_id = match text("grant_type") {
            "authorization_code" => {
                let code = text("code");
                let user_id = code.strip_prefix("TG-code-").and_then(|id| id.parse().ok());
                user_id.filter(|_| state.tokens.used_codes.insert(code.to_owned()))
            }
            "refresh_token" => state.tokens.refresh.remove(text("refresh_token")),
            _ => return Err(ApiError::grant("unsupported_grant_type", "grant_type is not supported")),
        };
        let seller = user_id.filter(|id| state.find_seller(*id).is_some());
        let user_id = seller.ok_or_else(|| {
            ApiError::grant("invalid_grant", "the code or refresh token is invalid, expired or was used")
        })?;
        Ok(Json(give(state, user_id)))
    })
}

fn give(state: &mut State, user_id: i64) -> Value {
    let draws = state.ids.draws();
    let access = format!("APP_USR-1000000000000001-112400-{}-{user_id}", draws.hex());
    let refresh = format!("TG-{}-{user_id}", draws.hex());
    state.tokens.access.insert(access.clone(), user_id);
    state.tokens.refresh.insert(refresh.clone(), user_id);
    let public_key = state.find_seller(user_id).map(|seller| seller.public_key.clone());
    json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": LIFE_SECONDS,
        "scope": "offline_access read write",
        "user_id": user_id,
        "refresh_token": refresh,
        "public_key": public_key,
        "live_mode": true,
    })
}

/// JSON as the SDKs send it, or a form as OAuth has it.
fn read(body: &[u8]) -> Option<HashMap<String, String>> {
    if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return Some(fields.into_iter().map(|(name, value)| (name, text(value))).collect());
    }
    Some(url::form_urlencoded::parse(body).into_owned().collect())
}
