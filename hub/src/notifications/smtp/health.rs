//! How servers are: one that fails again and again is left alone for a while, then tried with one mail.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Failures in a row after which a server rests.
const FAILURES: u32 = 3;
const REST_MIN: TimeDelta = TimeDelta::seconds(30);
const REST_MAX: TimeDelta = TimeDelta::minutes(5);

/// The servers of one hub, by key. Each hub finds out for itself.
#[derive(Default)]
pub(crate) struct Health {
    servers: Mutex<HashMap<String, State>>,
}

#[derive(Default, Clone, Copy)]
struct State {
    failures: u32,
    rests_until: Option<DateTime<Utc>>,
}

impl Health {
    /// Until when a server is left alone, if it is.
    pub(crate) fn rests_until(&self, key: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get(key)?.rests_until.filter(|until| *until > now)
    }

    /// Notes how it went.
    pub(crate) fn note(&self, key: &str, is_well: bool, now: DateTime<Utc>) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if is_well {
            servers.remove(key);
            return;
        }
        let state = servers.entry(key.to_owned()).or_default();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            let doubled = REST_MIN * (1 << (state.failures - FAILURES).min(4));
            state.rests_until = Some(now + doubled.min(REST_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_rests_after_three_failures_and_longer_each_time() {
        let health = Health::default();
        let mut now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let mut rests = Vec::new();
        for _ in 0..9 {
            health.note("a", false, now);
            let until = health.rests_until("a", now);
            rests.push(until.map_or(0, |until| (until - now).num_seconds()));
            now = until.unwrap_or(now);
        }
        assert_eq!(rests, [0, 0, 30, 60, 120, 240, 300, 300, 300]);
        health.note("a", true, now);
        assert!(health.rests_until("a", now).is_none());
    }
}
