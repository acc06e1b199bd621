//! How many calls of one project's account at a provider are under way, and whether it is left alone for a while.
//!
//! A provider that is slow or away for one account holds up nobody else: a lane takes a bounded number of calls, and
//! closes after a row of failures, or for as long as the provider asked. While it is closed its jobs are not claimed,
//! and nothing is spent of their attempts; when its time is over one call goes ahead to see.
//!
//! Each hub has lanes of its own, in memory: they bound what this hub does, and remember nothing that matters.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use trastienda_protocol::ids::{Id as _, ProjectId};
use uuid::Uuid;

use super::provider::CallError;
use crate::app::App;
use crate::queue::wake::Wakes;

/// Calls under way that somebody may be waiting for.
const FRONT_MAX: usize = 32;
/// Calls under way that only ask.
const BACK_MAX: usize = 16;
/// Failures in a row that close a lane.
const FAILURES_MAX: u32 = 5;
/// For how long it is closed at first, and at most.
const CLOSED_FIRST: TimeDelta = TimeDelta::seconds(30);
const CLOSED_MAX: TimeDelta = TimeDelta::minutes(5);
/// The longest that a provider may ask for.
const ASKED_MAX: TimeDelta = TimeDelta::hours(1);
/// When it is tried again while another call finds out.
const SOON: TimeDelta = TimeDelta::seconds(1);

type Lanes = HashMap<(Uuid, String), Lane>;

static LANES: LazyLock<Mutex<Lanes>> = LazyLock::new(Mutex::default);

fn with<T>(work: impl FnOnce(&mut Lanes) -> T) -> T {
    work(&mut LANES.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Somebody may be waiting for it.
    Front,
    /// It only asks.
    Back,
}

#[derive(Debug, Default)]
struct Lane {
    front: usize,
    back: usize,
    failures: u32,
    /// Times it was closed in a row.
    closings: u32,
    closed_until: Option<DateTime<Utc>>,
    /// Whether a call is finding out if the provider is back.
    is_probing: bool,
    /// Whether the table may hold due payments of this account that somebody is waiting for. Then new ones are not
    /// called for past those that wait.
    is_behind: bool,
}

impl Lane {
    fn count(&mut self, side: Side) -> (&mut usize, usize) {
        match side {
            Side::Front => (&mut self.front, FRONT_MAX),
            Side::Back => (&mut self.back, BACK_MAX),
        }
    }

    /// When a call may be tried, if not now.
    fn shut_until(&self, side: Side, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (running, max) = match side {
            Side::Front => (self.front, FRONT_MAX),
            Side::Back => (self.back, BACK_MAX),
        };
        match self.closed_until {
            Some(until) if until > now => Some(until),
            Some(_) if self.is_probing => Some(now + SOON),
            _ => (running >= max).then_some(now + SOON),
        }
    }

    fn room(&self, side: Side, now: DateTime<Utc>) -> usize {
        match (self.shut_until(side, now), self.closed_until) {
            (Some(_), _) => 0,
            // One finds out.
            (None, Some(_)) => 1,
            (None, None) if side == Side::Front => FRONT_MAX - self.front,
            (None, None) => BACK_MAX - self.back,
        }
    }

    fn enter(&mut self, side: Side, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        if let Some(until) = self.shut_until(side, now) {
            return Err(until);
        }
        self.is_probing = self.closed_until.is_some();
        *self.count(side).0 += 1;
        Ok(())
    }

    /// The same for a payment that was not claimed: not past one that waits, and never to find out.
    fn enter_if_caught_up(&mut self, now: DateTime<Utc>) -> bool {
        let may_enter = !self.is_behind && self.closed_until.is_none();
        self.is_behind = !may_enter || self.enter(Side::Front, now).is_err();
        !self.is_behind
    }

    /// Whether somebody else was kept out until now.
    fn leave(&mut self, side: Side) -> bool {
        let (running, max) = self.count(side);
        let was_full = *running >= max;
        *running = running.saturating_sub(1);
        let was_probing = std::mem::take(&mut self.is_probing);
        was_full || was_probing || self.is_behind
    }

    fn report(&mut self, error: Option<&CallError>, now: DateTime<Utc>) {
        match error {
            Some(CallError::Busy { retry_after: Some(wait) }) => {
                let wait = TimeDelta::from_std(*wait).unwrap_or(ASKED_MAX).clamp(SOON, ASKED_MAX);
                self.closed_until = self.closed_until.max(Some(now + wait));
            }
            // It answers, and has too much to do: the job waits, the lane does not.
            Some(CallError::Busy { retry_after: None }) => {}
            Some(CallError::NotReached(_) | CallError::Unknown(_)) => {
                self.failures += 1;
                let failed_again = self.closed_until.is_some_and(|until| until <= now);
                if self.failures >= FAILURES_MAX || failed_again {
                    let wait = (CLOSED_FIRST * 2i32.pow(self.closings.min(8))).min(CLOSED_MAX);
                    self.closed_until = self.closed_until.max(Some(now + wait));
                    self.closings += 1;
                    self.failures = 0;
                }
            }
            None | Some(CallError::Refused { .. } | CallError::NotFound | CallError::Unauthorized { .. }) => {
                self.failures = 0;
                if self.closed_until.is_none_or(|until| until <= now) {
                    self.closed_until = None;
                    self.closings = 0;
                }
            }
        }
    }

    fn is_idle(&self, now: DateTime<Utc>) -> bool {
        let unused = self.front == 0 && self.back == 0 && self.failures == 0 && !self.is_behind;
        unused && self.closed_until.is_none_or(|until| until + ASKED_MAX < now)
    }
}

/// The right to call; given back when it is dropped.
pub(crate) struct Pass {
    key: (Uuid, String),
    side: Side,
    wakes: Arc<Wakes>,
    /// The queue that waits when the lane is full.
    queue: &'static str,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").field("key", &self.key).field("side", &self.side).finish_non_exhaustive()
    }
}

