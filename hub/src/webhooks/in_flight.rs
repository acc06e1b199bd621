//! What this hub has in hand for each endpoint: deliveries under way, and those that follow them.
//!
//! An endpoint has at most `max_in_flight` deliveries under way. What is written or claimed beyond that, up to a measure,
//! waits here, leased, and goes when one ends well: a worker takes the next of the same endpoint ([`InFlight::follow`]).
//! Only what exceeds that too is left to a claim.
//!
//! An endpoint is *behind* when the table may hold due deliveries of its that this hub does not have in hand. Then new
//! ones are not taken past those that wait there, and each that ends asks the table for the next.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::deliver::Job;
use super::store::ClaimedDelivery;

/// Written deliveries that may follow, for each that may be under way.
const AHEAD_WRITTEN: i32 = 10;
/// Claimed deliveries that may follow, for each that may be under way: enough to go on with during the next claim.
const AHEAD_CLAIMED: i32 = 2;
/// Deliveries that follow, of all endpoints: some megabytes.
const AHEAD_MAX: usize = 4_096;
/// An endpoint that takes longer for a delivery gets none to follow: they would grow old here.
const QUICK: Duration = Duration::from_millis(250);
/// What waited for longer goes back to the table: its endpoint may have changed.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// Deliveries under way that an endpoint may have although few workers are free: the default of `max_in_flight`.
const FEW: usize = 10;

/// How many of a queue's workers one endpoint may have, whatever its `max_in_flight`, while so many are free: a quarter,
/// and the last quarter is for those that have few.
pub(super) fn share(free: usize, workers: usize) -> i32 {
    let quarter = workers / 4;
    let share = if free > quarter { quarter } else { FEW };
    i32::try_from(share).unwrap_or(i32::MAX)
}

/// The endpoints that this hub is sending to.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<Endpoints>);

#[derive(Debug, Default)]
struct Endpoints {
    by_id: HashMap<Uuid, Endpoint>,
    /// Deliveries that follow or will, of all endpoints.
    ahead: usize,
}

#[derive(Debug, Default)]
struct Endpoint {
    running: i32,
    limit: i32,
    behind: bool,
    pace: Pace,
    /// It is pulled, ordered, has a rate or a probe under way: nothing follows by itself.
    is_single: bool,
    /// Places in `following` for deliveries that are being written.
    expected: i32,
    following: VecDeque<Follower>,
}

/// How an endpoint took the last delivery that went well.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Pace {
    #[default]
    Unknown,
    Quick,
    Slow,
}

/// A delivery in hand that is not under way yet.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) delivery: ClaimedDelivery,
    pub(super) body: Bytes,
    pub(super) since: Instant,
}

/// One delivery under way. Dropped, however it ends, its place is free.
#[derive(Debug)]
pub(super) struct Slot {
    in_flight: Arc<InFlight>,
    endpoint: Uuid,
}

/// A place for a delivery that follows. Dropped, because its transaction failed, it is free again.
#[derive(Debug)]
pub(super) struct Expected {
    in_flight: Arc<InFlight>,
    endpoint: Uuid,
}

/// Where a delivery that is being written may go.
#[derive(Debug)]
pub(super) enum Room {
    Now(Slot),
    Next(Expected),
}

/// What was in hand when a claim began.
#[derive(Debug)]
pub(crate) struct Busy {
    /// The endpoints.
    pub(crate) endpoints: Vec<Uuid>,
    /// How many deliveries of each are in hand.
    pub(crate) in_hand: Vec<i32>,
    /// How many of each may be in hand beyond those under way.
    pub(crate) ahead: Vec<i32>,
    /// The same for any other endpoint, for each that may be under way.
    pub(crate) ahead_each: i32,
    known: HashMap<Uuid, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    in_hand: i32,
    limit: i32,
    ahead: i32,
}

