//! Whether to wait for an answer awake: adaptive spinning.
//!
//! A process that sleeps lets its processor sleep, and to wake that costs a virtual machine tens of microseconds: as much as
//! the agent needs for a call that it does not have to sync. So whoever was answered at once looks for the next answer for a
//! moment before sleeping. That pays while a processor is free, and takes one away from others while none is: after a look
//! that was in vain, the next is taken only when a number of answers have come quickly again, twice as many each time.

use std::time::Duration;

/// For how long an answer is waited for awake.
const LOOK: Duration = Duration::from_micros(150);
/// An answer that came within this, asleep, might have come within a look.
const QUICK: Duration = Duration::from_micros(250);
/// Quick answers that are slept for after a look in vain, and at most after many.
const REST_LEAST: u32 = 16;
const REST_MOST: u32 = 1_024;

/// What a connection's answers were like so far.
#[derive(Debug)]
pub(crate) struct Spin {
    /// Quick answers that are still slept for.
    rest: u32,
    /// As many will be after the next look in vain.
    penalty: u32,
}

impl Default for Spin {
    fn default() -> Self {
        Self { rest: 1, penalty: REST_LEAST }
    }
}

impl Spin {
    /// For how long the next answer is looked for before sleeping.
    pub(crate) fn look(&self) -> Duration {
        if self.rest == 0 { LOOK } else { Duration::ZERO }
    }

    /// The answer came, so long after the request was sent.
    pub(crate) fn answered(&mut self, after: Duration) {
        if self.rest > 0 {
            self.rest -= u32::from(after < QUICK);
        } else if after < LOOK {
            self.penalty = REST_LEAST;
        } else {
            self.rest = self.penalty;
            self.penalty = (self.penalty * 2).min(REST_MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::from_micros(100);
    const SLOW: Duration = Duration::from_micros(800);

    /// Quick answers until one is looked for.
    fn slept_for(spin: &mut Spin) -> u32 {
        let mut slept = 0;
        while spin.look().is_zero() {
            spin.answered(AT_ONCE);
            slept += 1;
        }
        slept
    }

    #[test]
    fn who_is_answered_at_once_stays_awake() {
        let mut spin = Spin::default();
        assert_eq!(slept_for(&mut spin), 1);
        for _ in 0..1_000 {
            spin.answered(AT_ONCE);
            assert_eq!(spin.look(), LOOK);
        }
    }

    #[test]
    fn slow_answers_are_never_looked_for() {
        let mut spin = Spin::default();
        for _ in 0..10_000 {
            assert!(spin.look().is_zero());
            spin.answered(SLOW);
        }
    }

    #[test]
    fn looks_in_vain_become_rare_and_a_good_one_is_forgiven() {
        let mut spin = Spin::default();
        slept_for(&mut spin);
        for rest in [16, 32, 64, 128, 256, 512, 1_024, 1_024] {
            spin.answered(SLOW);
            assert_eq!(slept_for(&mut spin), rest);
        }
        spin.answered(AT_ONCE);
        spin.answered(SLOW);
        assert_eq!(slept_for(&mut spin), 16);
    }
}