impl Pass {
    /// Says how a call went.
    pub(crate) fn report<T>(&self, result: &Result<T, CallError>, now: DateTime<Utc>) {
        with(|lanes| {
            let Some(lane) = lanes.get_mut(&self.key) else { return };
            let was_closed = lane.closed_until.is_some_and(|until| until > now);
            lane.report(result.as_ref().err(), now);
            if !was_closed && lane.closed_until.is_some_and(|until| until > now) {
                metrics::counter!("trastienda_provider_lanes_closed_total", "provider" => self.key.1.clone())
                    .increment(1);
                tracing::warn!(
                    project.id = %ProjectId::from_uuid(self.key.0),
                    provider = self.key.1,
                    until = lane.closed_until.map(trastienda_protocol::time::format),
                    "the provider does not answer well: this account's calls wait"
                );
            }
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let has_room = with(|lanes| lanes.get_mut(&self.key).is_some_and(|lane| lane.leave(self.side)));
        if has_room {
            self.wakes.wake(self.queue);
        }
    }
}

/// Takes a place on a lane for a job of a queue; if there is none, when to try again.
pub(crate) fn enter(
    app: &App,
    project: ProjectId,
    provider: &str,
    side: Side,
    queue: &'static str,
) -> Result<Pass, DateTime<Utc>> {
    let key = (project.uuid(), provider.to_owned());
    with(|lanes| lanes.entry(key.clone()).or_default().enter(side, app.clock.now()))?;
    Ok(Pass { key, side, wakes: app.wakes.clone(), queue })
}

/// Takes a place on a lane for a payment that was not claimed, if none of the account's waits.
pub(crate) fn enter_if_caught_up(
    app: &App,
    project: ProjectId,
    provider: &str,
    queue: &'static str,
) -> Option<Pass> {
    let key = (project.uuid(), provider.to_owned());
    let entered = with(|lanes| lanes.entry(key.clone()).or_default().enter_if_caught_up(app.clock.now()));
    entered.then(|| Pass { key, side: Side::Front, wakes: app.wakes.clone(), queue })
}

/// Says that the table holds a due payment of the account's.
pub(crate) fn mark_behind(project: ProjectId, provider: &str) {
    let key = (project.uuid(), provider.to_owned());
    with(|lanes| lanes.entry(key).or_default().is_behind = true);
}

/// Learns from a claim which accounts are no longer behind: those that gave fewer payments than their lanes had room
/// for, of a claim that was not cut short (`all_came`).
pub(crate) fn learn(rooms: &Rooms, all_came: bool, claimed: impl Fn(ProjectId, &str) -> usize) {
    if !all_came {
        return;
    }
    with(|lanes| {
        for ((project, provider), room) in rooms.projects.iter().zip(&rooms.providers).zip(&rooms.counts) {
            let came = i64::try_from(claimed(ProjectId::from_uuid(*project), provider)).unwrap_or(i64::MAX);
            if let Some(lane) = lanes.get_mut(&(*project, provider.clone())).filter(|_| came < *room) {
                lane.is_behind = false;
            }
        }
    });
}

/// How many calls the lanes take now, in columns: a claim takes no more than what can be called.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) projects: Vec<Uuid>,
    pub(crate) providers: Vec<String>,
    /// How many calls.
    pub(crate) counts: Vec<i64>,
    /// Of a lane that is not listed.
    pub(crate) otherwise: i64,
}

/// How many calls each lane takes now.
pub(crate) fn rooms(side: Side, now: DateTime<Utc>) -> Rooms {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let otherwise = match side {
        Side::Front => FRONT_MAX,
        Side::Back => BACK_MAX,
    };
    let mut found = Rooms {
        projects: Vec::new(),
        providers: Vec::new(),
        counts: Vec::new(),
        otherwise: count(otherwise),
    };
    with(|lanes| {
        lanes.retain(|_, lane| !lane.is_idle(now));
        for ((project, provider), lane) in lanes.iter() {
            found.projects.push(*project);
            found.providers.push(provider.clone());
            found.counts.push(count(lane.room(side, now)));
        }
    });
    found
}

/// How long until a time, for an answer that says when to come back.
pub(crate) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (at - now).to_std().unwrap_or_default().max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn unknown() -> CallError {
        CallError::Unknown("timed out".to_owned())
    }

