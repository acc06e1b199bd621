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
use super::in_flight::Slot;
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
                    match lease.and_then(|lease| Some((lease, reserve(app, target)?))) {
                        Some((lease, (place, slot))) => {
                            row.is_leased = true;
                            let body: &Bytes = body
                                .get_or_insert_with(|| wire::body(event.project_id.uuid(), &event.into()));
                            let delivery = claimed(&row, lease);
                            fanned.at_once.push((place, Job { delivery, body: body.clone(), slot }));
                        }
                        None => fanned.waiting.push(target.clone()),
                    }
                    rows.push(row);
                }
            }
            if !rows.is_empty() {
                store::insert_deliveries(conn, &rows, lease).await?;
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

/// A worker and a place at the endpoint, if the delivery may be sent as soon as it is written.
fn reserve(app: &App, target: &Target) -> Option<(Worker, Slot)> {
    if target.is_holding || target.ordered || target.rate_per_second.is_some() {
        return None;
    }
    if target.is_pulled() {
        let (place, slot) = app.pull.reserve(target)?;
        return Some((Worker::Pulled(place), slot));
    }
    let workers = app.deliveries.get()?;
    let limit = target.max_in_flight.min(Deliveries::share(workers.free()));
    let slot = workers.queue()?.in_flight.take_if_caught_up(target.id, limit)?;
    Some((Worker::Pushed(workers.reserve()?), slot))
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

fn claimed(row: &NewDelivery, lease: Lease) -> ClaimedDelivery {
    ClaimedDelivery {
        project_id: row.project_id.uuid(),
        id: row.id.uuid(),
        event_id: row.event_id.uuid(),
        event_type: row.event_type.clone(),
        attempts: 0,
        is_replay: false,
        is_probe: false,
        replay_rate: None,
        lease_token: lease.token,
        target: row.target.clone(),
    }
}

/// What the transaction wrote: deliveries to be sent at once, and endpoints whose deliveries wait for a claim.
#[derive(Default)]
struct Fanned {
    at_once: Vec<(Worker, Job)>,
    waiting: Vec<Arc<Target>>,
}

impl Followed for Fanned {
    fn committed(self: Box<Self>, app: &App) {
        for (worker, job) in self.at_once {
            worker.run(job);
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
