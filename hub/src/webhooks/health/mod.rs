//! How an endpoint is doing: its circuit breaker, and the way to being disabled.
//!
//! This file decides and touches nothing; [`record`] takes in what attempts showed, [`probe`] lets one through.
//!
//! - **The circuit opens** after [`FAILURES_TO_OPEN`] failures in a row of the kind that says that nobody is there (no
//!   connection, no answer, 5xx). While it is open no delivery is attempted, and so none spends an attempt: they wait,
//!   due, for as long as it takes.
//! - **One probe** goes when the open time is over: one delivery, from one hub, whatever the number of hubs. Its success
//!   closes the circuit; its failure opens it for twice as long, up to [`OPEN_MAX`].
//! - **Another endpoint never notices.** The state is one endpoint's.
//! - **Three days without one success** ([`PATIENCE`]), counted from the first failure after the last success, disable an
//!   endpoint. Only failures move it along: an endpoint that nothing is sent to is not on its way anywhere. The
//!   operator is told at each of [`ALERTS`], once.
//!
//! The state is in the endpoint's row, so that all hubs agree, and is written only when it changes.

pub(crate) mod probe;
pub(crate) mod record;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};

/// Failures in a row that open the circuit.
pub const FAILURES_TO_OPEN: i32 = 10;
/// The first time that the circuit stays open; each further one in a row is twice as long.
pub const OPEN_MIN: TimeDelta = TimeDelta::seconds(5);
/// The longest.
pub const OPEN_MAX: TimeDelta = TimeDelta::minutes(10);
/// How long an endpoint may fail without one success before it is disabled.
pub const PATIENCE: TimeDelta = TimeDelta::days(3);
/// Percentages of [`PATIENCE`] at which the operator is told.
pub const ALERTS: [i16; 4] = [50, 70, 90, 100];

/// What an attempt showed of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took the delivery.
    Taken,
    /// It answered, and did not take it: 3xx, 4xx.
    Refused,
    /// It did not answer, or with 5xx.
    Down,
    /// Nothing: the hub itself could not make the request.
    Unknown,
}

/// An endpoint's health, as its row holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Failures in a row of the kind [`Outcome::Down`].
    pub failures: i32,
    /// Openings of the circuit in a row.
    pub openings: i32,
    /// The circuit is open; past this time a probe may go.
    pub open_until: Option<DateTime<Utc>>,
    /// The first failure since the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// The last of [`ALERTS`] that the operator was told.
    pub alerted_percent: i16,
}

/// Where the circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Deliveries go.
    Closed,
    /// None goes.
    Open,
    /// One goes, to see.
    HalfOpen,
}

impl Circuit {
    /// The word used in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Health {
    /// Where the circuit stands now.
    pub fn circuit(&self, now: DateTime<Utc>) -> Circuit {
        match self.open_until {
            None => Circuit::Closed,
            Some(until) if now < until => Circuit::Open,
            Some(_) => Circuit::HalfOpen,
        }
    }

    /// The health after an attempt. While the circuit is open only a probe's failure says anything new: others were
    /// under way before it opened. A success says the same whoever brings it.
    #[must_use]
    pub fn after(self, outcome: Outcome, is_probe: bool, now: DateTime<Utc>) -> Self {
        let failing = Self { failing_since: self.failing_since.or(Some(now)), ..self };
        match (outcome, self.open_until) {
            (Outcome::Unknown, _) => self,
            (Outcome::Taken, _) => Self::default(),
            (_, Some(_)) if is_probe => failing.open(now),
            (_, Some(_)) => failing,
            (Outcome::Refused, None) => Self { failures: 0, ..failing },
            (Outcome::Down, None) => {
                let failing = Self { failures: self.failures.saturating_add(1), ..failing };
                if failing.failures >= FAILURES_TO_OPEN { failing.open(now) } else { failing }
            }
        }
    }

    fn open(self, now: DateTime<Utc>) -> Self {
        let openings = self.openings.saturating_add(1);
        Self { openings, open_until: now.checked_add_signed(open_time(openings)), ..self }
    }

    /// How far it is on the way to being disabled, in percent, at most 100.
    pub fn percent(&self, now: DateTime<Utc>) -> i16 {
        let Some(since) = self.failing_since else { return 0 };
        let percent =
            (now - since).num_milliseconds().max(0).saturating_mul(100) / PATIENCE.num_milliseconds();
        i16::try_from(percent.min(100)).unwrap_or(100)
    }

    /// The alert that is due: the furthest that was reached and not told. At 100 the endpoint is to be disabled.
    pub fn alert(&self, now: DateTime<Utc>) -> Option<i16> {
        let percent = self.percent(now);
        ALERTS.into_iter().rev().find(|alert| *alert <= percent).filter(|alert| *alert > self.alerted_percent)
    }
}

/// How long the circuit stays open the so-manieth time in a row.
fn open_time(openings: i32) -> TimeDelta {
    let doublings = u32::try_from(openings.saturating_sub(1)).unwrap_or(0).min(30);
    OPEN_MIN.checked_mul(1 << doublings).unwrap_or(OPEN_MAX).min(OPEN_MAX)
}
