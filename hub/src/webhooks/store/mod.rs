//! SQL of the webhooks slice.

mod deliveries;
mod endpoints;
mod jobs;
mod recovery;

pub(crate) use deliveries::*;
pub(crate) use endpoints::*;
pub(crate) use jobs::*;
pub(crate) use recovery::*;
