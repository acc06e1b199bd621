//! Lanes: how much may be in flight to the operator's servers, and to each project's own.
//!
//! A lane sends over so many connections at once. While its servers are quick it also holds some mails that are claimed
//! and wait for their turn, so that no connection waits for the database; for a slow server none is claimed ahead, and
//! what has waited for long goes back. At most four times as many mails as there are connections have been handed over
//! and are not written down yet: those may come twice if the hub dies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use uuid::Uuid;

/// Mails at once through the operator's servers, unless the first one's URL says otherwise.
pub(crate) const OPERATORS_MAX: usize = 16;
/// Mails at once through one project's own accounts.
pub(crate) const OWN_MAX: usize = 8;
/// Mails that wait for their turn in one lane at most.
pub(crate) const AHEAD_MAX: usize = 128;
/// Mails of one connection that are handed over and not written down yet, at most: enough for the next to go while those
/// before it are committed.
const UNWRITTEN_MAX: usize = 4;
/// For so long a lane may be busy with what waits.
const AHEAD: Duration = Duration::from_millis(250);
/// For so long a claimed mail waits for its turn: then it goes back. Well within a lease.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Whose servers a mail goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// The operator's.
    Operators,
    /// The project's own.
    Own(Uuid),
}

struct State {
    /// Claimed and not written down yet.
    in_flight: usize,
    rests_until: Option<DateTime<Utc>>,
    /// All its servers failed: one mail at a time, until one gets through.
    is_shaky: bool,
    /// What a mail took lately.
    pace: Option<Duration>,
    connections: Arc<Semaphore>,
    unwritten: Arc<Semaphore>,
}

/// The lanes of one hub.
#[derive(Clone)]
pub(crate) struct Lanes {
    lanes: Arc<Mutex<HashMap<Lane, State>>>,
    operators_max: usize,
    /// How long a claimed mail waits for its turn.
    patience: Duration,
    /// Told whenever a lane has room again.
    freed: Arc<Notify>,
}

/// A claimed mail's place in a lane, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    lane: Lane,
    lanes: Lanes,
    since: Instant,
    connections: Arc<Semaphore>,
    unwritten: Arc<Semaphore>,
}

/// A connection's worth of a lane.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Given up when the server has answered.
    pub(crate) connection: OwnedSemaphorePermit,
    /// Given up when that is written down.
    pub(crate) unwritten: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lanes")
    }
}

impl Lanes {
    /// None taken.
    pub(crate) fn new(operators_max: usize, freed: Arc<Notify>) -> Self {
        Self { lanes: Arc::default(), operators_max, patience: WAIT_MAX, freed }
    }

    /// Mails at once, if all is well.
    pub(crate) fn max(&self, lane: Lane) -> usize {
        match lane {
            Lane::Operators => self.operators_max,
            Lane::Own(_) => OWN_MAX,
        }
    }

    /// How many more mails the operator's lane may take now.
    pub(crate) fn operators_room(&self, now: DateTime<Utc>) -> usize {
        let max = self.operators_max;
        self.lock().get(&Lane::Operators).map_or(max, |state| state.room(max, now))
    }

    /// The projects whose own lanes are not as free as an unknown one's, and their room, where none may have more than
    /// `max`.
    pub(crate) fn taken(&self, now: DateTime<Utc>, max: usize) -> (Vec<Uuid>, Vec<i64>) {
        let lanes = self.lock();
        let own = lanes.iter().filter_map(|(lane, state)| match lane {
            Lane::Own(project) => Some((*project, i64::try_from(state.room(max, now)).unwrap_or(0))),
            Lane::Operators => None,
        });
        own.unzip()
    }

    /// Takes a place.
    pub(crate) fn enter(&self, lane: Lane) -> Place {
        let mut lanes = self.lock();
        let state = lanes.entry(lane).or_insert_with(|| State::new(self.max(lane)));
        state.in_flight += 1;
        Place {
            lane,
            lanes: self.clone(),
            since: Instant::now(),
            connections: state.connections.clone(),
            unwritten: state.unwritten.clone(),
        }
    }

