//! What every handler shares and no slice owns: errors, bodies, authentication, limits, idempotency, lists.

pub mod auth;
pub mod body;
pub mod error;
pub mod idempotency;
pub(crate) mod local;
pub mod pagination;
pub mod rate_limit;
pub mod request_id;

pub use body::JsonBody;
pub use error::{Error, Result, Unavailable};
