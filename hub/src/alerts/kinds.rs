//! The kinds of alerts, in one table: what the settings, the pages and the runbook are made of.

use std::time::Duration;

/// A kind of alert.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name in settings, webhooks and metrics; `docs/runbook/NAME.md` says what to do.
    pub name: &'static str,
    /// What it is measured against, if anything.
    pub threshold: Option<Threshold>,
    /// For how long it must not be seen before it counts as over: what comes and goes is told once.
    pub settles: Duration,
    /// Its openings are told by mail where they happen, in the transaction that makes them so, and not again here.
    pub is_mailed_at_its_source: bool,
}

/// A number that an alert begins at.
#[derive(Debug, PartialEq, Eq)]
pub struct Threshold {
    /// What the number is.
    pub unit: Unit,
    /// Unless it is set.
    pub default: i32,
    /// The least that makes sense.
    pub min: i32,
    /// The most.
    pub max: i32,
}

/// What a threshold counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// So long, it is told.
    Seconds,
    /// Of the way to being disabled, or of a disk that is still free.
    Percent,
    /// In a row.
    Failures,
}

impl Unit {
    /// The word in pages and pages' translations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Percent => "percent",
            Self::Failures => "failures",
        }
    }
}

const fn threshold(unit: Unit, default: i32, min: i32, max: i32) -> Threshold {
    Threshold { unit, default, min, max }
}

const fn kind(name: &'static str, threshold: Option<Threshold>) -> Kind {
    Kind { name, threshold, settles: Duration::from_mins(2), is_mailed_at_its_source: false }
}

/// The longest time that can be set.
const WEEK: i32 = 7 * 86_400;

/// An endpoint gets nothing any more.
pub const ENDPOINT_DISABLED: Kind =
    Kind { settles: Duration::ZERO, is_mailed_at_its_source: true, ..kind("endpoint_disabled", None) };
/// An endpoint is on its way there.
pub const ENDPOINT_FAILING: Kind = Kind {
    settles: Duration::ZERO,
    is_mailed_at_its_source: true,
    ..kind("endpoint_failing", Some(threshold(Unit::Percent, 50, 50, 90)))
};
/// What is due waits, at the hub or at an agent.
pub const QUEUE_OLD: Kind = kind("queue_old", Some(threshold(Unit::Seconds, 300, 30, WEEK)));
/// A payment provider does not answer for an account.
pub const PROVIDER_FAILING: Kind = kind("provider_failing", Some(threshold(Unit::Seconds, 600, 60, WEEK)));
/// An agent has not reported.
pub const AGENT_SILENT: Kind = kind("agent_silent", Some(threshold(Unit::Seconds, 300, 120, WEEK)));
/// A mail server takes nothing.
pub const MAIL_ACCOUNT_FAILING: Kind =
    kind("mail_account_failing", Some(threshold(Unit::Failures, 5, 1, 1_000)));
/// A payment's books differ: a person must decide.
pub const CASE_OPEN: Kind = Kind { settles: Duration::ZERO, ..kind("case_open", None) };
/// What a shop was told is safe, and the rules refuse.
pub const DEAD_LETTERS: Kind = kind("dead_letters", None);
/// PostgreSQL does not answer, or is about to stop doing so.
pub const DATABASE_TROUBLE: Kind = kind("database_trouble", Some(threshold(Unit::Seconds, 60, 15, 3_600)));
/// A disk of the hub's is nearly full.
pub const DISK_FULL: Kind = kind("disk_full", Some(threshold(Unit::Percent, 10, 1, 50)));

/// Every kind.
pub const KINDS: &[Kind] = &[
    ENDPOINT_DISABLED,
    ENDPOINT_FAILING,
    QUEUE_OLD,
    PROVIDER_FAILING,
    AGENT_SILENT,
    MAIL_ACCOUNT_FAILING,
    CASE_OPEN,
    DEAD_LETTERS,
    DATABASE_TROUBLE,
    DISK_FULL,
];

impl Kind {
    /// By its name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Where it is written what to do.
    pub fn runbook(&self) -> String {
        format!("docs/runbook/{}.md", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_its_default_is_within_its_bounds() {
        assert_eq!(KINDS.len(), 10);
        for kind in KINDS {
            assert_eq!(Kind::find(kind.name), Some(kind));
            if let Some(threshold) = &kind.threshold {
                assert!((threshold.min..=threshold.max).contains(&threshold.default), "{}", kind.name);
            }
        }
        assert_eq!(Kind::find("nothing"), None);
    }
}
