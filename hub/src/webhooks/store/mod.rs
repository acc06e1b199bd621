//! SQL of the webhooks slice.

mod deliveries;
mod endpoints;
mod health;
mod recovery;

pub(crate) use deliveries::*;
pub(crate) use endpoints::*;
pub(crate) use health::*;
pub(crate) use recovery::*;
