//! What the hub and its PostgreSQL cost, as the kernel counts it.

use anyhow::Context as _;

/// The hub's process and its PostgreSQL's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processes {
    pub(crate) hub: u32,
    pub(crate) postmaster: u32,
}

impl Processes {
    /// CPU seconds that both have used until now, children that have ended included.
    pub(crate) fn cpu_seconds(self) -> anyhow::Result<f64> {
        let hub = fields(self.hub).context("the hub's /proc")?.own;
        Ok(seconds(hub) + self.database_seconds()?)
    }

    /// PostgreSQL's part of it.
    pub(crate) fn database_seconds(self) -> anyhow::Result<f64> {
        let postmaster = fields(self.postmaster).context("PostgreSQL's /proc")?;
        let mut ticks = postmaster.own + postmaster.ended;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(child) = pid.and_then(fields).filter(|it| it.parent == self.postmaster) {
                ticks += child.own;
            }
        }
        Ok(seconds(ticks))
    }

    /// The hub's resident memory, in MB.
    pub(crate) fn hub_memory(self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.hub))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1_024.0)
    }
}

/// CPU seconds that a process has used until now.
pub(crate) fn cpu_seconds_of(pid: u32) -> anyhow::Result<f64> {
    Ok(seconds(fields(pid).context("a process's /proc")?.own))
}

/// Linux tells user space in hundredths of a second (`USER_HZ`).
#[expect(clippy::cast_precision_loss, reason = "far less than 2^52 ticks")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

struct Stat {
    parent: u32,
    own: u64,
    ended: u64,
}

/// Of `/proc/PID/stat` (proc(5)): the parent, the time used, and that of children that have ended.
fn fields(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        ended: number(13)? + number(14)?,
    })
}
