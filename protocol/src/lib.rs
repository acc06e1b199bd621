//! What more than one of Trastienda's programs must agree on.
//!
//! The hub, the agent and the PHP extension share ids, the API key's format, the bodies that callers
//! send, the problem documents that answer them and the webhook signature. All of it is pure: no
//! runtime, no database, no files; time and randomness are arguments ([`clock`], [`ids::IdSource`]). The exception is
//! [`systemd`]: both programs tell it the same things, by one datagram each.
//!
//! Invariants:
//! - A body is checked by the same code wherever it is accepted, so the agent refuses at once what
//!   the hub would refuse for its shape alone ([`check`]).
//! - Every error of a body is reported at once, by JSON pointer ([`problem::FieldError`]).
//! - Fields are only ever added: programs of different versions talk to each other.
//!
//! Start reading at [`event`], the smallest body.

pub mod api_key;
pub mod batch;
pub mod check;
pub mod clock;
pub mod event;
pub mod fingerprint;
pub mod heartbeat;
pub mod ids;
pub mod limits;
pub mod mac;
pub mod money;
pub mod notification;
pub mod payment;
pub mod prefer;
pub mod problem;
pub mod pull;
pub mod systemd;
pub mod time;
pub mod webhook;
