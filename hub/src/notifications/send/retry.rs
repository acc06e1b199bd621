//! When to try again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt as _;

use super::Attempted;
use crate::notifications::model::detail;
use crate::queue::Verdict;

/// Minutes before each retry: doubling to six hours, twenty and a half hours together, and one in ten more at worst.
const RETRY_MINUTES: [i64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360];

/// Later, or not again.
pub(super) fn decide(mut attempted: Attempted, now: DateTime<Utc>) -> Attempted {
    let spread = rand::rng().random_range(0.0..1.0);
    (attempted.verdict, attempted.detail) = match next_attempt(attempted.mail.attempts + 1, now, spread) {
        Some(at) => (Verdict::Retry { at }, None),
        None => (Verdict::Failed, Some(detail::GAVE_UP)),
    };
    attempted
}

/// When to try again after so many attempts, or `None` when that was the last.
fn next_attempt(attempts: i32, now: DateTime<Utc>, spread: f64) -> Option<DateTime<Utc>> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let delay = TimeDelta::minutes(*RETRY_MINUTES.get(index)?);
    // Only ever later, by up to a tenth.
    let jitter = Duration::from_secs_f64(delay.as_seconds_f64() * 0.1 * spread.clamp(0.0, 1.0));
    now.checked_add_signed(delay + TimeDelta::from_std(jitter).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_from_a_minute_to_six_hours_and_end_within_a_day() {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        for spread in [0.0, 1.0] {
            let mut now = start;
            let mut attempts = 1;
            let mut delays = Vec::new();
            while let Some(next) = next_attempt(attempts, now, spread) {
                delays.push((next - now).num_minutes());
                (now, attempts) = (next, attempts + 1);
            }
            assert!(now - start < TimeDelta::days(1), "{:?}", now - start);
            if spread == 0.0 {
                assert_eq!(delays, RETRY_MINUTES);
            }
        }
    }
}
