//! The harness.

mod app;
mod receiver;

pub(crate) use app::TestApp;
pub(crate) use receiver::Receiver;
