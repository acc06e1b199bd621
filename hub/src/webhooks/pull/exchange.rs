//! Where deliveries meet the polls that wait for them, in memory.
//!
//! Polls of a project stand in a queue; each delivery that comes wakes the next in turn, and each takes its part of what
//! is there, so that agents share the work. A lease is an entry in a map: whoever removes it first (the result, the
//! time, the agent's absence) decides.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use trastienda_protocol::pull::{PullResult, PulledDelivery};
use uuid::Uuid;

use super::Manner;
use crate::fleet::View;

/// Polls of one project that may wait here.
const POLLS_MAX: usize = 2_000;
/// Deliveries that may wait for an agent that has just been here: it comes back at once.
const AHEAD: usize = 32;
/// And how long ago that may be.
const JUST_HERE: Duration = Duration::from_secs(1);
/// How long an agent is remembered after its last call.
const REMEMBERED: Duration = Duration::from_mins(1);
/// How often a waiting agent's heartbeat is written.
const BEAT: Duration = Duration::from_secs(20);
/// How often the table is looked at for what became due by itself.
const SWEEP: Duration = Duration::from_secs(1);
/// How long it counts that another hub said that agents of a project poll there: it says so again before.
const SAID: Duration = Duration::from_secs(50);
/// Bytes of bodies in one answer, beyond its first delivery.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

type AgentKey = (Uuid, String);

/// Deliveries and polls. See the module.
#[derive(Debug)]
pub struct Exchange {
    manner: Manner,
    inner: Mutex<Inner>,
    /// Wakes the claims.
    wake: Arc<Notify>,
    /// Wakes whoever tells other hubs.
    pub(super) to_tell: Notify,
    /// Wakes whoever waits until no lease is out.
    back: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    desks: HashMap<Uuid, Desk>,
    leases: HashMap<Uuid, Lease>,
    agents: HashMap<AgentKey, Agent>,
    swept_at: Option<Instant>,
    announced: BTreeSet<Uuid>,
    /// Projects whose agents poll here, of which other hubs are to be told.
    to_say: BTreeSet<Uuid>,
    polls_made: u64,
}

/// A project's.
#[derive(Debug)]
struct Desk {
    polls: VecDeque<WaitingPoll>,
    offers: VecDeque<Offer>,
    /// The table may hold something for it.
    look: bool,
    seen_at: Instant,
    /// The other hubs at which the project's agents poll, and when each said so.
    elsewhere: Vec<(i32, Instant)>,
}

#[derive(Debug)]
struct WaitingPoll {
    number: u64,
    max: usize,
    woken: Arc<Notify>,
}

#[derive(Debug)]
struct Offer {
    delivery: PulledDelivery,
    taken: oneshot::Sender<Handed>,
}

#[derive(Debug)]
struct Lease {
    agent: AgentKey,
    result: oneshot::Sender<PullResult>,
}

#[derive(Debug)]
struct Agent {
    polls: usize,
    seen_at: Instant,
    beat_at: Option<Instant>,
}

/// A delivery that an agent has.
#[derive(Debug)]
pub(super) struct Handed {
    /// Gives an error when the lease is over.
    pub(super) result: oneshot::Receiver<PullResult>,
    _lease: Ends,
}

/// Takes the lease out of the map when it is dropped.
#[derive(Debug)]
struct Ends(Arc<Exchange>, Uuid);

/// A poll that waits. Dropped before [`Poll::answered`], its caller is gone.
#[derive(Debug)]
pub(super) struct Poll {
    exchange: Arc<Exchange>,
    agent: AgentKey,
    number: u64,
    max: usize,
    woken: Arc<Notify>,
    is_answered: bool,
}

/// What a claim is to ask for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) projects: Vec<Uuid>,
    /// Deliveries that one of them can take at most.
    pub(super) room: i32,
}

impl Exchange {
    pub(super) fn new(manner: Manner, wake: Arc<Notify>) -> Self {
        let (inner, to_tell, back) = (Mutex::default(), Notify::new(), Notify::new());
        Self { manner, inner, wake, to_tell, back }
    }

    pub(super) fn manner(&self) -> Manner {
        self.manner
    }

