//! Writing events' deliveries in the events' own transaction, and handing over what can be sent at once.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use trastienda_protocol::event::EventPattern;
use trastienda_protocol::ids::Id as _;
use uuid::Uuid;

use super::deliver::{Deliveries, Job};
use super::in_flight::{Expected, Room, Slot, share};
use super::pull::Pulled;
use super::store::{self, ClaimedDelivery, NewDelivery, Target};
use super::{warn, wire};
use crate::app::App;
use crate::events::{DeliveryState, Event, Followed, Subscriber};
use crate::http::Result;
use crate::queue::Lease;
use crate::queue::hand_over::{HandOver, Place};
use crate::queue::worker::Queue as _;

/// Hands events to the endpoints that subscribed to their type.
#[derive(Debug, Clone, Copy)]
pub struct FanOut;

impl Subscriber for FanOut {
    fn on_events<'a>(
        &'a self,
        app: &'a App,
        conn: &'a mut PgConnection,
        events: &'a [&'a Event],
        at_once: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Followed>>> {
        Box::pin(async move {
            let mut fanned = Fanned::default();
            let mut projects: Vec<Uuid> = events.iter().map(|event| event.project_id.uuid()).collect();
            projects.sort_unstable();
            projects.dedup();
            let targets = Targets::new(store::list_targets(conn, &projects).await?);
            let lease = if at_once { Lease::new(app, app.clock.now()) } else { None };
            let mut rows = Vec::new();
            for event in events {
                let mut body = None;
                for target in targets.of(event).filter(|target| !warn::is_own_end(event, target.id)) {
                    let mut row = NewDelivery {
                        id: app.new_id(),
                        project_id: event.project_id,
                        target: target.clone(),
                        event_id: event.id,
                        event_type: event.event_type.clone(),
                        order_id: event.order_id.clone(),
                        created_at: event.created_at,
                        is_leased: false,
                    };
                    match lease.as_ref().and_then(|lease| Some((lease, reserve(app, target)?))) {
                        Some((lease, reserved)) => {
                            row.is_leased = true;
                            let body: &Bytes = body
                                .get_or_insert_with(|| wire::body(event.project_id.uuid(), &event.into()));
                            fanned.take(reserved, claimed(&row, lease), body.clone());
                        }
                        None => fanned.waiting.push(target.clone()),
                    }
                    rows.push(row);
                }
            }
            if !rows.is_empty() {
                store::insert_deliveries(conn, &rows, lease.as_ref()).await?;
            }
            Ok(Box::new(fanned) as Box<dyn Followed>)
        })
    }

    fn deliveries<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        event: &'a Event,
    ) -> BoxFuture<'a, Result<Vec<DeliveryState>>> {
        Box::pin(async move { Ok(store::list_states(conn, event.project_id, event.id).await?) })
    }

    fn queue(&self) -> &'static str {
        Deliveries::NAME
    }
}

/// The endpoints of some projects with the types that they want.
struct Targets(HashMap<Uuid, Vec<Subscription>>);

struct Subscription {
    patterns: Vec<EventPattern>,
    target: Arc<Target>,
}

impl Targets {
    fn new(rows: Vec<Target>) -> Self {
        let mut targets: HashMap<Uuid, Vec<Subscription>> = HashMap::new();
        for target in rows {
            let patterns = target.events.iter().filter_map(|text| EventPattern::parse(text).ok()).collect();
            targets
                .entry(target.project_id)
                .or_default()
                .push(Subscription { patterns, target: Arc::new(target) });
        }
        Self(targets)
    }

    fn of(&self, event: &Event) -> impl Iterator<Item = &Arc<Target>> {
        let of_project = self.0.get(&event.project_id.uuid()).map(Vec::as_slice).unwrap_or_default();
        let wants = |it: &&Subscription| it.patterns.iter().any(|pattern| pattern.matches(&event.event_type));
        of_project.iter().filter(wants).map(|it| &it.target)
    }
}

/// What was reserved for a delivery that needs no claim.
enum Reserved {
    /// A worker and a place at the endpoint.
    Now(Worker, Slot),
    /// A place behind those that are under way.
    Next(Expected),
}

