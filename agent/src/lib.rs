//! Trastienda's agent: the shop's calls are safe on this host's disk before the shop goes on.
//!
//! It serves the hub's own HTTP API on a Unix socket (and, when asked, on a loopback port). Events and
//! notifications are checked, committed to the [`buffer`] and acknowledged, whether or not the hub can
//! be reached; [`forward`] hands them over in batches and deletes them only after the hub's answer.
//! Everything else passes through ([`proxy`]). The other way round, webhooks are pulled from the hub and posted to the
//! application ([`pull`]), for shops that nothing outside can reach.
//!
//! The way of an event: [`server`] → [`buffer`] (commit, 202) → [`forward`] → the hub's `POST /v1/batch`.
//!
//! Invariants: what was acknowledged is never dropped; the same id is the same thing; the API key is
//! never printed, logged or stored; the shop's bytes are kept and sent as they came.
//!
//! What it deliberately does not do: no retries on behalf of the caller for calls that pass through,
//! no queries about what is at the hub, no shared state between agents.

pub mod activation;
pub mod agent;
pub mod buffer;
pub mod cli;
pub mod config;
mod features;
mod forward;
mod heartbeat;
pub mod hub;
mod local_client;
mod memory;
pub mod metrics;
mod project;
mod proxy;
mod pull;
mod rates;
pub mod recover;
mod server;
mod shutdown;
pub mod status;
mod telemetry;

pub use cli::command;