    #[test]
    fn a_lane_takes_so_many_calls_and_asking_never_takes_the_place_of_charging() {
        let mut lane = Lane::default();
        for _ in 0..BACK_MAX {
            lane.enter(Side::Back, at(0)).unwrap();
        }
        assert_eq!((lane.enter(Side::Back, at(0)), lane.room(Side::Back, at(0))), (Err(at(1)), 0));
        assert_eq!(lane.room(Side::Front, at(0)), FRONT_MAX);
        for _ in 0..FRONT_MAX {
            lane.enter(Side::Front, at(0)).unwrap();
        }
        assert_eq!(lane.enter(Side::Front, at(0)), Err(at(1)));
        assert!(lane.leave(Side::Front), "somebody waits for the place");
        lane.enter(Side::Front, at(0)).unwrap();
    }

    #[test]
    fn failures_in_a_row_close_it_for_ever_longer_and_one_call_finds_out() {
        let mut lane = Lane::default();
        for _ in 1..FAILURES_MAX {
            lane.report(Some(&unknown()), at(0));
        }
        lane.report(Some(&CallError::NotFound), at(0));
        assert_eq!(lane.shut_until(Side::Front, at(0)), None, "an answer is an answer");
        for _ in 0..FAILURES_MAX {
            lane.report(Some(&unknown()), at(0));
        }
        assert_eq!(lane.enter(Side::Front, at(29)), Err(at(30)));
        assert_eq!((lane.room(Side::Front, at(29)), lane.room(Side::Front, at(30))), (0, 1));
        lane.enter(Side::Front, at(30)).unwrap();
        assert_eq!(lane.enter(Side::Front, at(30)), Err(at(31)), "one finds out");
        lane.report(Some(&unknown()), at(31));
        lane.leave(Side::Front);
        assert_eq!(lane.enter(Side::Front, at(90)), Err(at(91)));
        lane.enter(Side::Front, at(91)).unwrap();
        lane.report(None, at(92));
        assert!(lane.leave(Side::Front));
        assert_eq!(lane.shut_until(Side::Front, at(92)), None);
        for _ in 0..FAILURES_MAX {
            lane.report(Some(&unknown()), at(100));
        }
        assert_eq!(lane.closed_until, Some(at(130)), "it begins anew");
    }

    #[test]
    fn what_waits_for_a_lane_goes_before_what_is_new() {
        let mut lane = Lane::default();
        for _ in 0..FRONT_MAX {
            assert!(lane.enter_if_caught_up(at(0)));
        }
        assert!(!lane.enter_if_caught_up(at(0)), "it is full");
        assert!(lane.leave(Side::Front));
        assert!(!lane.enter_if_caught_up(at(0)), "one waits, and a claim takes it first");
        lane.is_behind = false;
        assert!(lane.enter_if_caught_up(at(0)));
        lane.is_behind = false;
        lane.report(Some(&CallError::Busy { retry_after: Some(Duration::from_secs(7)) }), at(0));
        lane.leave(Side::Front);
        assert!(!lane.enter_if_caught_up(at(8)), "the oldest finds out");
        assert_eq!(lane.room(Side::Front, at(8)), 1);
    }

    #[test]
    fn a_provider_that_asks_for_patience_closes_it_for_as_long() {
        let mut lane = Lane::default();
        lane.report(Some(&CallError::Busy { retry_after: Some(Duration::from_secs(7)) }), at(0));
        assert_eq!(lane.enter(Side::Back, at(6)), Err(at(7)));
        // An answer to a call that was under way changes nothing about it.
        lane.report(None, at(3));
        assert_eq!(lane.enter(Side::Front, at(6)), Err(at(7)));
        lane.enter(Side::Front, at(7)).unwrap();
        lane.report(Some(&CallError::Busy { retry_after: Some(Duration::from_secs(999_999)) }), at(8));
        assert_eq!(lane.closed_until, Some(at(8 + 3_600)));
        lane.report(Some(&CallError::Busy { retry_after: None }), at(8));
        assert_eq!(lane.closed_until, Some(at(8 + 3_600)));
    }
}
