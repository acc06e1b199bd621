//! All SQL of the payments slice.

mod attempts;
mod cases;
mod jobs;
mod notices;
mod payments;
mod providers;
mod reconcile;
mod refunds;
mod sweeps;
mod timeline;

pub(crate) use attempts::*;
pub(crate) use cases::*;
pub(crate) use jobs::*;
pub(crate) use notices::*;
pub(crate) use payments::*;
pub(crate) use providers::*;
pub(crate) use reconcile::*;
pub(crate) use refunds::*;
pub(crate) use sweeps::*;
pub(crate) use timeline::*;
