//! A breaker for what passes through: a hub that has not answered several times in a row is left alone
//! for some seconds, and callers learn at once that it is away instead of waiting for it one by one.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// So long it stays open; then one call goes through and decides.
const OPEN: TimeDelta = TimeDelta::seconds(5);

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Nobody goes through before this.
    closed_until: Option<DateTime<Utc>>,
}

impl Breaker {
    /// Whether a call may try. Whoever may, says how it went.
    pub(crate) fn lets_through(&self, now: DateTime<Utc>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.closed_until {
            None => true,
            Some(until) if now < until && until - now <= OPEN => false,
            Some(_) => {
                // This one is the probe; the others wait for what it finds.
                state.closed_until = Some(now + OPEN);
                true
            }
        }
    }

    /// The hub answered, whatever it said.
    pub(crate) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// It did not. `true`: the breaker opened.
    pub(crate) fn failed(&self, now: DateTime<Utc>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES {
            return false;
        }
        state.closed_until = Some(now + OPEN);
        state.failures == FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_call_probes() {
        let (breaker, start) = (Breaker::default(), DateTime::<Utc>::UNIX_EPOCH);
        for _ in 0..FAILURES - 1 {
            assert!(breaker.lets_through(start) && !breaker.failed(start));
        }
        breaker.answered();
        for failure in 1..=FAILURES {
            assert!(breaker.lets_through(start));
            assert_eq!(breaker.failed(start), failure == FAILURES);
        }
        assert!(!breaker.lets_through(start + TimeDelta::seconds(4)));
        let later = start + TimeDelta::seconds(6);
        assert!(breaker.lets_through(later) && !breaker.lets_through(later), "one probe");
        breaker.failed(later);
        assert!(!breaker.lets_through(later + TimeDelta::seconds(4)));
        assert!(breaker.lets_through(later + TimeDelta::seconds(6)));
        breaker.answered();
        assert!(breaker.lets_through(later) && breaker.lets_through(later));
        // A clock that was set back does not keep it open.
        for _ in 0..FAILURES {
            breaker.failed(later);
        }
        assert!(breaker.lets_through(start));
    }
}
