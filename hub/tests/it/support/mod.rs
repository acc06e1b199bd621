//! The harness.

mod app;
mod receiver;
mod smtp;

pub(crate) use app::TestApp;
pub(crate) use receiver::Receiver;
pub(crate) use smtp::SmtpServer;
