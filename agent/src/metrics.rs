//! What the agent counts, in Prometheus' text format at `GET /agent/metrics`.
//!
//! Plain atomics that belong to one agent: nothing global, so that tests run many agents in one
//! process, and nothing that grows with the number of calls.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::status::OwnStatus;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of one agent.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Calls acknowledged for the first time.
    pub accepted: Counter,
    /// Calls answered again from their receipts.
    pub replayed: Counter,
    /// Calls refused because there was no room.
    pub refused_full: Counter,
    /// Commits of the buffer.
    pub commits: Counter,
    /// What those took in all, in microseconds.
    pub commit_micros: Counter,
    /// Transactions of the buffer that failed.
    pub write_errors: Counter,
    /// Databases that were set aside as damaged while the agent ran.
    pub databases_set_aside: Counter,
    /// Batches that the hub answered.
    pub batches: Counter,
    /// Batches that it did not, or refused as a whole.
    pub batches_failed: Counter,
    /// Calls that the hub took.
    pub forwarded: Counter,
    /// Calls that became dead letters.
    pub buried: Counter,
    /// Calls passed through.
    pub passed: Counter,
    /// Calls that could not be passed through.
    pub pass_failed: Counter,
    /// Webhooks that were posted to the application, whatever came of it.
    pub pulled: Counter,
    /// Their results that the hub did not get in time.
    pub pulled_late: Counter,
    /// Calls that were not even tried, since the hub had not answered lately.
    pub pass_spared: Counter,
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn render(&self, own: &OwnStatus) -> String {
        let counters = [
            ("accepted_total", "Calls acknowledged for the first time", &self.accepted),
            ("replayed_total", "Calls answered again from their receipts", &self.replayed),
            ("refused_full_total", "Calls refused because the buffer had no room", &self.refused_full),
            ("buffer_commits_total", "Commits of the buffer", &self.commits),
            ("buffer_commit_microseconds_total", "What the commits took in all", &self.commit_micros),
            ("buffer_write_errors_total", "Failed transactions of the buffer", &self.write_errors),
            ("buffer_set_aside_total", "Databases set aside as damaged", &self.databases_set_aside),
            ("batches_total", "Batches that the hub answered", &self.batches),
            ("batches_failed_total", "Batches that failed as a whole", &self.batches_failed),
            ("forwarded_total", "Calls that the hub took", &self.forwarded),
            ("buried_total", "Calls that became dead letters", &self.buried),
            ("passed_total", "Calls passed through to the hub", &self.passed),
            ("pass_failed_total", "Calls that could not be passed through", &self.pass_failed),
            ("pulled_total", "Webhooks posted to the application", &self.pulled),
            ("pulled_late_total", "Results of webhooks that the hub did not get in time", &self.pulled_late),
            ("pass_spared_total", "Calls refused at once while the hub was away", &self.pass_spared),
        ];
        let status = &own.agent;
        let gauges = [
            ("buffered", "Calls that wait for the hub", status.buffered),
            ("oldest_seconds", "Age of the oldest call that waits", status.oldest_seconds),
            ("dead_letters", "Calls that a person must decide about", status.dead_letters),
            ("disk_bytes", "Bytes of the buffer on the disk", status.disk_bytes),
            (
                "damaged_databases",
                "Damaged databases that lie in the directory",
                own.damaged_databases as u64,
            ),
            ("full_percent", "How full the buffer is, in hundredths of its limit", own.full_percent),
            ("disk_free_bytes", "Bytes free on the buffer's disk", own.disk_free_bytes),
        ];
        let mut text = String::with_capacity(4_096);
        for (name, help, counter) in counters {
            sample(&mut text, ("counter", name, help), counter.get());
        }
        for (name, help, value) in gauges {
            sample(&mut text, ("gauge", name, help), value);
        }
        let up = u64::from(status.hub == trastienda_protocol::heartbeat::HubState::Up);
        sample(&mut text, ("gauge", "hub_up", "Whether the hub takes calls"), up);
        text
    }
}

fn sample(text: &mut String, (kind, name, help): (&str, &str, &str), value: u64) {
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# HELP trastienda_agent_{name} {help}\n# TYPE trastienda_agent_{name} {kind}\ntrastienda_agent_{name} {value}\n"
    );
}
