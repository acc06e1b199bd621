//! The operator's dashboard: pages over the hub's own API.
//!
//! Invariants:
//! - **What it shows and does is the API's.** A page asks the same routes that a shop calls, in this process
//!   ([`desk`]), so no rule is written twice and nothing can be done here that the API would refuse.
//! - **Nobody gets in without a session** ([`session`]), and nothing is changed without its CSRF token ([`form`]).
//! - **Whatever changes something, or shows something personal, is in the audit log first** ([`actions`], [`audit`]).
//! - **Personal fields are masked until asked for** ([`mask`]); what is not known to be harmless is personal.
//! - **Nothing that shops or strangers wrote runs in the operator's page**: templates escape, no script is inline, and a
//!   rendered mail stands in a frame without scripts, origin or network ([`frame`]).
//! - Both languages stand side by side in the pages, so neither can be forgotten ([`pages`]).
//!
//! It needs no build step: HTML, one style sheet, one script of our own and htmx are compiled into the program. Everything
//! but the live renewal works without JavaScript. Without an admin token there is no dashboard.
//!
//! What it does not do: it has no roles. Whoever may log in may do everything that the admin token may.

mod account;
mod actions;
mod alerts;
mod assets;
mod audit;
mod charts;
mod curl;
mod desk;
mod form;
mod frame;
mod kinds;
mod lists;
mod live;
mod mail;
pub(crate) mod mask;
mod overview;
mod pages;
mod saved;
mod session;
mod settings;
mod shops;
mod store;
mod templates;

use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::app::App;
use crate::http::local::LocalApi;
use desk::Desk;

/// The dashboard over the API; nothing where there is no admin token.
pub(crate) fn router(app: &App, api: LocalApi) -> Router<App> {
    if app.config.admin_token.is_none() {
        return Router::new();
    }
    let desk = Desk::new(app, api);
    let open = Router::new()
        .route("/login", get(session::show).post(session::log_in))
        .route("/preferences", post(session::prefer))
        .route("/assets/{file}", get(assets::get));
    let inside = Router::new()
        .route("/", get(overview::show))
        .route("/charts", get(overview::charts))
        .route("/live", get(live::stream))
        .route("/logout", post(session::log_out))
        .route("/audit", get(audit::list))
        .route("/alerts", get(alerts::show))
        .route("/alerts/test", post(alerts::test))
        .route("/alerts/email", post(alerts::set_email))
        .route("/alerts/webhook", post(alerts::set_webhook))
        .route("/alerts/rules/{kind}", post(alerts::set_rule))
        .route("/account", get(account::show))
        .route("/account/operators", post(account::put))
        .route("/account/operators/{name}/delete", post(account::delete))
        .route("/account/log-out-everywhere", post(account::log_out_everywhere))
        .route("/shops", post(settings::create))
        .route("/shops/{project}", get(shops::show))
        .route("/shops/{project}/audit", get(audit::list_of_shop))
        .route("/shops/{project}/saved", get(saved::show))
        .route("/shops/{project}/settings", get(settings::show))
        .route("/shops/{project}/settings/rotate-key", post(settings::rotate_key))
        .route("/shops/{project}/settings/limits", post(settings::set_limits))
        .route("/shops/{project}/settings/project", post(settings::update))
        .route("/shops/{project}/settings/flag", post(settings::set_flag))
        .route("/shops/{project}/templates/{id}", get(templates::show).post(templates::save))
        .route("/shops/{project}/templates/{id}/preview", post(templates::preview))
        .route("/shops/{project}/notifications/{id}/mail", get(mail::show))
        .route("/shops/{project}/{kind}", get(lists::list))
        .route("/shops/{project}/{kind}/{id}", get(lists::detail))
        .route("/shops/{project}/{kind}/{id}/{verb}", post(actions::act));
    open.merge(inside).layer(from_fn_with_state(desk.clone(), frame::layer)).with_state(desk)
}

/// A session ends after so long without a request.
const IDLE: chrono::TimeDelta = chrono::TimeDelta::hours(12);
/// A session ends after so long whatever happens.
const LIFETIME: chrono::TimeDelta = chrono::TimeDelta::days(7);
/// How long the charts of the first page are kept: they count a day's rows.
const CHARTS_KEPT: Duration = Duration::from_mins(1);
