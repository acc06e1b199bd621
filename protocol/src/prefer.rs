//! The `Prefer` header (RFC 7240), as far as Trastienda honours it: how long a caller waits for the
//! outcome of a call that the hub goes on with by itself.

use std::time::Duration;

/// How long a payment is waited for when the caller does not say.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_secs(25);

/// What the caller prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `respond-async`: do not wait at all.
    pub respond_async: bool,
    /// `wait` or `wait=N`: pass through and wait. Without a number, [`WAIT_DEFAULT`].
    pub wait: Option<Duration>,
}

impl Prefer {
    /// Reads the header's value; what is not known is ignored, as the RFC asks.
    pub fn parse(value: &str) -> Self {
        let mut prefer = Self::default();
        for preference in value.split(',') {
            let preference = preference.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let (name, argument) = preference
                .split_once('=')
                .map_or((preference.as_str(), None), |(n, a)| (n.trim(), Some(a.trim())));
            match (name, argument) {
                ("respond-async", None) => prefer.respond_async = true,
                ("wait", None) => prefer.wait = Some(WAIT_DEFAULT),
                ("wait", Some(seconds)) => {
                    if let Ok(seconds) = seconds.trim_matches('"').parse::<u64>() {
                        prefer.wait = Some(Duration::from_secs(seconds).min(WAIT_MAX));
                    }
                }
                _ => {}
            }
        }
        prefer
    }

    /// How long to wait for a payment's outcome.
    pub fn payment_wait(self) -> Duration {
        if self.respond_async { Duration::ZERO } else { self.wait.unwrap_or(WAIT_DEFAULT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_and_capped() {
        assert_eq!(Prefer::parse("").payment_wait(), WAIT_DEFAULT);
        assert_eq!(Prefer::parse("wait=3").payment_wait(), Duration::from_secs(3));
        assert_eq!(Prefer::parse("handling=lenient, Wait=90").payment_wait(), WAIT_MAX);
        assert_eq!(Prefer::parse("respond-async, wait=5").payment_wait(), Duration::ZERO);
        assert_eq!(Prefer::parse("wait").wait, Some(WAIT_DEFAULT));
    }
}
