//! Deliveries that agents pull: `agent:///path` endpoints, for shops that nothing outside can reach.
//!
//! Only the way to the application differs from a pushed delivery. Its row is claimed by the same statement and finished
//! by the same code ([`Deliveries`](super::deliver::Deliveries)), so retries, circuit, probe, order, rates, places, the
//! log and replays are those of every endpoint. In between, [`queue`] offers it to the project's agents that wait here
//! ([`exchange`]) instead of calling an address.
//!
//! A poll waits in memory. Nothing is asked of the database for it but what all that wait at this hub need together:
//! an event wakes those of its project, on every hub ([`letters`]), and once a second the table is looked at for what
//! became due.
//!
//! Who may complete a lease, and when it is over:
//! - A delivery is handed to one poll under a lease of its own, 30 s long. The row stays leased to this hub
//!   meanwhile, so a hub that dies takes its agents' leases with it, at once; the agents' results come late then.
//! - Only the agent that polled, of the project that it polled for, completes it. A result for a lease that is over is
//!   answered (`late`) and changes nothing. One that comes to another hub is passed on to the hub that holds the lease.
//! - A poll ends with its connection and takes nothing after that. When that happens while its agent has leases of
//!   earlier polls, the agent has [`Manner::absence`] to be heard of again (a proxy may have cut an idle poll); then they
//!   are over. Whoever vanishes without a trace loses them after the 30 s.
//! - A lease that ends without a result spends no attempt and says nothing about the endpoint: nobody knows whether the
//!   application was called. The delivery is due again, under the same `webhook-id`. So a repeat is possible, a loss not.
//! - A key that is revoked ends its polls when the change is heard of, and nothing is handed out in between: the key is
//!   looked at again before every answer.
//!
//! What it deliberately does not do: nothing is kept for agents anywhere but in the deliveries' own rows.

pub(crate) mod agents;
mod exchange;
#[cfg(test)]
mod exchange_tests;
pub(crate) mod letters;
mod queue;
pub mod routes;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

pub use self::exchange::Exchange;
pub(super) use self::queue::Pulled;
use super::in_flight::{Room, Slot, share};
use super::store::Target;
use crate::app::App;
use crate::fleet::View;
use crate::queue::hand_over::{HandOver, Place};
use crate::queue::worker;
use crate::queue::worker::Queue as _;

/// Calls a minute that a project's agents may make, all together: far more than deliveries need. They have a bucket of their
/// own, for they are the hub's deliveries, and not the shop's requests.
pub const CALLS_PER_MINUTE: u32 = 300_000;
/// How long a stopping hub goes on taking results.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// How agents are waited for. Fixed for a running hub; tests shorten the times.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// How long an agent has a delivery.
    pub lease: Duration,
    /// How long a claimed delivery waits for a poll before it goes back.
    pub offer: Duration,
    /// How long an agent whose poll broke off may stay away before its leases are over.
    pub absence: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            offer: Duration::from_secs(2),
            absence: Duration::from_secs(3),
        }
    }
}

/// What a hub holds for the agents that wait at it.
pub struct Pull {
    /// Where deliveries meet polls.
    pub exchange: Arc<Exchange>,
    workers: OnceLock<HandOver<Pulled>>,
}

impl Pull {
    /// `wake`: that of the queue named [`Pull::QUEUE`].
    pub fn new(manner: Manner, wake: Arc<Notify>) -> Self {
        let exchange = Arc::new(Exchange::new(manner, wake));
        Self { exchange, workers: OnceLock::new() }
    }

    /// The queue's name.
    pub const QUEUE: &'static str = Pulled::NAME;

    /// A worker and a place, if an agent of the project waits here and nothing waits for it.
    pub(super) fn reserve(&self, app: &App, target: &Target) -> Option<(Place<Pulled>, Slot)> {
        if !self.exchange.has_room(target.project_id) {
            return None;
        }
        let workers = self.workers.get()?;
        let places = self.hubs_of(app, target.project_id).places(target.id, target.max_in_flight);
        let limit = places.min(share(workers.free(), Pulled::CONCURRENCY));
        match workers.queue()?.in_flight().room(target.id, limit, true)? {
            Room::Now(slot) => Some((workers.reserve()?, slot)),
            // An agent takes what it has room for: nothing follows by itself.
            Room::Next(_) => None,
        }
    }

    /// The hubs that divide the places of the project's endpoints: those at which its agents poll.
    pub fn hubs_of(&self, app: &App, project: Uuid) -> View {
        let all = app.fleet.view();
        if all.hubs() <= 1 { all } else { self.exchange.hubs_of(project, app.member.number()) }
    }

    /// The hubs are others than before: what each said of its agents is said again.
    pub(crate) fn hubs_changed(&self) {
        self.exchange.forget_elsewhere();
        self.exchange.say_all();
    }

    /// A delivery of the endpoint's was written and waits for a claim: here, or at another hub.
    pub(super) fn is_due(&self, target: &Target) {
        if self.exchange.is_known(target.project_id)
            && let Some(queue) = self.workers.get().and_then(HandOver::queue)
        {
            queue.in_flight().mark_behind(target.id);
        }
        self.exchange.look(target.project_id);
        self.exchange.announce(target.project_id);
    }
}

/// Starts the slice's queue and what tells other hubs.
pub(super) fn start(app: &App) {
    // Set once: a hub starts its tasks once.
    let _ = app.pull.workers.set(worker::start(app, Pulled::new(app)));
    app.shutdown.spawn(letters::announce(app.clone()));
}

/// Ends when the hub is to stop and has the results of what agents have in hand, or does not get them in time.
pub async fn drained(app: App) {
    app.shutdown.token.cancelled().await;
    let _ = tokio::time::timeout(DRAIN_MAX, app.pull.exchange.all_back()).await;
}

/// The projects whose agents wait here.
pub(super) fn pullers(app: &App) -> Vec<Uuid> {
    app.pull.exchange.waiting_projects()
}
