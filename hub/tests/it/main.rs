//! The hub over its router and a real PostgreSQL, a database per test. Files mirror the slices.
//!
//! [`support::TestApp`] is the harness: it builds the hub with a clock that stands still, speaks to the router in
//! memory, and makes projects through the public API. Jobs run in the same process and are waited for by their
//! effects, never by time.

mod admin;
mod alerts;
mod backup;
mod batch;
mod cli;
mod dashboard;
mod errors;
mod event_types;
mod events;
mod fairness;
mod fleet;
mod fuzz;
mod hostile;
mod keys;
mod limits;
mod metrics;
mod model;
mod notifications;
mod operations;
mod payments;
mod plans;
mod pull;
mod retention;
mod seal;
mod server;
mod several;
mod support;
mod together;
mod upgrades;
mod webhooks;
mod webhooks_health;
mod webhooks_recovery;