impl InFlight {
    /// A place for a delivery that is being made, if nothing of the endpoint's waits in the table. Of `several` hubs, one
    /// lets none follow at an endpoint that may be slow: the others have places too.
    pub(super) fn room(self: &Arc<Self>, endpoint: Uuid, limit: i32, several: bool) -> Option<Room> {
        let mut endpoints = self.lock();
        let is_full = endpoints.ahead >= AHEAD_MAX;
        let entry = endpoints.by_id.entry(endpoint).or_default();
        (entry.limit, entry.is_single) = (limit, false);
        if entry.behind || limit < 1 {
            return None;
        }
        if entry.running < limit && entry.ahead() == 0 {
            entry.running += 1;
            return Some(Room::Now(Slot { in_flight: self.clone(), endpoint }));
        }
        let may_be_slow = entry.pace == Pace::Slow || several && entry.pace == Pace::Unknown;
        if is_full || may_be_slow || entry.ahead() >= limit.saturating_mul(AHEAD_WRITTEN) {
            return None;
        }
        entry.expected += 1;
        endpoints.ahead += 1;
        Some(Room::Next(Expected { in_flight: self.clone(), endpoint }))
    }

    /// Takes in what was claimed: a place if the endpoint has one and a worker is free, or it follows (`None`).
    pub(super) fn take(
        self: &Arc<Self>,
        follower: Follower,
        limit: i32,
        is_single: bool,
        has_worker: bool,
    ) -> Option<Job> {
        let endpoint = follower.delivery.target.id;
        let mut endpoints = self.lock();
        let entry = endpoints.by_id.entry(endpoint).or_default();
        (entry.limit, entry.is_single) = (limit, is_single);
        // Of a single one no more is claimed than may go.
        if has_worker && (is_single || entry.running < limit) {
            entry.running += 1;
            return Some(follower.goes(Slot { in_flight: self.clone(), endpoint }));
        }
        entry.following.push_back(follower);
        endpoints.ahead += 1;
        None
    }

    /// The next of an endpoint's after one that ended. After a failure the others under way go on with it; if there
    /// is none, what follows goes back to the table, one by one, for the endpoint's circuit to hold.
    pub(super) fn follow(self: &Arc<Self>, endpoint: Uuid, went_well: bool, took: Duration) -> Option<Job> {
        let mut endpoints = self.lock();
        let entry = endpoints.by_id.get_mut(&endpoint)?;
        if went_well {
            entry.pace = if took > QUICK { Pace::Slow } else { Pace::Quick };
        }
        let may = if went_well { entry.running < entry.limit } else { entry.running == 0 };
        if !may {
            return None;
        }
        let follower = entry.following.pop_front()?;
        entry.running += 1;
        entry.behind |= !went_well;
        endpoints.ahead -= 1;
        let slot = Slot { in_flight: self.clone(), endpoint };
        Some(if went_well { follower.goes(slot) } else { follower.goes_back(slot) })
    }

    /// What may go of what follows, of these endpoints or of all: where a place is free and nobody was there to take it.
    pub(super) fn ready(self: &Arc<Self>, of: Option<&[Uuid]>, workers: usize) -> Vec<Job> {
        let mut endpoints = self.lock();
        let Endpoints { by_id, ahead } = &mut *endpoints;
        let mut jobs = Vec::new();
        for (endpoint, entry) in by_id.iter_mut().filter(|(id, _)| of.is_none_or(|of| of.contains(*id))) {
            while entry.running < entry.limit && jobs.len() < workers {
                let Some(follower) = entry.following.pop_front() else { break };
                entry.running += 1;
                *ahead -= 1;
                jobs.push(follower.goes(Slot { in_flight: self.clone(), endpoint: *endpoint }));
            }
        }
        jobs
    }

    /// Says that the table holds a due delivery of the endpoint's.
    pub(super) fn mark_behind(&self, endpoint: Uuid) {
        self.lock().by_id.entry(endpoint).or_default().behind = true;
    }

    /// Whether the table may hold due deliveries of the endpoint's.
    pub(super) fn is_behind(&self, endpoint: Uuid) -> bool {
        self.lock().by_id.get(&endpoint).is_some_and(|entry| entry.behind)
    }

