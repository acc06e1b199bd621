//! SMTP: which servers there are for a mail, how they are, and the conversation with one.
//!
//! A project that has accounts of its own ([`accounts`]) writes through them alone, in their order; the others write
//! through the operator's servers, under senders that are theirs ([`senders`]). A server that fails is left alone for a
//! while ([`health`]), and what is in flight to one is bounded ([`lanes`]): a dead server delays nobody else's mail.
//!
//! The conversation ([`talk`]) is held step by step, because what a failure means depends on where it came: before the
//! message was handed over another server may be asked at once; after that nobody knows, and only the same mail with the
//! same Message-ID may be sent again.

pub mod accounts;
pub(crate) mod handover;
pub(crate) mod health;
pub(crate) mod lanes;
pub(crate) mod pool;
pub mod senders;
mod server;
pub(crate) mod talk;

pub use server::check_urls;
pub(crate) use server::{Account, Server};
