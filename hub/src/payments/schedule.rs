//! When the provider is asked again: about calls whose outcome is unknown, and about payments that are pending.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use trastienda_protocol::payment::Method;

/// How long a payment without an end of its own is asked about.
const LIFE: TimeDelta = TimeDelta::days(30);
/// How long one is asked about past its end: tickets are told late.
const AFTER_END: TimeDelta = TimeDelta::days(1);
/// The longest `Retry-After` that is obeyed.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// When a call whose outcome is unknown is looked into, after so many claims: 5 s, 30 s, 5 min, 1 h, then daily.
pub(crate) fn after_unknown(attempts: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    let wait = match attempts {
        ..=1 => TimeDelta::seconds(5),
        2 => TimeDelta::seconds(30),
        3 => TimeDelta::minutes(5),
        4 => TimeDelta::hours(1),
        _ => TimeDelta::days(1),
    };
    now + wait
}

/// When a provider that asked for patience is called again.
pub(crate) fn after_busy(attempts: i32, retry_after: Option<Duration>, now: DateTime<Utc>) -> DateTime<Utc> {
    let asked = retry_after.map(|wait| wait.clamp(Duration::from_secs(1), RETRY_AFTER_MAX));
    asked
        .and_then(|wait| TimeDelta::from_std(wait).ok())
        .map_or_else(|| after_unknown(attempts, now), |wait| now + wait)
}

/// When a pending payment is asked about next, by how the customer pays and how long ago it was made. While
/// customers are likely to be paying it is well under five minutes.
pub(crate) fn next_sync(method: Method, created_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let age = now - created_at;
    let minutes = match method {
        Method::Pix if age < TimeDelta::minutes(30) => 1,
        Method::Checkout | Method::Card if age < TimeDelta::minutes(10) => 1,
        Method::Checkout | Method::Card if age < TimeDelta::hours(1) => 2,
        Method::Checkout | Method::Card | Method::Pix if age < TimeDelta::days(1) => 4,
        // Nobody can be asked; only its end is looked for.
        Method::Manual => 24 * 60,
        _ => 60,
    };
    now + TimeDelta::minutes(minutes)
}

/// When nobody asks any more and what is still pending has expired.
pub(crate) fn end(expires_at: Option<DateTime<Utc>>, created_at: DateTime<Utc>) -> DateTime<Utc> {
    expires_at.unwrap_or(created_at + LIFE) + AFTER_END
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn unknown_outcomes_are_looked_into_ever_more_rarely() {
        let waits: Vec<i64> = (1..=7).map(|n| (after_unknown(n, at(0)) - at(0)).num_seconds()).collect();
        assert_eq!(waits, [5, 30, 300, 3_600, 86_400, 86_400, 86_400]);
    }

    #[test]
    fn a_providers_retry_after_is_obeyed_within_reason() {
        assert_eq!(after_busy(1, Some(Duration::from_secs(7)), at(0)), at(7));
        assert_eq!(after_busy(1, Some(Duration::ZERO), at(0)), at(1));
        assert_eq!(after_busy(1, Some(Duration::from_secs(999_999)), at(0)), at(3_600));
        assert_eq!(after_busy(2, None, at(0)), at(30));
    }

    proptest! {
        #[test]
        fn on_its_first_day_a_checkout_is_never_left_alone_for_five_minutes(age in 0i64..86_400) {
            for method in [Method::Checkout, Method::Card, Method::Pix] {
                let wait = next_sync(method, at(0), at(age)) - at(age);
                prop_assert!(wait >= TimeDelta::minutes(1) && wait < TimeDelta::minutes(5));
            }
        }
    }
}
