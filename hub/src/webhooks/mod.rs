//! Webhooks out: every event goes, signed, to every endpoint that subscribed to its type.
//!
//! Invariants:
//! - A delivery is written in the transaction of its event ([`fan_out`]); the row is the job ([`deliver`]). If a
//!   worker and a place at the endpoint are free, the row is written leased and sent without a claim.
//! - What goes over the wire is Standard Webhooks: `webhook-id` is the event's id, the same in every attempt.
//! - An endpoint has at most `max_in_flight` deliveries under way, from all hubs together; one that hangs costs the others
//!   nothing.
//! - An endpoint that is down, or disabled, holds its deliveries: they wait, are counted, and spend no attempts ([`health`]).
//! - What goes to `agent:///path` is pulled by the project's agents ([`pull`]); everything else about it is the same.
//! - Only endpoints with `ordered` promise an order: one delivery in flight, a failure holds the rest.

pub mod deliver;
pub mod enable;
pub mod endpoints;
pub mod failure;
mod fan_out;
pub mod health;
mod in_flight;
pub mod model;
pub mod pull;
pub mod recovery;
pub mod replays;
pub mod routes;
pub mod schedule;
pub(crate) mod store;
mod warn;
pub(crate) mod wire;

pub use fan_out::FanOut;

use crate::app::App;
use crate::queue::worker;
use crate::queue::worker::Queue as _;

/// Starts the slice's queues and what watches its circuits.
pub fn start(app: &App) {
    let deliveries = worker::start(app, deliver::Deliveries::new(app));
    // Set once: a hub starts its tasks once.
    let _ = app.deliveries.set(deliveries);
    worker::start(app, replays::Replays::new(app));
    pull::start(app);
    app.shutdown.spawn(health::probe::run(app.clone()));
}

/// Says, after a commit, that deliveries may be due that were not before.
fn wake(app: &App) {
    app.wakes.wake(deliver::Deliveries::NAME);
    app.pull.exchange.look_everywhere();
}
