//! The harness.

mod app;
mod receiver;

pub(crate) use app::{Answer, TestApp};
pub(crate) use receiver::Receiver;
