//! A simulator of the Mercado Pago API: payments, preferences, refunds, merchant orders and signed notices.
//!
//! It is for tests, for the demo and for a shop developer's laptop. It answers as the real one was seen to
//! answer, quirks included, and adds a control interface under `/control` for what only a buyer, a bank or
//! bad luck would bring about.
//!
//! Invariants: all state sits in one value behind one lock (`app`); amounts are integers (`money`); the
//! time comes from a [`Clock`] and every id from the seed (`ids`). No money moves, nothing is kept on disk,
//! and no call leaves the machine but notices to the addresses it was given.
//!
//! Read next: `router` for the addresses, `payments` for the moves, `webhooks` for the notices.

mod app;
mod card_tokens;
mod clock;
mod config;
mod control;
mod error;
mod faults;
mod ids;
mod merchant_orders;
mod money;
mod oauth;
mod pages;
mod payments;
mod preferences;
mod router;
mod sellers;
mod server;
mod sites;
mod state;
mod webhooks;

pub use clock::Clock;
pub use config::{Config, retry_schedule};
pub use sellers::Seller;
pub use server::{Simulator, StartError};
pub use webhooks::{manifest, sign};
