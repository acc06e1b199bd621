//! When a failed delivery is tried again: about 75 hours in ten retries, jittered, only ever later.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt as _;

/// Seconds before each retry: 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
pub const DEFAULT: [i32; 10] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// How far a retry may be jittered, as a part of its delay.
const JITTER: f64 = 0.2;
/// The longest `Retry-After` that is obeyed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// When to try again after `attempts` attempts (at least one), or `None` when that was the last.
/// `spread` in 0..1 is the jitter's share.
pub fn next(
    schedule: &[i32],
    attempts: i32,
    retry_after: Option<Duration>,
    now: DateTime<Utc>,
    spread: f64,
) -> Option<DateTime<Utc>> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let seconds = f64::from(*schedule.get(index)?) * (1.0 + JITTER * spread.clamp(0.0, 1.0));
    let delay = Duration::from_secs_f64(seconds).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    TimeDelta::from_std(delay).ok().and_then(|delay| now.checked_add_signed(delay))
}

/// A random share of the jitter.
pub fn spread() -> f64 {
    rand::rng().random_range(0.0..1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_default_schedule_takes_about_75_hours() {
        let hours: i32 = DEFAULT.iter().sum::<i32>() / 3_600;
        assert_eq!((DEFAULT.len(), hours), (10, 75));
    }

    #[test]
    fn after_the_last_retry_there_is_none() {
        assert_eq!(next(&[1, 2], 2, None, at(0), 0.0), Some(at(2)));
        assert_eq!(next(&[1, 2], 3, None, at(0), 0.0), None);
    }

    #[test]
    fn retry_after_is_obeyed_up_to_a_day() {
        assert_eq!(next(&DEFAULT, 1, Some(Duration::from_secs(90)), at(0), 0.0), Some(at(90)));
        assert_eq!(next(&DEFAULT, 1, Some(Duration::from_secs(999_999)), at(0), 0.0), Some(at(86_400)));
        assert_eq!(next(&DEFAULT, 2, Some(Duration::from_secs(1)), at(0), 0.0), Some(at(60)));
    }

    #[test]
    fn a_receiver_that_never_answers_well_is_tried_for_75_to_90_hours() {
        for (spread, hours) in [(0.0, 75), (1.0, 90)] {
            let (mut now, mut attempts) = (at(0), 1);
            while let Some(then) = next(&DEFAULT, attempts, None, now, spread) {
                (now, attempts) = (then, attempts + 1);
            }
            assert_eq!(attempts, 11);
            // Fifteen minutes and a half beside the whole hours.
            let beyond = (now - at(0)) - TimeDelta::hours(hours);
            assert!(TimeDelta::zero() < beyond && beyond < TimeDelta::hours(1), "{beyond}");
        }
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_neither_early_nor_later_than_jitter_or_the_receiver_says(
            schedule in prop::collection::vec(1i32..=604_800, 0..30),
            attempts in 1i32..40,
            retry_after in prop::option::of(any::<u64>()),
            spread in -1.0f64..2.0,
        ) {
            let wanted = retry_after.map_or(0, |seconds| seconds.min(86_400));
            let wanted = i64::try_from(wanted).unwrap() * 1_000;
            let next = next(&schedule, attempts, retry_after.map(Duration::from_secs), at(0), spread);
            let delay = usize::try_from(attempts).ok().and_then(|attempts| schedule.get(attempts - 1));
            // As many retries as the schedule has delays, whatever the receiver asks for.
            prop_assert_eq!(next.is_some(), delay.is_some());
            if let (Some(next), Some(delay)) = (next, delay) {
                let (plain, took) = (i64::from(*delay) * 1_000, (next - at(0)).num_milliseconds());
                prop_assert!(took >= plain.max(wanted), "{}", took);
                prop_assert!(took <= (plain + plain / 5).max(wanted), "{}", took);
            }
        }

        #[test]
        fn jitter_only_ever_delays_by_at_most_a_fifth(attempts in 1i32..=10, spread in 0.0f64..1.0) {
            let plain = next(&DEFAULT, attempts, None, at(0), 0.0).unwrap();
            let jittered = next(&DEFAULT, attempts, None, at(0), spread).unwrap();
            prop_assert!(jittered >= plain);
            prop_assert!((jittered - plain).num_milliseconds() * 5 <= (plain - at(0)).num_milliseconds() + 5);
        }
    }
}
