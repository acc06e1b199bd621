//! The arithmetic of evenly filling buckets: the generic cell rate algorithm of ATM's traffic management (ITU-T I.371).
//!
//! A bucket is one number: when it will be full again if nothing more is taken. Taking moves that time away by an interval
//! for each cell; it may be no farther away than the window. So taking ahead of time is reserving: with a window, cells come
//! as a burst that the bucket allows, or each with the time at which its turn is, whichever its caller wants.
//!
//! The same is written in SQL ([`super::store`]) and for Redis ([`super::redis`]); tests hold the three equal.

use std::time::Duration;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The time that brings one cell; not zero.
    pub interval: Duration,
    /// The time that fills an empty bucket: it holds so many intervals.
    pub window: Duration,
}

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Cells, as many as were asked for or fewer.
    pub granted: u32,
    /// How long it takes until the bucket is full again.
    pub ahead: Duration,
}

impl Rate {
    /// So many in a time, all of which may come at once.
    pub fn burst(cells: u32, window: Duration) -> Self {
        Self::new(window / cells.max(1), window)
    }

    /// So many a second, evenly, for callers that wait for their turn as long as this.
    pub fn evenly(per_second: u32, patience: Duration) -> Self {
        Self::new(Duration::from_secs(1) / per_second.max(1), patience)
    }

    fn new(interval: Duration, window: Duration) -> Self {
        let interval = interval.max(Duration::from_nanos(1));
        Self { interval, window: window.max(interval) }
    }

    /// The equal share of each of several hubs.
    #[must_use]
    pub fn share_of(self, hubs: u32) -> Self {
        Self::new(self.interval * hubs.max(1), self.window)
    }

    /// Cells that the bucket holds so long before it is full.
    pub fn room(self, ahead: Duration) -> u32 {
        let cells = self.window.saturating_sub(ahead).as_nanos() / self.interval.as_nanos();
        u32::try_from(cells).unwrap_or(u32::MAX)
    }

    /// The cells that a hub asks for at once where several share a bucket: a hundredth of what it holds, so that three hubs
    /// that hold on to theirs are within a few in a hundred of the limit.
    pub fn chunk(self) -> u32 {
        (self.room(Duration::ZERO) / 100).max(1)
    }

    /// Takes cells from a bucket that is full in so long.
    pub fn take(self, ahead: Duration, asked: u32) -> Taken {
        let ahead = ahead.min(self.window);
        let granted = asked.min(self.room(ahead));
        Taken { granted, ahead: ahead + self.interval * granted }
    }

    /// How long it takes until a cell can be taken from a bucket that is full in so long.
    pub fn until_next(self, ahead: Duration) -> Duration {
        (ahead + self.interval).saturating_sub(self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_full_bucket_gives_all_at_once_and_then_one_at_a_time() {
        let rate = Rate::burst(600, MINUTE);
        let all = rate.take(Duration::ZERO, 1_000);
        assert_eq!(all, Taken { granted: 600, ahead: MINUTE });
        assert_eq!(rate.take(all.ahead, 1).granted, 0);
        assert_eq!(rate.until_next(all.ahead), Duration::from_millis(100));
        let later = all.ahead.checked_sub(Duration::from_millis(250)).unwrap();
        assert_eq!(rate.take(later, 10).granted, 2);
    }

    #[test]
    fn what_comes_evenly_is_reserved_as_far_ahead_as_its_caller_waits() {
        let rate = Rate::evenly(10, Duration::from_secs(2));
        assert_eq!(rate.take(Duration::ZERO, 100), Taken { granted: 20, ahead: Duration::from_secs(2) });
    }

    #[test]
    fn shares_are_together_the_whole() {
        let rate = Rate::burst(900, MINUTE);
        assert_eq!(rate.share_of(3).room(Duration::ZERO) * 3, 900);
        assert_eq!((rate.chunk(), Rate::burst(60, MINUTE).chunk()), (9, 1));
    }

    #[test]
    fn the_highest_limits_there_are_lose_nothing_to_rounding() {
        for cells in [1, 7, 999, 1_000_000, 1_000_000_000, 2_000_000_000] {
            let rate = Rate::burst(cells, MINUTE);
            let room = f64::from(rate.room(Duration::ZERO));
            assert!((room / f64::from(cells) - 1.0).abs() < 0.02, "{cells}: {room}");
        }
    }
}
