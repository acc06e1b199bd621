//! Lanes: how much may be in flight to the operator's servers, and to each project's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Mails at once through the operator's servers, unless the first one's URL says otherwise.
pub(crate) const OPERATORS_MAX: usize = 16;
/// Mails at once through one project's own accounts.
pub(crate) const OWN_MAX: usize = 8;

/// Whose servers a mail goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// The operator's.
    Operators,
    /// The project's own.
    Own(Uuid),
}

#[derive(Default, Clone, Copy)]
struct State {
    in_flight: usize,
    rests_until: Option<DateTime<Utc>>,
    /// All its servers failed: one mail at a time, until one gets through.
    is_shaky: bool,
}

/// The lanes of one hub.
#[derive(Clone)]
pub(crate) struct Lanes {
    lanes: Arc<Mutex<HashMap<Lane, State>>>,
    operators_max: usize,
}

/// A place in a lane, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    lane: Lane,
    lanes: Lanes,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lanes")
    }
}

impl Lanes {
    /// None taken.
    pub(crate) fn new(operators_max: usize) -> Self {
        Self { lanes: Arc::default(), operators_max }
    }

    /// Mails at once, if all is well.
    pub(crate) fn max(&self, lane: Lane) -> usize {
        match lane {
            Lane::Operators => self.operators_max,
            Lane::Own(_) => OWN_MAX,
        }
    }

    /// How many more mails a lane may take now.
    pub(crate) fn room(&self, lane: Lane, now: DateTime<Utc>) -> usize {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(&lane).map_or(self.max(lane), |state| state.room(self.max(lane), now))
    }

    /// The projects whose own lanes are not as free as an unknown one's, and their room.
    pub(crate) fn taken(&self, now: DateTime<Utc>) -> (Vec<Uuid>, Vec<i64>) {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let own = lanes.iter().filter_map(|(lane, state)| match lane {
            Lane::Own(project) => Some((*project, i64::try_from(state.room(OWN_MAX, now)).unwrap_or(0))),
            Lane::Operators => None,
        });
        own.unzip()
    }

    /// Takes a place.
    pub(crate) fn enter(&self, lane: Lane) -> Place {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(lane).or_default().in_flight += 1;
        Place { lane, lanes: self.clone() }
    }

    /// Every server of a lane is left alone until then; or one has just worked.
    pub(crate) fn set_rest(&self, lane: Lane, rests_until: Option<DateTime<Utc>>) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let state = lanes.entry(lane).or_default();
        state.rests_until = rests_until;
        state.is_shaky = rests_until.is_some();
    }
}

impl State {
    fn room(self, max: usize, now: DateTime<Utc>) -> usize {
        if self.rests_until.is_some_and(|until| until > now) {
            return 0;
        }
        let max = if self.is_shaky { 1 } else { max };
        max.saturating_sub(self.in_flight)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = lanes.get_mut(&self.lane) {
            state.in_flight = state.in_flight.saturating_sub(1);
            if state.in_flight == 0 && !state.is_shaky {
                lanes.remove(&self.lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_lane_is_bounded_rests_and_comes_back_with_one_mail() {
        let lanes = Lanes::new(OPERATORS_MAX);
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let lane = Lane::Own(Uuid::nil());
        let places: Vec<Place> = (0..OWN_MAX).map(|_| lanes.enter(lane)).collect();
        assert_eq!((lanes.room(lane, now), lanes.taken(now).1), (0, vec![0]));
        assert_eq!(lanes.room(Lane::Operators, now), OPERATORS_MAX);
        drop(places);
        assert_eq!((lanes.room(lane, now), lanes.taken(now).0.len()), (OWN_MAX, 0));
        lanes.set_rest(lane, Some(now + TimeDelta::seconds(30)));
        assert_eq!(lanes.room(lane, now), 0);
        let later = now + TimeDelta::seconds(31);
        assert_eq!(lanes.room(lane, later), 1);
        let place = lanes.enter(lane);
        assert_eq!(lanes.room(lane, later), 0);
        lanes.set_rest(lane, None);
        drop(place);
        assert_eq!(lanes.room(lane, later), OWN_MAX);
    }
}
