//! The operator's list: every payment, with buttons for what could happen to it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::html::{Esc, message, page, status_badge};
use crate::app::App;
use crate::clock::written;
use crate::control::{Refusal, Wanted, perform};
use crate::payments::{Payment, Status};

/// The most rows on the page; the control interface lists all.
const ROWS: usize = 200;

/// `GET /`
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    let (rows, total) = app.change(|state, _| {
        let rows: String = state.payments.values().rev().take(ROWS).map(row).collect();
        (rows, state.payments.len())
    });
    let mut html = String::from("<section><h1>Pagos</h1>");
    if total == 0 {
        html.push_str("<p class=\"soft\">Todavía no hay ninguno. Creá una preferencia y pagala desde su init_point.</p>");
    } else {
        let _ = write!(
            html,
            "<div class=\"scroll\"><table class=\"list\"><tr><th>Operación</th><th>Referencia</th><th>Medio</th>\
             <th class=\"sum\">Importe</th><th>Estado</th><th>Qué pasa ahora</th></tr>{rows}</table></div>"
        );
    }
    if total > ROWS {
        let _ = write!(html, "<p class=\"soft\">Se muestran los últimos {ROWS} de {total}.</p>");
    }
    html.push_str("</section>");
    page(StatusCode::OK, "Pagos", &html)
}

/// `POST /operator/payments/{id}/{action}`
pub(super) async fn act(State(app): State<Arc<App>>, Path((id, action)): Path<(i64, String)>) -> Response {
    match perform(&app, id, &action, Wanted::default()) {
        Ok(()) => Redirect::to("/").into_response(),
        Err(Refusal::NotFound(_)) => {
            message(StatusCode::NOT_FOUND, "No existe", "Ese pago o esa acción no existe.")
        }
        Err(_) => message(
            StatusCode::CONFLICT,
            "No se puede",
            "El estado del pago ya no lo permite. Volvé a la lista.",
        ),
    }
}

fn row(payment: &Payment) -> String {
    let mut html = format!(
        "<tr><td>{}<br><span class=\"soft\">{}</span></td><td><code>{}</code></td><td>{}</td>\
         <td class=\"sum\">{} {}</td><td>{}<br><span class=\"soft\">{}</span></td><td>",
        payment.id,
        Esc(written(payment.created_at)),
        Esc(payment.external_reference.as_deref().unwrap_or("–")),
        Esc(payment.method.name),
        Esc(payment.site.currency),
        Esc(payment.amount.text()),
        status_badge(payment.status.as_str()),
        Esc(&payment.detail),
    );
    for (action, label) in actions(payment.status) {
        let _ = write!(
            html,
            "<form class=\"inline\" method=\"post\" action=\"/operator/payments/{}/{action}\">\
             <button class=\"small\">{label}</button></form>",
            payment.id
        );
    }
    html.push_str("</td></tr>");
    html
}

fn actions(status: Status) -> &'static [(&'static str, &'static str)] {
    match status {
        Status::Pending => &[("approve", "Aprobar"), ("reject", "Rechazar"), ("expire", "Vencer")],
        Status::InProcess => &[("approve", "Aprobar"), ("reject", "Rechazar")],
        Status::Authorized => &[("approve", "Capturar"), ("reject", "Rechazar")],
        Status::Approved => &[
            ("refund", "Devolver"),
            ("mediate", "Mediación"),
            ("chargeback", "Contracargo"),
            ("notify", "Reavisar"),
        ],
        Status::InMediation => {
            &[("approve", "A favor"), ("refund", "Devolver"), ("chargeback", "Contracargo")]
        }
        Status::Cancelled => &[("approve", "Aprobar igual"), ("notify", "Reavisar")],
        Status::Rejected | Status::Refunded | Status::ChargedBack => &[("notify", "Reavisar")],
    }
}
