//! The time, as an argument: the simulator never reads the system's clock anywhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, FixedOffset, SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde_json::Value;

/// Where the simulator takes the time from; clones share the same time.
///
/// Either kind can be moved forward, so that a Pix payment or a preference expires without waiting.
#[derive(Clone, Debug)]
pub struct Clock {
    base: Base,
    moved_ms: Arc<AtomicI64>,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    System,
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The system's time.
    pub fn system() -> Self {
        Self { base: Base::System, moved_ms: Arc::default() }
    }

    /// A time that stands still until it is moved.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self { base: Base::Fixed(at), moved_ms: Arc::default() }
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the one place where the simulator reads the time")]
    pub fn now(&self) -> DateTime<Utc> {
        let base = match self.base {
            Base::System => Utc::now(),
            Base::Fixed(at) => at,
        };
        // The API writes whole milliseconds. Nothing finer is kept, so that what is read back compares equal.
        (base + TimeDelta::milliseconds(self.moved_ms.load(Ordering::SeqCst))).trunc_subsecs(3)
    }

    /// Moves the time forward.
    pub fn advance(&self, by: std::time::Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.moved_ms.fetch_add(by, Ordering::SeqCst);
    }
}

/// A time as Mercado Pago writes it: milliseconds, and -04:00 in every country.
pub(crate) fn written(at: DateTime<Utc>) -> String {
    FixedOffset::west_opt(4 * 3600).map_or_else(
        || at.to_rfc3339_opts(SecondsFormat::Millis, false),
        |zone| at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, false),
    )
}

/// The same for a time that may be missing.
pub(crate) fn written_or_null(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, |at| Value::from(written(at)))
}

/// Reads a time with its offset. A `+` that a query string turned into a space is taken back.
pub(crate) fn read(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(&text.trim().replace(' ', "+")).ok().map(|at| at.with_timezone(&Utc))
}

/// Reads a bound of a search: a time, `NOW`, or `NOW-30DAYS` and the like.
pub(crate) fn read_bound(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Some(shift) = text.trim().strip_prefix("NOW") else { return read(text) };
    if shift.is_empty() {
        return Some(now);
    }
    let (sign, rest) = match shift.split_at_checked(1)? {
        ("-", rest) => (-1, rest),
        ("+" | " ", rest) => (1, rest),
        _ => return None,
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = rest[..digits].parse().ok()?;
    let hours = match rest[digits..].trim_end_matches('S') {
        "HOUR" => 1,
        "DAY" => 24,
        "WEEK" => 24 * 7,
        "MONTH" => 24 * 30,
        "YEAR" => 24 * 365,
        _ => return None,
    };
    now.checked_add_signed(TimeDelta::try_hours(count.checked_mul(hours)?.checked_mul(sign)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        read("2026-11-24T12:00:00.000Z").unwrap()
    }

    #[test]
    fn writes_milliseconds_and_the_fixed_offset() {
        assert_eq!(written(noon()), "2026-11-24T08:00:00.000-04:00");
    }

    #[test]
    fn reads_an_offset_whose_plus_was_lost_in_the_query() {
        assert_eq!(read("2026-11-24T14:00:00.000 02:00"), Some(noon()));
    }

    #[test]
    fn reads_relative_bounds() {
        assert_eq!(read_bound("NOW", noon()), Some(noon()));
        assert_eq!(read_bound("NOW-30DAYS", noon()), Some(noon() - TimeDelta::days(30)));
        assert_eq!(read_bound("NOW-1HOURS", noon()), Some(noon() - TimeDelta::hours(1)));
        assert_eq!(read_bound("NOW-1FORTNIGHT", noon()), None);
        assert_eq!(read_bound("NOW-99999999999999DAYS", noon()), None);
        assert_eq!(read_bound("yesterday", noon()), None);
    }

    #[test]
    fn moves_forward_for_every_clone() {
        let clock = Clock::fixed(noon());
        clock.clone().advance(std::time::Duration::from_mins(90));
        assert_eq!(clock.now(), noon() + TimeDelta::minutes(90));
    }
}
