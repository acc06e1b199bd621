//! Alerts: what needs a person is told by mail and by webhook, once, and once more when it is over.
//!
//! Invariants:
//! - **Each thing is told once, however many hubs look and however often they start.** An alert is a row, of which one per
//!   kind and subject can be open; the mail and the event are written in the transaction that opens it ([`watch`]).
//! - **What is not known is not over.** A kind that cannot be looked at now leaves its alerts as they are ([`look`]).
//! - **What comes and goes is told once**: an alert is over only after a while of not being seen ([`kinds`]).
//! - **A database that does not answer is told from memory**, by every hub that sees it so, straight to the mail server and
//!   the webhook; it is written down when the database is back.
//! - Nothing personal is in an alert: it names shops, endpoints' hosts, agents, orders and counts.
//!
//! What it does not do: repeat itself, escalate, or wake anybody at night. That is for what receives the webhook.

pub mod kinds;
mod look;
pub(crate) mod post;
pub(crate) mod settings;
pub(crate) mod store;
mod watch;
pub(crate) mod words;

pub(crate) use settings::webhook;
pub use settings::{Configured, Rules};
pub use watch::Watch;
pub(crate) use watch::{FIRST, tell_test};

use rand::RngExt as _;

use crate::app::App;
use crate::queue::worker;

/// Starts looking and posting.
pub fn start(app: &App) {
    worker::start(app, post::AlertWebhooks(app.clone()));
    if app.config.alerts.is_watching {
        app.shutdown.spawn(run(app.clone()));
    }
}

/// Several hubs do not look at the same moment: one of them would see nothing.
async fn run(app: App) {
    let mut watch = Watch::new(&app);
    loop {
        let spread = rand::rng().random_range(0.8..1.2);
        tokio::select! {
            () = tokio::time::sleep(watch::EVERY.mul_f64(spread)) => watch.look().await,
            () = app.shutdown.token.cancelled() => return,
        }
    }
}