    /// What is in hand now.
    pub(super) fn busy(&self) -> Busy {
        let endpoints = self.lock();
        let ahead_each = if endpoints.ahead < AHEAD_MAX { AHEAD_CLAIMED } else { 0 };
        let known = endpoints.by_id.iter().map(|(id, entry)| {
            let ahead = if entry.pace == Pace::Slow || entry.is_single {
                0
            } else {
                entry.limit.saturating_mul(ahead_each)
            };
            (*id, Known { in_hand: entry.running + entry.ahead(), limit: entry.limit, ahead })
        });
        let known: HashMap<Uuid, Known> = known.collect();
        drop(endpoints);
        Busy {
            endpoints: known.keys().copied().collect(),
            in_hand: known.values().map(|it| it.in_hand).collect(),
            ahead: known.values().map(|it| it.ahead).collect(),
            ahead_each,
            known,
        }
    }

    /// Learns from a claim which endpoints are behind: those that took all that they were asked for. `claimed` tells
    /// for each endpoint how many deliveries came and what it may have under way and ahead, `share` what any endpoint
    /// may have under way at most.
    pub(super) fn learn(&self, busy: &Busy, claimed: &HashMap<Uuid, Claimed>, share: i32) {
        let mut endpoints = self.lock();
        for id in busy.known.keys().chain(claimed.keys()) {
            let before = busy.known.get(id).copied();
            let Claimed { came, limit, ahead } = claimed.get(id).copied().unwrap_or_else(|| {
                before.map_or(Claimed::default(), |it| Claimed { came: 0, limit: it.limit, ahead: it.ahead })
            });
            let asked = limit.min(share) + ahead - before.map_or(0, |it| it.in_hand);
            // Of an endpoint that was never sent to, the limit is not known: nothing came although it was asked.
            let behind = if limit == 0 && came == 0 { false } else { came >= asked };
            endpoints.by_id.entry(*id).or_default().behind = behind;
        }
        endpoints.by_id.retain(|_, entry| !entry.is_idle());
    }

    fn lock(&self) -> MutexGuard<'_, Endpoints> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a claim brought of one endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Claimed {
    pub(super) came: i32,
    pub(super) limit: i32,
    pub(super) ahead: i32,
}

impl Busy {
    /// How many of an endpoint's a claim may take beyond those under way: what the claim's statement says.
    pub(super) fn ahead_of(&self, endpoint: Uuid, limit: i32) -> i32 {
        self.known.get(&endpoint).map_or(limit.saturating_mul(self.ahead_each), |it| it.ahead)
    }
}

impl Endpoint {
    fn ahead(&self) -> i32 {
        self.expected.saturating_add(i32::try_from(self.following.len()).unwrap_or(i32::MAX))
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && !self.behind && self.ahead() == 0
    }
}

impl Follower {
    fn goes(self, slot: Slot) -> Job {
        Job { delivery: self.delivery, body: self.body, slot, goes_back: self.since.elapsed() > FRESH }
    }

    fn goes_back(self, slot: Slot) -> Job {
        Job { goes_back: true, ..self.goes(slot) }
    }
}

impl Expected {
    /// The delivery is written and follows.
    pub(super) fn arrived(self, delivery: ClaimedDelivery, body: Bytes) {
        let mut endpoints = self.in_flight.lock();
        // Dropping `self` takes the place out of those that are expected.
        endpoints.ahead += 1;
        let entry = endpoints.by_id.entry(self.endpoint).or_default();
        entry.following.push_back(Follower { delivery, body, since: Instant::now() });
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut endpoints = self.in_flight.lock();
        endpoints.ahead -= 1;
        if let Some(entry) = endpoints.by_id.get_mut(&self.endpoint) {
            entry.expected -= 1;
            if entry.is_idle() {
                endpoints.by_id.remove(&self.endpoint);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut endpoints = self.in_flight.lock();
        if let Some(entry) = endpoints.by_id.get_mut(&self.endpoint) {
            entry.running -= 1;
            if entry.is_idle() {
                endpoints.by_id.remove(&self.endpoint);
            }
        }
    }
}

#[cfg(test)]
#[path = "in_flight_tests.rs"]
mod tests;