    /// Every server of a lane is left alone until then; or one has just worked.
    pub(crate) fn set_rest(&self, lane: Lane, rests_until: Option<DateTime<Utc>>) {
        let mut lanes = self.lock();
        let state = lanes.entry(lane).or_insert_with(|| State::new(self.max(lane)));
        state.rests_until = rests_until;
        state.is_shaky = rests_until.is_some();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lane, State>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(max: usize) -> Self {
        Self {
            in_flight: 0,
            rests_until: None,
            is_shaky: false,
            pace: None,
            connections: Arc::new(Semaphore::new(max)),
            unwritten: Arc::new(Semaphore::new(UNWRITTEN_MAX * max)),
        }
    }

    fn is_resting(&self, now: DateTime<Utc>) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    fn room(&self, max: usize, now: DateTime<Utc>) -> usize {
        if self.is_resting(now) {
            return 0;
        }
        if self.is_shaky {
            return 1_usize.saturating_sub(self.in_flight);
        }
        let ahead = self.ahead(max);
        // Many at a time, not one by one.
        let has_enough = ahead > 0 && self.in_flight > max + ahead / 2;
        if has_enough { 0 } else { (max + ahead).saturating_sub(self.in_flight) }
    }

    /// Mails that may wait for their turn.
    fn ahead(&self, max: usize) -> usize {
        let Some(pace) = self.pace else { return 0 };
        let at_once = u128::try_from(max).unwrap_or(1);
        let ahead = AHEAD.as_micros() * at_once / pace.as_micros().max(1);
        usize::try_from(ahead).unwrap_or(AHEAD_MAX).min(AHEAD_MAX)
    }
}

impl Place {
    /// Waits for a connection; `None` if the mail had better go back: it has waited for too long, or its lane rests.
    pub(crate) async fn turn(&self, now: impl Fn() -> DateTime<Utc>) -> Option<Turn> {
        let turn = async {
            let unwritten = self.unwritten.clone().acquire_owned().await.ok()?;
            let connection = self.connections.clone().acquire_owned().await.ok()?;
            Some(Turn { connection, unwritten })
        };
        let turn = tokio::time::timeout_at(self.since + self.lanes.patience, turn).await.ok()??;
        let rests = self.lanes.lock().get(&self.lane).is_some_and(|state| state.is_resting(now()));
        Some(turn).filter(|_| !rests)
    }

    /// Learns what a mail took.
    pub(crate) fn note_pace(&self, took: Duration) {
        if let Some(state) = self.lanes.lock().get_mut(&self.lane) {
            state.pace = Some(state.pace.map_or(took, |pace| (pace * 7 + took) / 8));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if let Some(state) = lanes.get_mut(&self.lane) {
            state.in_flight = state.in_flight.saturating_sub(1);
            if state.in_flight == 0 && !state.is_shaky && self.lane != Lane::Operators {
                lanes.remove(&self.lane);
            }
        }
        drop(lanes);
        self.lanes.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn impatient() -> Lanes {
        Lanes { patience: Duration::from_millis(50), ..Lanes::new(1, Arc::default()) }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    #[test]
    fn a_lane_is_bounded_rests_and_comes_back_with_one_mail() {
        let lanes = Lanes::new(OPERATORS_MAX, Arc::default());
        let now = now();
        let lane = Lane::Own(Uuid::nil());
        let room = |now| lanes.taken(now, OWN_MAX).1;
        let places: Vec<Place> = (0..OWN_MAX).map(|_| lanes.enter(lane)).collect();
        assert_eq!(room(now), [0]);
        assert_eq!(lanes.operators_room(now), OPERATORS_MAX);
        drop(places);
        assert_eq!(room(now), [] as [i64; 0], "as free as an unknown one");
        lanes.set_rest(lane, Some(now + TimeDelta::seconds(30)));
        assert_eq!(room(now), [0]);
        let later = now + TimeDelta::seconds(31);
        assert_eq!(room(later), [1]);
        let place = lanes.enter(lane);
        assert_eq!(room(later), [0]);
        lanes.set_rest(lane, None);
        drop(place);
        assert_eq!(room(later), [] as [i64; 0]);
    }

    #[tokio::test]
    async fn for_a_quick_server_mails_wait_and_for_a_slow_one_none_does() {
        let lanes = Lanes::new(8, Arc::default());
        let first = lanes.enter(Lane::Operators);
        assert_eq!(lanes.operators_room(now()), 7, "nothing is known yet");
        first.note_pace(Duration::from_millis(20));
        assert_eq!(lanes.operators_room(now()), 107, "100 in a quarter of a second, and those under way");
        let waiting: Vec<Place> = (0..70).map(|_| lanes.enter(Lane::Operators)).collect();
        assert_eq!(lanes.operators_room(now()), 0, "more than half are there still");
        drop(waiting);
        for _ in 0..100 {
            first.note_pace(Duration::from_secs(15));
        }
        assert_eq!(lanes.operators_room(now()), 7);
    }

    #[tokio::test]
    async fn what_waits_goes_back_when_its_lane_rests_or_its_turn_does_not_come() {
        let lanes = impatient();
        let (first, second) = (lanes.enter(Lane::Operators), lanes.enter(Lane::Operators));
        let turn = first.turn(now).await.unwrap();
        assert!(second.turn(now).await.is_none(), "the only connection is taken");
        drop(turn);
        let third = Lanes { patience: WAIT_MAX, ..lanes.clone() }.enter(Lane::Operators);
        assert!(third.turn(now).await.is_some());
        lanes.set_rest(Lane::Operators, Some(now() + TimeDelta::seconds(30)));
        assert!(third.turn(now).await.is_none());
    }

    #[tokio::test]
    async fn no_more_than_four_mails_a_connection_are_handed_over_and_not_written_down() {
        let lanes = impatient();
        let mut unwritten = Vec::new();
        for _ in 0..4 {
            let place = Lanes { patience: WAIT_MAX, ..lanes.clone() }.enter(Lane::Operators);
            unwritten.push(place.turn(now).await.unwrap().unwritten);
        }
        assert!(lanes.enter(Lane::Operators).turn(now).await.is_none());
        unwritten.pop();
        let third = Lanes { patience: WAIT_MAX, ..lanes.clone() }.enter(Lane::Operators);
        assert!(third.turn(now).await.is_some());
    }
}
