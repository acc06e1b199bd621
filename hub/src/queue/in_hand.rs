//! What this hub has in hand: the leases under which it runs something, or has run something that is not written yet.
//!
//! The rows say who has leased a job; only the hub itself knows whether it still means to do anything about it. A lease
//! of its own that is not in hand, because the database's answer to the claim or the commit never came, is nobody's. One
//! whose outcome waits for a database that is away stays in hand however long that takes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// All that is in hand, by the leases' tokens.
#[derive(Debug, Default)]
pub struct InHand(Mutex<HashMap<Uuid, Arc<Standing>>>);

/// How it stands with a lease.
#[derive(Debug)]
struct Standing {
    since: Instant,
    /// Jobs whose outcome is yet to be written.
    unwritten: AtomicUsize,
    /// Its time decides, though nothing is in hand: a job that came to grief is not to be repeated at once.
    is_left: AtomicBool,
}

/// Keeps a lease in hand for as long as any clone of it lives. Whoever has a job keeps one until its outcome is written.
#[derive(Debug, Clone)]
pub struct Hold(Arc<Held>);

#[derive(Debug)]
struct Held {
    token: Uuid,
    standing: Arc<Standing>,
    in_hand: Arc<InHand>,
}

/// A job's outcome that is yet to be written. Dropped, it is.
#[derive(Debug)]
pub(super) struct Unwritten(Hold);

impl InHand {
    /// Takes a lease in hand that is about to be written.
    pub fn take(self: &Arc<Self>, token: Uuid) -> Hold {
        let standing = Arc::new(Standing {
            since: Instant::now(),
            unwritten: AtomicUsize::new(0),
            is_left: AtomicBool::new(false),
        });
        self.lock().insert(token, standing.clone());
        Hold(Arc::new(Held { token, standing, in_hand: self.clone() }))
    }

    /// How it stands with a lease of this hub's that was read in the database.
    pub(super) fn claim_on(&self, token: Uuid, lease: Duration) -> Claim {
        let mut all = self.lock();
        let Some(standing) = all.get(&token) else { return Claim::None };
        let is_left = standing.is_left.load(Ordering::SeqCst);
        if standing.unwritten.load(Ordering::SeqCst) > 0 || !is_left && standing.since.elapsed() < lease {
            return Claim::InHand;
        }
        if is_left && standing.since.elapsed() > lease {
            all.remove(&token);
        }
        Claim::Time
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Standing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What speaks for a lease of this hub's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The hub is at it.
    InHand,
    /// Only that its time is not over.
    Time,
    /// Nothing: nobody will do anything under it.
    None,
}

impl Hold {
    /// What the lease's rows bear.
    pub fn token(&self) -> Uuid {
        self.0.token
    }

    /// The job is done, and its outcome yet to be written.
    pub(super) fn unwritten(self) -> Unwritten {
        self.0.standing.unwritten.fetch_add(1, Ordering::SeqCst);
        Unwritten(self)
    }
}

impl Unwritten {
    /// The outcome cannot be written: the lease's time decides when the job is done again.
    pub(super) fn leave(&self) {
        self.0.0.standing.is_left.store(true, Ordering::SeqCst);
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.0.0.standing.unwritten.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.standing.is_left.store(true, Ordering::SeqCst);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.standing.is_left.load(Ordering::SeqCst) {
            self.in_hand.lock().remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_mins(1);
    /// As if the lease's time were over.
    const OVER: Duration = Duration::ZERO;

    #[test]
    fn a_lease_is_in_hand_until_every_outcome_is_written() {
        let in_hand = Arc::new(InHand::default());
        let token = Uuid::from_u128(1);
        assert_eq!(in_hand.claim_on(token, LEASE), Claim::None);
        let (one, other) = (in_hand.take(token), in_hand.take(Uuid::from_u128(2)));
        drop(other);
        assert_eq!(in_hand.claim_on(Uuid::from_u128(2), LEASE), Claim::None, "nothing was started under it");
        let second = one.clone();
        drop(one.unwritten());
        assert_eq!(in_hand.claim_on(token, LEASE), Claim::InHand, "the second job runs");
        assert_eq!(in_hand.claim_on(token, OVER), Claim::Time, "and hangs");
        let second = second.unwritten();
        assert_eq!(in_hand.claim_on(token, OVER), Claim::InHand, "its outcome waits for the database");
        drop(second);
        assert_eq!(in_hand.claim_on(token, LEASE), Claim::None);
    }

    #[test]
    fn what_came_to_grief_waits_until_its_time_is_over() {
        let in_hand = Arc::new(InHand::default());
        let [panicked, refused] = [1, 2].map(|number| in_hand.take(Uuid::from_u128(number)));
        let mate = panicked.clone();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _job = panicked;
            std::panic::resume_unwind(Box::new("a job came to grief"));
        }))
        .unwrap_err();
        drop(mate.unwritten());
        let refused = refused.unwritten();
        refused.leave();
        drop(refused);
        for token in [1, 2].map(Uuid::from_u128) {
            assert_eq!(in_hand.claim_on(token, LEASE), Claim::Time);
            assert_eq!(in_hand.claim_on(token, OVER), Claim::Time);
            assert_eq!(in_hand.claim_on(token, LEASE), Claim::None, "it is forgotten then");
        }
    }
}
