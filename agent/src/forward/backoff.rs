//! Growing pauses with jitter, so that many agents do not come back at the same moment.

use std::time::Duration;

use rand::RngExt as _;

/// Pauses that double from the first to the longest.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0 }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause: the doubled one, shortened by up to a fifth.
    pub(crate) fn next(&mut self) -> Duration {
        let full = doubled(self.first, self.max, self.failures);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(rand::rng().random_range(0.8..=1.0))
    }
}

/// `first` doubled so many times, at most `max`.
pub(super) fn doubled(first: Duration, max: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.min(30))).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
        for full in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let pause = backoff.next().as_secs_f64();
            assert!(pause <= full && pause >= full * 0.79, "{pause} is not within a fifth of {full}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
