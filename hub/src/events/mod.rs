//! Events: what happened in a shop (or in the hub), stored once and handed to whoever subscribed.
//!
//! Invariants:
//! - An event and everything that follows from it at once (deliveries) commit in one transaction, which it may share
//!   with other events ([`gather`]).
//! - The same id, or the same `Idempotency-Key`, in a project is the same event.
//! - One `order.paid` per order is handed on, whoever sends it; others are stored as its duplicates.
//! - A direct call's data satisfies its type's schema; a batch's event that does not is taken and flagged ([`catalogue`]).
//! - What an agent acknowledged is never lost: a batch's event that the rules refuse is stored as `rejected`.
//!
//! This slice does not know who subscribes: [`crate::app`] lists the [`Subscriber`]s.

pub mod catalogue;
pub mod gather;
mod group;
pub mod ingest;
mod lane;
pub mod model;
pub mod routes;
pub(crate) mod store;
pub(crate) mod tail;

use futures_util::future::BoxFuture;
use sqlx::PgConnection;

pub use ingest::{Emit, emit, emit_all, wake};
pub use model::{DeliveryState, Event};

use crate::app::App;
use crate::http;

/// Acts on events within the transaction that stores them.
pub trait Subscriber: Send + Sync {
    /// Writes what follows from events, in their order. With `at_once`, the caller tells what comes back that the
    /// transaction has committed; otherwise it wakes the queue itself.
    fn on_events<'a>(
        &'a self,
        app: &'a App,
        conn: &'a mut PgConnection,
        events: &'a [&'a Event],
        at_once: bool,
    ) -> BoxFuture<'a, http::Result<Box<dyn Followed>>>;
    /// How what followed from an event stands now.
    fn deliveries<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, http::Result<Vec<DeliveryState>>>;
    /// The queue to wake once the transaction has committed.
    fn queue(&self) -> &'static str;
}

/// What a subscriber wrote in a transaction. Dropped: the transaction did not commit.
pub trait Followed: Send {
    /// The transaction has committed.
    fn committed(self: Box<Self>, app: &App);
}
