//! Replays with a rate: a row that releases so many deliveries a second, until it has come to the end of its range.
//!
//! The rate holds whatever happens in between. Nothing is made up for after a pause, and while as many as go in a second
//! still wait for their first attempt (the endpoint is slow, disabled, or its circuit open) none is added. Within the
//! second they are spread, and the sending keeps the distance ([`super::deliver`]).

use anyhow::Context as _;
use chrono::TimeDelta;

use super::store::{self, ClaimedReplay};
use crate::app::App;
use crate::queue::Lease;
use crate::queue::worker::Queue;

/// How often a replay releases its next deliveries.
const STEP: TimeDelta = TimeDelta::seconds(1);

/// The queue of replays with a rate.
pub struct Replays {
    app: App,
}

impl Replays {
    /// The queue for a hub.
    pub fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

impl Queue for Replays {
    type Job = ClaimedReplay;
    type Done = ClaimedReplay;
    const NAME: &'static str = "webhook_replays";
    const CONCURRENCY: usize = 20;

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<ClaimedReplay>> {
        Ok(store::claim_replays(&self.app.db, lease, limit).await?)
    }

    // The work is a transaction, and that is what finishing is.
    async fn run(&self, replay: ClaimedReplay) -> ClaimedReplay {
        replay
    }

    async fn finish(&self, done: &[ClaimedReplay]) -> anyhow::Result<()> {
        let mut any = false;
        for replay in done {
            any |= self.step(replay).await.with_context(|| format!("the replay {}", replay.id))?;
        }
        if any {
            super::wake(&self.app);
        }
        Ok(())
    }
}

impl Replays {
    /// Releases what may go now. True when anything did.
    async fn step(&self, replay: &ClaimedReplay) -> anyhow::Result<bool> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.begin().await?;
        if !store::lock_replay(&mut tx, replay).await? {
            // The lease is another's by now, or the endpoint was deleted.
            return Ok(false);
        }
        let waiting = store::count_unattempted(&mut tx, replay).await?;
        let room = i64::from(replay.rate_per_second) - waiting;
        let released = if room > 0 { store::release(&mut tx, replay, room, now).await? } else { Vec::new() };
        let is_over = room > 0 && i64::try_from(released.len()).unwrap_or(i64::MAX) < room;
        store::move_replay(&mut tx, replay, &released, (!is_over).then(|| now + STEP), now).await?;
        tx.commit().await?;
        Ok(!released.is_empty())
    }
}
