//! Rows that are their own jobs, and the loop that runs them.
//!
//! What is promised:
//! - **A job and its cause commit together**: the row is written in the transaction that makes it necessary.
//! - **Claimed once**: a claim is a short transaction (`for update skip locked`) that writes a lease: a token, the
//!   hub's number and a time. No network call happens inside it.
//! - **A lease is void when its hub is**: each hub holds a session advisory lock on its number; when the lock is
//!   gone, any other hub takes its leases back within seconds ([`leases`]). A lease that outlives its time is taken back too. A hub
//!   that only lost its connection goes on with what it has in hand and completes it ([`in_hand`]).
//! - **A completion with an old token changes nothing**: the row has moved on.
//! - **Nothing waits for a poll that could be woken**: in memory on this hub, by `NOTIFY` on the others
//!   ([`wake`]); a poll each second is the net.
//!
//! What is not: exactly once. What was in flight when a hub died may repeat, under the same id.
//!
//! A row that is written while a worker is free needs no claim: it is written leased and handed over ([`hand_over`]).
//!
//! A slice supplies the claim query and the work ([`worker::Queue`]); nothing here knows a slice.

mod away;
pub mod hand_over;
pub mod in_hand;
pub mod leases;
pub mod listen;
pub mod members;
pub mod wake;
pub mod worker;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

pub use self::away::is_away;
use self::in_hand::{Hold, InHand};
use crate::app::App;

/// How long a claimed job may run. Longer than any job's own deadlines together.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);

/// What a claim writes into the rows that it takes.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Keeps it in hand.
    pub hold: Hold,
    /// The hub's number.
    pub hub: i32,
    /// When the claim is made.
    pub now: DateTime<Utc>,
    /// When the lease is over.
    pub until: DateTime<Utc>,
}

impl Lease {
    /// A lease of this hub's; `None` while it is not a member and may claim nothing.
    pub fn new(app: &App, now: DateTime<Utc>) -> Option<Self> {
        Some(Self::of(app.member.number()?, &app.in_hand, app.ids.uuid(now), now))
    }

    /// A lease of the hub with this number.
    pub fn of(hub: i32, in_hand: &Arc<InHand>, token: Uuid, now: DateTime<Utc>) -> Self {
        Self { hold: in_hand.take(token), hub, now, until: now + LEASE }
    }

    /// Whoever finishes the job must still hold this token.
    pub fn token(&self) -> Uuid {
        self.hold.token()
    }
}

/// What became of one attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// It failed and may succeed later.
    Retry {
        /// When.
        at: DateTime<Utc>,
    },
    /// It failed and never will succeed.
    Failed,
}
