//! Payments: the truth about every order, whatever the provider and the network do.
//!
//! Invariants:
//! - **Never twice.** The row, the provider's key and the caller's `Idempotency-Key` commit before a call leaves
//!   ([`create`]); an unknown outcome is looked into before anything is sent again ([`work`]).
//! - **Unknown is a state.** A call that timed out is neither paid nor failed; it is asked about until it is known.
//! - **Nothing is believed but the provider's own answer.** A notice says which payment to ask about ([`inbound`],
//!   [`notices`]); with every notice lost, asking finds out as well: the account what changed ([`sweep`]), and about
//!   each payment on a schedule ([`schedule`]).
//! - **Order of arrival does not matter.** Status is a pure function of the provider's payments as last seen
//!   ([`status`]), moved under the row's lock, and its events commit with it ([`settle`]).
//! - Timeline, logs and metrics hold nothing personal and no card data.
//!
//! - **What cannot be decided here becomes a case** ([`cases`]): raised once, closed by a person; the provider's books
//!   are compared with ours and with the shop's reports every day ([`reconcile`]).
//!
//! Not here: what a card's number is (the browser makes a token of it).
//! Read next: [`provider`] for what a provider has to say, [`routes`] for what callers may ask.

mod at_once;
mod batch;
mod calls;
pub mod cases;
mod changes;
mod confirm;
mod create;
mod credentials;
pub mod inbound;
mod lanes;
pub mod model;
mod notices;
mod provider;
pub mod reconcile;
mod refunds;
mod request;
pub mod routes;
mod schedule;
mod settle;
pub mod setup;
pub mod status;
mod store;
mod sweep;
mod waiters;
pub(crate) mod work;

use chrono::TimeDelta;

use crate::app::App;
use crate::queue::worker;

pub(crate) use batch::apply as batch;

/// How long notices are kept once they are over.
const NOTICES_KEPT: TimeDelta = TimeDelta::days(30);

/// Starts the queues.
pub fn start(app: &App) {
    let payments = worker::start(app, work::Jobs::<false>(app.clone()));
    // Set once: a hub starts its tasks once.
    let _ = app.payments.set(payments);
    worker::start(app, work::Jobs::<true>(app.clone()));
    worker::start(app, notices::Notices(app.clone()));
    worker::start(app, sweep::Sweeps(app.clone()));
    app.shutdown.spawn(reconcile::start(app.clone()));
    app.shutdown.spawn(forget_notices(app.clone()));
}

/// Forgets old notices, once an hour.
async fn forget_notices(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_hours(1)) => {}
            () = app.shutdown.token.cancelled() => return,
        }
        if let Err(error) = store::delete_notices_over(&app.db, app.clock.now() - NOTICES_KEPT).await {
            tracing::warn!(%error, "old notices were not forgotten");
        }
    }
}
