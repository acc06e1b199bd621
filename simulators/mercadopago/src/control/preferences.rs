//! `POST /control/preferences/{id}/pay`: a buyer pays, or tries to.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{Refusal, parse};
use crate::app::App;
use crate::payments::{Draft, Outcome, Status};

/// How the buyer pays. Left out: approved, by the first means of payment the seller takes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attempt {
    pub(crate) status: Option<String>,
    pub(crate) status_detail: Option<String>,
    pub(crate) method: Option<String>,
}

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let attempt: Attempt = parse(&body)?;
    let payment_id = pay(&app, &id, &attempt)?;
    app.change(|state, _| {
        let payment = state.payments.get(&payment_id).ok_or(Refusal::NotFound("payment"))?;
        Ok((StatusCode::CREATED, Json(payment.json(&app.public_url))))
    })
}

/// Makes the payment of a preference and gives its id. A preference may be paid more than once.
pub(crate) fn pay(app: &App, preference_id: &str, attempt: &Attempt) -> Result<i64, Refusal> {
    app.change(|state, now| {
        let preference = state.preferences.get(preference_id).ok_or(Refusal::NotFound("preference"))?;
        if preference.is_closed(now) {
            return Err(Refusal::Conflict("the preference has expired".to_owned()));
        }
        let method = match &attempt.method {
            Some(id) => preference.site.method(id).filter(|method| !preference.excludes(method)),
            None => preference.site.methods.iter().find(|method| !preference.excludes(method)),
        };
        let method = method.ok_or_else(|| {
            let offered: Vec<&str> = preference.site.methods.iter().map(|method| method.id).collect();
            Refusal::Invalid(format!("method must be one of {}", offered.join(", ")))
        })?;
        let detail = attempt.status_detail.as_deref();
        let outcome = match attempt.status.as_deref() {
            None | Some("approved") => Outcome::new(Status::Approved, detail.unwrap_or("accredited")),
            Some("rejected") => Outcome::rejected(detail.unwrap_or("cc_rejected_other_reason")),
            Some("in_process") => Outcome::new(Status::InProcess, detail.unwrap_or("pending_contingency")),
            Some("pending") if method.is_deferred() => Outcome::waiting(method),
            Some("pending") => {
                return Err(Refusal::Invalid("only a payment made elsewhere can be pending".to_owned()));
            }
            Some(_) => {
                return Err(Refusal::Invalid(
                    "status must be approved, rejected, in_process or pending".to_owned(),
                ));
            }
        };
        Ok(Draft::of_preference(preference, method, outcome).make(state, now))
    })
}
