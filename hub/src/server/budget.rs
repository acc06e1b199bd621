//! The memory that requests' bodies may take together.
//!
//! As many bodies as there are places for requests, each as large as it may be, would be more than a small machine has. What
//! a body has beyond a modest part counts, from when it is read until its request is answered; past the budget a large
//! body is told 503 `overloaded`, while small ones, most of all that comes, go on.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of each body, so much is free.
pub(super) const FREE: usize = 64 * 1024;

/// Bytes that are left for all bodies together.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

/// What one request's body has of it; given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    read: AtomicUsize,
    taken: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    pub(super) fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share { budget: self.clone(), read: AtomicUsize::new(0), taken: AtomicUsize::new(0) })
    }
}

impl Share {
    /// So many bytes more were read, or inflated; false if there is no room for them.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let more = read.saturating_sub(FREE).saturating_sub(self.taken.load(Ordering::Relaxed));
        let left = |left: usize| left.checked_sub(more);
        let is_taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        if is_taken {
            self.taken.fetch_add(more, Ordering::Relaxed);
        }
        is_taken
    }
}

/// Why a body was not read: there is no room for it now.
#[derive(Debug, thiserror::Error)]
#[error("there is no room for the body now")]
pub(super) struct TooMuch;

/// Reads what is made of a body, which takes of the same share.
pub struct Shared<R> {
    reader: R,
    share: Option<Arc<Share>>,
}

impl<R: Read> Shared<R> {
    /// Without a share there is no limit: what did not come over the network has its own.
    pub fn new(reader: R, share: Option<Arc<Share>>) -> Self {
        Self { reader, share }
    }
}

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        match &self.share {
            Some(share) if !share.take(count) => Err(std::io::Error::other(TooMuch)),
            _ => Ok(count),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_free_part_counts_and_comes_back() {
        let budget = Budget::new(100);
        let (first, second) = (budget.share(), budget.share());
        assert!(first.take(FREE) && first.take(60));
        assert!(second.take(FREE + 40), "all of it");
        assert!(!second.take(1), "and no more");
        let third = budget.share();
        assert!(third.take(FREE), "a small one goes on");
        assert!(!third.take(1));
        drop(first);
        assert!(third.take(59), "what the first had is there again");
        drop((second, third));
        assert_eq!(budget.0.load(Ordering::Relaxed), 100);
    }
}
