//! The page behind a Pix code or a cash ticket: what a buyer would pay elsewhere, paid here by a button.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::html::{Esc, message, page, status_badge};
use crate::app::App;
use crate::control::{Wanted, perform};
use crate::payments::Status;

/// `GET /payments/{id}/ticket`
pub(super) async fn show(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Response {
    app.change(|state, _| {
        let Some(payment) = state.payments.get(&id).filter(|payment| payment.method.is_deferred()) else {
            return missing();
        };
        let button = if payment.status == Status::Pending {
            "<form method=\"post\"><button class=\"main\">Pagar ahora</button></form>"
        } else {
            ""
        };
        let html = format!(
            "<section><h1>{} {} con {}</h1><p>{} <span class=\"soft\">operación {}</span></p>\
             <p><code>{}</code></p>{button}</section>",
            Esc(payment.site.currency),
            Esc(payment.amount.text()),
            Esc(payment.method.name),
            status_badge(payment.status.as_str()),
            payment.id,
            Esc(payment.code()),
        );
        page(StatusCode::OK, "Comprobante", &html)
    })
}

/// `POST /payments/{id}/ticket`
pub(super) async fn pay(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Response {
    let deferred = app.change(|state, _| state.payments.get(&id).is_some_and(|p| p.method.is_deferred()));
    if !deferred {
        return missing();
    }
    match perform(&app, id, "approve", Wanted::default()) {
        Ok(()) => Redirect::to(&format!("/payments/{id}/ticket")).into_response(),
        Err(_) => {
            message(StatusCode::CONFLICT, "No se puede pagar", "Este comprobante ya no está pendiente.")
        }
    }
}

fn missing() -> Response {
    message(StatusCode::NOT_FOUND, "No encontramos ese comprobante", "Revisá el enlace.")
}
