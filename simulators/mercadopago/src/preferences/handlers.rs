//! `/checkout/preferences`: make, read, change, search.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Preference;
use super::validate::validate;
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::sellers::Caller;

/// `POST /checkout/preferences`. Nothing is deduplicated: the same body twice makes two.
pub(crate) async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    body: Bytes,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let valid = validate(&parse(&body)?, caller.site, app.config.http_back_urls)?;
    let preference = app.change(|state, now| {
        let preference = Preference {
            id: format!("{}-{}", caller.seller.user_id, state.ids.draws().uuid()),
            seller: caller.seller.user_id,
            site: caller.site,
            body: valid.body,
            total: valid.total,
            created_at: now,
            updated_at: None,
        };
        state.preferences.insert(preference.id.clone(), preference.clone());
        preference
    });
    Ok((StatusCode::CREATED, Json(preference.json(&app.public_url))))
}

/// `GET /checkout/preferences/{id}`
pub(crate) async fn get(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    app.change(|state, _| {
        state
            .find_preference(caller.seller.user_id, &id)
            .map(|preference| Json(preference.json(&app.public_url)))
    })
    .ok_or_else(not_found)
}

/// `PUT /checkout/preferences/{id}`: the fields given replace the old ones, the rest stays.
pub(crate) async fn update(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    let Value::Object(given) = parse(&body)? else {
        return Err(ApiError::preference("bad_request", "invalid body"));
    };
    app.change(|state, now| {
        let known = state.find_preference(caller.seller.user_id, &id).ok_or_else(not_found)?;
        let mut merged = known.body.clone();
        merged.extend(given);
        let valid = validate(&Value::Object(merged), caller.site, app.config.http_back_urls)?;
        let preference = state.preferences.get_mut(&id).ok_or_else(not_found)?;
        preference.body = valid.body;
        preference.total = valid.total;
        preference.updated_at = Some(now);
        Ok(Json(preference.json(&app.public_url)))
    })
}

/// `GET /checkout/preferences/search`: newest first, in `elements`.
pub(crate) async fn search(
    caller: Caller,
    State(app): State<Arc<App>>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (limit, offset) = (number("limit").unwrap_or(30), number("offset").unwrap_or(0));
    let wanted = query.get("external_reference");
    app.change(|state, _| {
        let mut found: Vec<&Preference> = state
            .preferences
            .values()
            .filter(|preference| preference.seller == caller.seller.user_id)
            .filter(|preference| {
                wanted.is_none_or(|wanted| preference.external_reference() == Some(wanted.as_str()))
            })
            .collect();
        found.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        let elements: Vec<Value> =
            found.iter().skip(offset).take(limit).map(|preference| preference.element()).collect();
        let next = offset.saturating_add(elements.len());
        Json(json!({"elements": elements, "next_offset": next, "total": found.len()}))
    })
}

fn parse(body: &[u8]) -> ApiResult<Value> {
    serde_json::from_slice(body).map_err(|_| ApiError::preference("bad_request", "invalid JSON"))
}

fn not_found() -> ApiError {
    ApiError::not_found("preference not found")
}
