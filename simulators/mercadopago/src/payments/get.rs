//! `GET /v1/payments/{id}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::Value;

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::sellers::Caller;

/// A payment as it stands; another seller's is not found.
pub(crate) async fn get(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    app.change(|state, _| {
        state.find_payment(caller.seller.user_id, &id).map(|payment| Json(payment.json(&app.public_url)))
    })
    .ok_or_else(ApiError::payment_not_found)
}
