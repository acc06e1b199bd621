//! Notices: telling a seller's address that a payment changed.
//!
//! A change sends a burst: the signed notice, and unless the address says `source_news=webhooks` the old
//! unsigned hints. What is not answered with 2xx in time is sent again on a schedule, each time with another
//! notice id, request id and time, as the real one does. Nothing promises order or a single delivery; faults
//! make it worse on purpose.

mod attempt;
mod dispatch;
mod notice;
mod signature;

pub(crate) use self::attempt::Attempt;
pub(crate) use self::dispatch::Dispatcher;
pub(crate) use self::notice::{Action, Burst, Notice, Topic};
pub use self::signature::{manifest, sign};
