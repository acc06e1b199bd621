//! The harness.

mod app;
mod receiver;
mod smtp;

pub(crate) use app::{Answer, TestApp};
pub(crate) use receiver::Receiver;
pub(crate) use smtp::SmtpServer;