/// A worker and a place at the endpoint, or a place behind others, unless the delivery must wait in the table.
fn reserve(app: &App, target: &Target) -> Option<Reserved> {
    if target.is_holding || target.ordered || target.rate_per_second.is_some() {
        return None;
    }
    if target.is_pulled() {
        let (place, slot) = app.pull.reserve(app, target)?;
        return Some(Reserved::Now(Worker::Pulled(place), slot));
    }
    let workers = app.deliveries.get()?;
    let hubs = app.fleet.view();
    let limit = hubs.places(target.id, target.max_in_flight);
    let limit = limit.min(share(workers.free(), Deliveries::CONCURRENCY));
    match workers.queue()?.in_flight.room(target.id, limit, hubs.hubs() > 1)? {
        Room::Now(slot) => Some(Reserved::Now(Worker::Pushed(workers.reserve()?), slot)),
        Room::Next(expected) => Some(Reserved::Next(expected)),
    }
}

/// A worker that waits for one delivery, of either kind.
enum Worker {
    Pushed(Place<Deliveries>),
    Pulled(Place<Pulled>),
}

impl Worker {
    fn run(self, job: Job) {
        match self {
            Self::Pushed(place) => place.run(job),
            Self::Pulled(place) => place.run(job),
        }
    }
}

fn claimed(row: &NewDelivery, lease: &Lease) -> ClaimedDelivery {
    ClaimedDelivery {
        project_id: row.project_id.uuid(),
        id: row.id.uuid(),
        event_id: row.event_id.uuid(),
        event_type: row.event_type.clone(),
        attempts: 0,
        is_replay: false,
        is_probe: false,
        replay_rate: None,
        lease: lease.hold.clone(),
        target: row.target.clone(),
    }
}

/// What the transaction wrote: deliveries to be sent at once, those that follow them, and endpoints whose deliveries
/// wait for a claim.
#[derive(Default)]
struct Fanned {
    at_once: Vec<(Worker, Job)>,
    next: Vec<(Expected, ClaimedDelivery, Bytes)>,
    waiting: Vec<Arc<Target>>,
}

impl Fanned {
    fn take(&mut self, reserved: Reserved, delivery: ClaimedDelivery, body: Bytes) {
        match reserved {
            Reserved::Now(place, slot) => {
                self.at_once.push((place, Job { delivery, body, slot, goes_back: false }));
            }
            Reserved::Next(expected) => self.next.push((expected, delivery, body)),
        }
    }
}

/// Hands over what follows, and starts what has a place by now: those that were under way may have ended meanwhile.
fn follow(app: &App, next: Vec<(Expected, ClaimedDelivery, Bytes)>) {
    let mut endpoints: Vec<Uuid> = next.iter().map(|(_, delivery, _)| delivery.target.id).collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    let count = next.len();
    for (expected, delivery, body) in next {
        expected.arrived(delivery, body);
    }
    let Some(workers) = app.deliveries.get() else { return };
    let Some(queue) = workers.queue() else { return };
    // Without a free worker they go when one ends, or with the next claim.
    let places: Vec<_> = std::iter::from_fn(|| workers.reserve()).take(count).collect();
    let ready = queue.in_flight.ready(Some(&endpoints), places.len());
    for (place, job) in places.into_iter().zip(ready) {
        place.run(job);
    }
}

impl Followed for Fanned {
    fn committed(self: Box<Self>, app: &App) {
        for (worker, job) in self.at_once {
            worker.run(job);
        }
        if !self.next.is_empty() {
            follow(app, self.next);
        }
        let (pulled, pushed): (Vec<_>, Vec<_>) =
            self.waiting.into_iter().partition(|target| target.is_pulled());
        for target in &pulled {
            app.pull.is_due(target);
        }
        if pushed.is_empty() {
            return;
        }
        if let Some(queue) = app.deliveries.get().and_then(HandOver::queue) {
            for target in pushed {
                queue.in_flight.mark_behind(target.id);
            }
        }
        app.wakes.wake(Deliveries::NAME);
    }
}
