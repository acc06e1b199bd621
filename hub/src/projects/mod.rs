//! Projects: one per shop, with its key, plan, limits and feature flags.
//!
//! Invariants:
//! - A key is shown once, when it is made; the database holds its Argon2id hash and last four characters.
//! - One key is current and at most one more is in its grace time.
//! - Every change of a key, project, limit or flag raises the key epoch in its transaction and is heard by every
//!   hub before the call answers ([`changes`]).

pub mod admin;
pub mod api_keys;
pub mod changes;
pub mod model;
pub mod operations;
pub mod plans;
pub mod quota;
pub mod routes;
pub(crate) mod store;
pub mod verifier;

pub(crate) use store::list_retentions;
