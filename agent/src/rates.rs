//! How many calls a second came in and went out during the last minute.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_mins(1);

/// Counts as they were, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<VecDeque<(Instant, u64, u64)>>);

impl Rates {
    /// Remembers the counts as they are now.
    pub(crate) fn sample(&self, accepted: u64, forwarded: u64) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while samples.front().is_some_and(|(at, ..)| now - *at > WINDOW) {
            samples.pop_front();
        }
        samples.push_back((now, accepted, forwarded));
    }

    /// Calls a second, accepted and forwarded.
    pub(crate) fn per_second(&self, accepted: u64, forwarded: u64) -> (f64, f64) {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at, accepted_then, forwarded_then)) = samples.front() else { return (0.0, 0.0) };
        let seconds = at.elapsed().as_secs_f64().max(1.0);
        #[expect(clippy::cast_precision_loss, reason = "far fewer calls than 2^52")]
        let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds * 10.0).round() / 10.0;
        (rate(accepted, *accepted_then), rate(forwarded, *forwarded_then))
    }
}
