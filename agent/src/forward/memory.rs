//! What the lanes know together: what failed before, and from where on traffic is fresh.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
pub(super) struct Known {
    /// Operations taken by the hub since the start.
    pub(super) taken: u64,
    /// What failed before, by row.
    pub(super) failures: HashMap<i64, Failure>,
    /// While there is a backlog: events after this place are fresh.
    pub(super) fresh_after: Option<i64>,
}

/// How often a row failed, and how many had been taken by then.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Failure {
    pub(super) times: u32,
    pub(super) taken_before: Option<u64>,
}

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether anything was taken since this row failed the last time.
    pub(super) fn others_got_through(&self, seq: i64) -> bool {
        let before = self.failures.get(&seq).and_then(|failure| failure.taken_before);
        before.is_some_and(|before| self.taken > before)
    }
}