    /// A poll begins to wait; `None`: too many do.
    pub(super) fn poll(self: &Arc<Self>, project: Uuid, agent: &str, max: usize) -> Option<Poll> {
        let (now, woken) = (Instant::now(), Arc::new(Notify::new()));
        let mut inner = self.lock();
        inner.polls_made += 1;
        let number = inner.polls_made;
        let is_new = !inner.desks.contains_key(&project);
        let desk = inner.desks.entry(project).or_insert_with(|| Desk::new(now));
        if desk.polls.len() >= POLLS_MAX {
            return None;
        }
        desk.seen_at = now;
        desk.polls.push_back(WaitingPoll { number, max, woken: woken.clone() });
        if desk.prune() > 0 {
            woken.notify_one();
        }
        let is_to_look = desk.look;
        let agent = (project, agent.to_owned());
        let known = inner.agents.entry(agent.clone()).or_insert_with(|| Agent::new(now));
        known.polls += 1;
        known.seen_at = now;
        if is_new {
            inner.to_say.insert(project);
            self.to_tell.notify_one();
        }
        drop(inner);
        if is_to_look {
            self.wake.notify_one();
        }
        Some(Poll { exchange: self.clone(), agent, number, max, woken, is_answered: false })
    }

    /// Whether the agent's heartbeat is to be written again.
    pub(super) fn is_beat_due(&self, project: Uuid, agent: &str) -> bool {
        let now = Instant::now();
        let mut inner = self.lock();
        let known = inner.agents.entry((project, agent.to_owned())).or_insert_with(|| Agent::new(now));
        let is_due = known.beat_at.is_none_or(|at| now - at >= BEAT);
        if is_due {
            known.beat_at = Some(now);
        }
        is_due
    }

    /// Offers a delivery to the project's agents; what comes back gives the lease, once one takes it.
    pub(super) fn offer(&self, project: Uuid, delivery: PulledDelivery) -> oneshot::Receiver<Handed> {
        let (taken, receiver) = oneshot::channel();
        let mut inner = self.lock();
        let desk = inner.desks.entry(project).or_insert_with(|| Desk::new(Instant::now()));
        desk.offers.push_back(Offer { delivery, taken });
        desk.wake_next();
        receiver
    }

    /// Takes a result; false if its lease is over, or another's.
    pub(super) fn report(&self, project: Uuid, agent: &str, lease: Uuid, result: PullResult) -> bool {
        let mut inner = self.lock();
        let agent = (project, agent.to_owned());
        if let Some(known) = inner.agents.get_mut(&agent) {
            known.seen_at = Instant::now();
        }
        if inner.leases.get(&lease).is_none_or(|it| it.agent != agent) {
            return false;
        }
        let taken = inner.leases.remove(&lease);
        drop(inner);
        taken.is_some_and(|it| it.result.send(result).is_ok())
    }

    /// Whether a delivery for the project would find an agent here at once.
    pub(super) fn has_room(&self, project: Uuid) -> bool {
        let mut inner = self.lock();
        inner.desks.get_mut(&project).is_some_and(|desk| desk.room(Instant::now()) > 0)
    }

    /// Whether the project's agents poll here.
    pub(super) fn is_known(&self, project: Uuid) -> bool {
        self.lock().desks.contains_key(&project)
    }

    /// The table may hold something for the project: if its agents wait here, it is looked at.
    pub(crate) fn look(&self, project: Uuid) {
        if self.mark(project) {
            self.wake.notify_one();
        }
    }

    /// The same, when the next claim comes anyway.
    pub(super) fn mark(&self, project: Uuid) -> bool {
        let mut inner = self.lock();
        let Some(desk) = inner.desks.get_mut(&project) else { return false };
        desk.look = true;
        !desk.polls.is_empty()
    }

    /// Looks at the table for all that wait.
    pub(crate) fn look_everywhere(&self) {
        self.lock().swept_at = None;
        self.wake.notify_one();
    }

    /// Other hubs are to look for the project.
    pub(super) fn announce(&self, project: Uuid) {
        self.lock().announced.insert(project);
        self.to_tell.notify_one();
    }

