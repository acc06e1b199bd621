//! The buckets as this hub sees them.
//!
//! Alone, or when what is shared is lost, the hub keeps them itself; else it holds some cells of each that it took from
//! what is shared, and asks for more when those are used up: one asks, the others wait for the answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::gcra::{Rate, Taken};

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A project's requests.
    Requests,
    /// What its agents ask of their own accord.
    Agents,
    /// Deliveries to an endpoint.
    Endpoint,
    /// Deliveries of replays to an endpoint.
    Replay,
}

impl Scope {
    /// As it is written in the database and in Redis.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Agents => "agents",
            Self::Endpoint => "endpoint",
            Self::Replay => "replay",
        }
    }

    /// Whether cells come evenly, and their callers wait for their turn.
    pub fn has_turns(self) -> bool {
        matches!(self, Self::Endpoint | Self::Replay)
    }
}

/// A bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose it is.
    pub project: Uuid,
    /// What it counts.
    pub scope: Scope,
    /// Of what: the endpoint, or the project itself.
    pub id: Uuid,
}

/// One cell of a bucket, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// It is the caller's.
    Granted {
        /// Its turn, for those who wait for it.
        at: Instant,
        /// Cells that are left.
        left: u32,
    },
    /// None is left.
    Refused {
        /// How long it takes until there is one.
        wait: Duration,
    },
}

/// All buckets of this hub.
#[derive(Debug, Default)]
pub(super) struct Meters(Mutex<HashMap<Key, Arc<Meter>>>);

/// A bucket of this hub.
#[derive(Debug)]
pub(super) struct Meter {
    rate: Rate,
    /// Each cell has its turn, which its caller waits for.
    has_turns: bool,
    state: Mutex<State>,
    /// Who asks for more holds it.
    pub(super) asking: tokio::sync::Mutex<()>,
    wanted: AtomicU32,
}

#[derive(Debug)]
struct State {
    /// When the bucket is full again, as far as is known.
    full_at: Instant,
    /// Cells of what is shared that this hub holds.
    held: u32,
    /// The turn of the first of them.
    next_at: Instant,
    /// What is shared has nothing until then.
    empty_until: Option<Instant>,
    /// How many hubs' parts `full_at` stands for; `None`: for all, it came from what is shared.
    parts: Option<u32>,
    used_at: Instant,
}

/// Counts who wants a cell, to ask for as many.
pub(super) struct Wanted<'a>(&'a AtomicU32);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Meters {
    /// The bucket of this key. One whose rate has changed starts full.
    pub(super) fn of(&self, key: Key, rate: Rate, now: Instant) -> Arc<Meter> {
        let mut meters = self.lock();
        let new = || Arc::new(Meter::new(rate, key.scope.has_turns(), now));
        let meter = meters.entry(key).or_insert_with(new);
        if meter.rate != rate {
            *meter = new();
        }
        meter.clone()
    }

    /// Forgets buckets that are full and were not used for so long.
    pub(super) fn forget(&self, idle: Duration, now: Instant) {
        self.lock().retain(|_, meter| {
            let state = meter.lock();
            state.full_at > now || now.saturating_duration_since(state.used_at) < idle
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Meter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    fn new(rate: Rate, has_turns: bool, now: Instant) -> Self {
        let state =
            State { full_at: now, held: 0, next_at: now, empty_until: None, parts: Some(1), used_at: now };
        let (state, asking) = (Mutex::new(state), tokio::sync::Mutex::default());
        Self { rate, has_turns, state, asking, wanted: AtomicU32::new(0) }
    }

    /// Takes from the bucket that this hub keeps itself, as one of so many hubs.
    pub(super) fn take_own(&self, hubs: u32, now: Instant) -> Cell {
        let mut state = self.lock();
        if let Some(cell) = state.take_held(self, now) {
            return cell;
        }
        let rate = self.rate.share_of(hubs);
        state.parts = Some(hubs);
        let ahead = state.ahead(now).min(self.rate.window);
        let taken = rate.take(ahead, 1);
        if taken.granted == 0 {
            return Cell::Refused { wait: rate.until_next(ahead) };
        }
        state.full_at = now + taken.ahead;
        Cell::Granted { at: now + ahead, left: rate.room(taken.ahead) }
    }

    /// Takes from what this hub holds of what is shared; `None`: it must ask.
    pub(super) fn take_held(&self, now: Instant) -> Option<Cell> {
        let mut state = self.lock();
        if let Some(cell) = state.take_held(self, now) {
            return Some(cell);
        }
        let until = state.empty_until.filter(|until| *until > now)?;
        Some(Cell::Refused { wait: until - now })
    }

    /// Somebody wants a cell.
    pub(super) fn want(&self) -> Wanted<'_> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        Wanted(&self.wanted)
    }

    /// How many cells to ask for, and what this hub took while it kept the bucket itself. Cells that have their turn are not
    /// asked for beyond those who wait: nobody else could use them.
    pub(super) fn ask(&self, now: Instant) -> (u32, Duration) {
        let state = self.lock();
        let carried = state.parts.map_or(Duration::ZERO, |parts| state.ahead(now) / parts.max(1));
        let chunk = if self.has_turns {
            // A tenth of a second's.
            let tenth = Duration::from_millis(100).as_nanos() / self.rate.interval.as_nanos();
            let tenth = u32::try_from(tenth).unwrap_or(u32::MAX).max(1);
            tenth.min(self.wanted.load(Ordering::Relaxed).max(1))
        } else {
            self.rate.chunk()
        };
        (chunk, carried.min(self.rate.window))
    }

    /// Takes in what was granted at a time.
    pub(super) fn granted(&self, taken: Taken, now: Instant) {
        let mut state = self.lock();
        state.parts = None;
        state.full_at = now + taken.ahead;
        state.held = taken.granted;
        state.next_at = now + taken.ahead.saturating_sub(self.rate.interval * taken.granted);
        state.empty_until = (taken.granted == 0).then(|| now + self.rate.until_next(taken.ahead));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ahead(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now)
    }

    fn take_held(&mut self, meter: &Meter, now: Instant) -> Option<Cell> {
        self.used_at = now;
        let rate = meter.rate;
        // A turn that nobody took is over.
        while meter.has_turns && self.held > 0 && self.next_at + rate.interval < now {
            self.held -= 1;
            self.next_at += rate.interval;
        }
        if self.held == 0 {
            return None;
        }
        self.held -= 1;
        let at = self.next_at;
        self.next_at += rate.interval;
        let left = rate.room(self.ahead(now)).saturating_add(self.held);
        Some(Cell::Granted { at, left })
    }
}
