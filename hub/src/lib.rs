//! The hub: the backend that many shops share.
//!
//! Where to look:
//! - [`router`] is the table of contents of the HTTP API; [`openapi`] publishes it.
//! - [`app`] is what a running hub holds; [`config`] what it is told.
//! - [`queue`] runs rows that are their own jobs; each slice supplies the claim and the work.
//! - The slices: [`projects`], [`events`], [`webhooks`], [`notifications`], [`payments`]. A slice owns its tables;
//!   all its SQL is in its `store.rs`. `projects` ← `events` ← `webhooks`; `notifications` and `payments` use
//!   `projects` and `events`. Nothing points back.
//! - `dashboard` is the operator's pages over the API.
//! - [`alerts`] sees what is wrong; [`operator`] tells the operator what needs a person.
//! - `saved` counts what shops were spared, for the dashboard.
//! - [`server`] accepts connections and bounds what they may cost.
//! - [`backup`] writes and restores the database as a whole.
//! - [`fleet`] is what several hubs share. It, [`http`], [`outbound`], [`seal`] and [`db`] know no slice.

pub mod agents;
pub mod alerts;
pub mod app;
pub mod backup;
pub mod batch;
pub mod cli;
pub mod config;
mod dashboard;
pub mod db;
pub mod events;
pub mod fleet;
pub mod gauges;
pub mod http;
pub mod memory;
pub mod notifications;
pub mod openapi;
pub mod operations;
pub mod operator;
pub mod outbound;
pub mod payments;
pub mod projects;
pub mod queue;
pub mod retention;
pub mod router;
pub(crate) mod saved;
pub mod seal;
pub mod serve;
pub mod server;
pub mod shutdown;
mod systemd;
pub mod telemetry;
pub mod webhooks;