    /// What other hubs are to be told.
    pub(super) fn take_announced(&self) -> Vec<Uuid> {
        std::mem::take(&mut self.lock().announced).into_iter().collect()
    }

    /// All projects that agents poll for here are said to the other hubs.
    pub(super) fn say_all(&self) {
        let mut inner = self.lock();
        let Inner { desks, to_say, .. } = &mut *inner;
        to_say.extend(desks.keys());
        self.to_tell.notify_one();
    }

    /// What other hubs are to be told of agents here.
    pub(super) fn take_said(&self) -> Vec<Uuid> {
        std::mem::take(&mut self.lock().to_say).into_iter().collect()
    }

    /// Agents of these projects poll at another hub. A hub that did not know hears the same of this one.
    pub(super) fn poll_elsewhere(&self, hub: i32, projects: impl Iterator<Item = Uuid>) {
        let now = Instant::now();
        let mut inner = self.lock();
        let Inner { desks, to_say, .. } = &mut *inner;
        for project in projects {
            let Some(desk) = desks.get_mut(&project) else { continue };
            if let Some((_, said_at)) = desk.elsewhere.iter_mut().find(|(number, _)| *number == hub) {
                *said_at = now;
            } else {
                desk.elsewhere.push((hub, now));
                to_say.insert(project);
                self.to_tell.notify_one();
            }
        }
    }

    /// The hubs at which the project's agents poll.
    pub(super) fn hubs_of(&self, project: Uuid, own: Option<i32>) -> View {
        let now = Instant::now();
        let mut inner = self.lock();
        let Some(desk) = inner.desks.get_mut(&project) else { return View::new(own, &[]) };
        desk.elsewhere.retain(|(_, said_at)| now - *said_at < SAID);
        let others: Vec<i32> = desk.elsewhere.iter().map(|(number, _)| *number).collect();
        View::new(own, &others)
    }

    /// What other hubs said is not known any more.
    pub(super) fn forget_elsewhere(&self) {
        for desk in self.lock().desks.values_mut() {
            desk.elsewhere.clear();
        }
    }

    /// The projects whose agents wait here.
    pub(super) fn waiting_projects(&self) -> Vec<Uuid> {
        let inner = self.lock();
        inner.desks.iter().filter(|(_, desk)| !desk.polls.is_empty()).map(|(id, _)| *id).collect()
    }

    /// How many polls of a project wait here.
    pub fn polls_of(&self, project: Uuid) -> usize {
        self.lock().desks.get(&project).map_or(0, |desk| desk.polls.len())
    }

    /// For whom the table is to be looked at now: those for whom something came, and once a second all that wait.
    pub(super) fn to_ask(&self) -> Option<Asked> {
        let now = Instant::now();
        let mut inner = self.lock();
        let sweeps = inner.swept_at.is_none_or(|at| now - at >= SWEEP);
        if sweeps {
            inner.swept_at = Some(now);
            inner.forget(now);
        }
        let (mut projects, mut most) = (Vec::new(), 0);
        for (project, desk) in &mut inner.desks {
            let room = if desk.polls.is_empty() || !(sweeps || desk.look) { 0 } else { desk.room(now) };
            if room > 0 {
                desk.look = false;
                projects.push(*project);
                most = most.max(room);
            }
        }
        let room = i32::try_from(most).unwrap_or(i32::MAX);
        (!projects.is_empty()).then_some(Asked { projects, room })
    }

    /// Ends when no agent has anything.
    pub(super) async fn all_back(&self) {
        loop {
            let back = self.back.notified();
            if self.lock().leases.is_empty() {
                return;
            }
            back.await;
        }
    }

