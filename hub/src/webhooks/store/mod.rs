//! SQL of the webhooks slice.

mod deliveries;
mod endpoints;

pub(crate) use deliveries::*;
pub(crate) use endpoints::*;
