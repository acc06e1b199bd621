//! SQL of the webhooks slice.

mod deliveries;
mod endpoints;
mod health;
mod jobs;
mod pulled;
mod recovery;
mod replays;

pub(crate) use deliveries::*;
pub(crate) use endpoints::*;
pub(crate) use health::*;
pub(crate) use jobs::*;
pub(crate) use pulled::*;
pub(crate) use recovery::*;
pub(crate) use replays::*;
