//! Webhooks out: every event goes, signed, to every endpoint that subscribed to its type.
//!
//! Invariants:
//! - A delivery is written in the transaction of its event ([`fan_out`]); the row is the job ([`deliver`]). If a
//!   worker and a place at the endpoint are free, the row is written leased and sent without a claim.
//! - What goes over the wire is Standard Webhooks: `webhook-id` is the event's id, the same in every attempt.
//! - An endpoint has at most `max_in_flight` deliveries under way from one hub; one that hangs costs the others nothing.
//! - A disabled endpoint's deliveries wait; nothing is thrown away.
//! - Only endpoints with `ordered` promise an order: one delivery in flight, a failure holds the rest.

pub mod deliver;
pub mod endpoints;
mod fan_out;
mod in_flight;
pub mod model;
pub mod recovery;
pub mod routes;
pub mod schedule;
pub(crate) mod store;
mod wire;

pub use fan_out::FanOut;
