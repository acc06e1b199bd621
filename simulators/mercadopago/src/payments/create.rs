//! `POST /v1/payments`

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::draft::Draft;
use super::input::Input;
use super::outcome::Outcome;
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::sellers::Caller;
use crate::state::{KeyUse, State as Everything};

/// Makes a payment. A key used before answers 200 with the payment it made then, whatever the body says
/// now; what was refused used up no key.
pub(crate) async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let key = idempotency_key(&headers)?;
    app.change(|state, now| {
        let used = (caller.seller.user_id, KeyUse::Payment, key);
        if let Some(payment) = state.keys.get(&used).and_then(|id| state.payments.get(id)) {
            return Ok((StatusCode::OK, Json(payment.json(&app.public_url))));
        }
        let input = Input::read(&body, &caller, now)?;
        let draft = draft(input, &caller, state, now)?;
        let id = draft.make(state, now);
        state.keys.insert(used, id);
        let payment = state.payments.get(&id).ok_or_else(ApiError::payment_not_found)?;
        Ok((StatusCode::CREATED, Json(payment.json(&app.public_url))))
    })
}

/// The key of a call, which comes before anything else in it.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> ApiResult<String> {
    headers
        .get("x-idempotency-key")
        .and_then(|key| key.to_str().ok())
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .ok_or_else(ApiError::idempotency_key_missing)
}

/// Joins what was asked with the card behind the token, which is used up by it.
fn draft(
    input: Input,
    caller: &Caller,
    state: &mut Everything,
    now: chrono::DateTime<chrono::Utc>,
) -> ApiResult<Draft> {
    let token = match &input.token {
        Some(id) => {
            let token = state.card_tokens.get_mut(id).filter(|token| token.seller == caller.seller.user_id);
            let token = token.ok_or_else(|| ApiError::bad_request(2006, "Card Token not found"))?;
            if token.used || token.expires_at <= now {
                return Err(ApiError::bad_request(3003, "Invalid card_token_id"));
            }
            Some(token)
        }
        None => None,
    };
    let method = match (input.method, &token) {
        (Some(method), Some(token)) if method.is_card() && method.id != token.method.id => {
            return Err(ApiError::bad_request(3028, "Invalid payment_method_id"));
        }
        (Some(method), None) if method.is_card() => {
            return Err(ApiError::bad_request(4000, "token attribute can't be null"));
        }
        (Some(method), _) => method,
        (None, Some(token)) => token.method,
        (None, None) => return Err(ApiError::bad_request(2131, "Cannot infer Payment Method")),
    };
    input.check_against(method, now)?;
    let mut outcome = match &token {
        Some(token) if method.is_card() => Outcome::of_holder(&token.holder),
        _ => Outcome::waiting(method),
    };
    if input.binary {
        outcome = outcome.made_binary();
    }
    if !input.capture {
        outcome = outcome.held();
    }
    let card = token.map(|token| {
        token.used = true;
        token.card.clone()
    });
    Ok(Draft {
        seller: caller.seller.user_id,
        site: caller.site,
        method,
        amount: input.amount,
        outcome,
        payer_email: input.payer_email,
        external_reference: input.external_reference,
        notification_url: input.notification_url,
        preference: None,
        card,
        expires_at: input.expires_at,
        asked: input.asked,
    })
}
