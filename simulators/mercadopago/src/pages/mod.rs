//! Pages for people: the buyer's checkout, a ticket to pay, and an operator's list of payments.
//!
//! Plain HTML and forms, in Spanish, without a script or anything from elsewhere. Whatever comes from
//! outside is escaped where it is written (`html::Esc`).

mod checkout;
mod html;
mod operator;
mod ticket;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(operator::list))
        .route("/operator/payments/{id}/{action}", post(operator::act))
        .route("/checkout/v1/redirect", get(checkout::show))
        .route("/checkout/v1/pay", post(checkout::pay))
        .route("/payments/{id}/ticket", get(ticket::show).post(ticket::pay))
}