    /// The agent's leases are over, unless it has been heard of since.
    fn void_if_absent(&self, agent: &AgentKey, since: Instant) {
        let mut inner = self.lock();
        if inner.agents.get(agent).is_some_and(|known| known.polls > 0 || known.seen_at > since) {
            return;
        }
        let lost: Vec<Uuid> =
            inner.leases.iter().filter(|(_, it)| it.agent == *agent).map(|(id, _)| *id).collect();
        for lease in lost {
            inner.leases.remove(&lease);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget(&mut self, now: Instant) {
        self.agents.retain(|_, agent| agent.polls > 0 || now - agent.seen_at < REMEMBERED);
        self.desks.retain(|_, desk| {
            desk.prune();
            !desk.polls.is_empty() || !desk.offers.is_empty() || now - desk.seen_at < REMEMBERED
        });
    }
}

impl Desk {
    fn new(now: Instant) -> Self {
        let (polls, offers) = (VecDeque::new(), VecDeque::new());
        Self { polls, offers, look: true, seen_at: now, elsewhere: Vec::new() }
    }

    /// Drops offers that nobody stands behind any more; how many are left.
    fn prune(&mut self) -> usize {
        self.offers.retain(|offer| !offer.taken.is_closed());
        self.offers.len()
    }

    fn room(&mut self, now: Instant) -> usize {
        let waiting: usize = self.polls.iter().map(|poll| poll.max).sum();
        let ahead = if waiting == 0 && now - self.seen_at < JUST_HERE { AHEAD } else { 0 };
        (waiting + ahead).saturating_sub(self.prune())
    }

    /// Wakes the poll whose turn it is.
    fn wake_next(&mut self) {
        if let Some(poll) = self.polls.pop_front() {
            poll.woken.notify_one();
            self.polls.push_back(poll);
        }
    }
}

impl Agent {
    fn new(now: Instant) -> Self {
        Self { polls: 0, seen_at: now, beat_at: None }
    }
}

impl Poll {
    /// Returns when there may be something to take.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Takes this poll's part of what is offered, leased to its agent by the hub of this number.
    pub(super) fn take(&self, hub: i32, mut new_lease: impl FnMut() -> Uuid) -> Vec<PulledDelivery> {
        let mut taken = Vec::new();
        // Dropped after the lock: what ends a lease takes it too.
        let mut refused = Vec::new();
        let mut inner = self.exchange.lock();
        let Inner { desks, leases, .. } = &mut *inner;
        let Some(desk) = desks.get_mut(&self.agent.0) else { return taken };
        let share = desk.prune().div_ceil(desk.polls.len().max(1)).min(self.max);
        let mut bytes = 0;
        while taken.len() < share {
            let Some(offer) = desk.offers.pop_front() else { break };
            bytes += offer.delivery.body.len();
            if bytes > ANSWER_MAX && !taken.is_empty() {
                desk.offers.push_front(offer);
                break;
            }
            let Offer { mut delivery, taken: sender } = offer;
            let lease = new_lease();
            delivery.lease = format!("{hub}-{}", lease.as_simple());
            delivery.lease_seconds = self.exchange.manner.lease.as_secs();
            let (result, receiver) = oneshot::channel();
            leases.insert(lease, Lease { agent: self.agent.clone(), result });
            let handed = Handed { result: receiver, _lease: Ends(self.exchange.clone(), lease) };
            match sender.send(handed) {
                Ok(()) => taken.push(delivery),
                Err(handed) => refused.push(handed),
            }
        }
        if !desk.offers.is_empty() {
            desk.wake_next();
        }
        drop(inner);
        drop(refused);
        taken
    }

    /// The answer is on its way.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut inner = self.exchange.lock();
        if let Some(desk) = inner.desks.get_mut(&self.agent.0) {
            desk.polls.retain(|poll| poll.number != self.number);
            desk.seen_at = now;
            if !desk.offers.is_empty() {
                // It may have been the one that was woken for them.
                desk.wake_next();
            }
        }
        if let Some(known) = inner.agents.get_mut(&self.agent) {
            known.polls -= 1;
            known.seen_at = now;
        }
        let is_to_come_back =
            !self.is_answered && inner.leases.values().any(|lease| lease.agent == self.agent);
        drop(inner);
        if !is_to_come_back {
            return;
        }
        let (exchange, agent) = (self.exchange.clone(), self.agent.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(exchange.manner.absence).await;
                exchange.void_if_absent(&agent, now);
            });
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        // The sender is dropped after the lock: it wakes only a receiver that is gone.
        let lease = inner.leases.remove(&self.1);
        let is_last = inner.leases.is_empty();
        drop(inner);
        drop(lease);
        if is_last {
            self.0.back.notify_waiters();
        }
    }
}
