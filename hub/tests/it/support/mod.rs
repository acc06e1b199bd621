//! The harness.

mod app;
mod certificates;
mod exim;
mod receiver;
mod smtp;
mod wire;

pub(crate) use app::{ADMIN_TOKEN, Answer, TestApp};
pub(crate) use certificates::{Authority, Flaw};
pub(crate) use exim::Exim;
pub(crate) use receiver::Receiver;
pub(crate) use smtp::SmtpServer;
pub(crate) use wire::{Script, Wire, say, say_and_close};
