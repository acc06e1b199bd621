//! All SQL of the slice.

mod jobs;
mod notifications;
mod settings;
mod smtp;
mod suppressions;
mod templates;

pub(crate) use jobs::*;
pub(crate) use notifications::*;
pub(crate) use settings::*;
pub(crate) use smtp::*;
pub(crate) use suppressions::*;
pub(crate) use templates::*;
