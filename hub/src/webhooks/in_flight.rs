//! How many deliveries each endpoint has under way from this hub, and which endpoints may have more waiting.
//!
//! An endpoint is *behind* when the table may hold due deliveries of its that no worker has. Then new ones are not
//! handed over past those that wait, and each that ends asks the table for the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// The endpoints that this hub is sending to.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<Uuid, Endpoint>>);

#[derive(Debug, Default, Clone, Copy)]
struct Endpoint {
    running: i32,
    limit: i32,
    behind: bool,
}

/// One delivery under way. Dropped, however it ends, its place is free.
#[derive(Debug)]
pub(super) struct Slot {
    in_flight: Arc<InFlight>,
    endpoint: Uuid,
}

/// What was under way when a claim began.
#[derive(Debug)]
pub(crate) struct Busy {
    /// The endpoints.
    pub(crate) endpoints: Vec<Uuid>,
    /// How many deliveries each has under way.
    pub(crate) running: Vec<i32>,
    known: Vec<(Uuid, Endpoint)>,
}

impl InFlight {
    /// Takes a place for a delivery that was just made, if the endpoint has one free and nothing waits for it.
    pub(super) fn take_if_caught_up(self: &Arc<Self>, endpoint: Uuid, limit: i32) -> Option<Slot> {
        let mut endpoints = self.lock();
        let entry = endpoints.entry(endpoint).or_default();
        entry.limit = limit;
        if entry.behind || entry.running >= limit {
            return None;
        }
        entry.running += 1;
        drop(endpoints);
        Some(Slot { in_flight: self.clone(), endpoint })
    }

    /// Takes a place for a delivery that was claimed.
    pub(super) fn take(self: &Arc<Self>, endpoint: Uuid, limit: i32) -> Slot {
        let mut endpoints = self.lock();
        let entry = endpoints.entry(endpoint).or_default();
        entry.limit = limit;
        entry.running += 1;
        drop(endpoints);
        Slot { in_flight: self.clone(), endpoint }
    }

    /// Says that the table holds a due delivery of the endpoint's.
    pub(super) fn mark_behind(&self, endpoint: Uuid) {
        self.lock().entry(endpoint).or_default().behind = true;
    }

    /// Whether the table may hold due deliveries of the endpoint's.
    pub(super) fn is_behind(&self, endpoint: Uuid) -> bool {
        self.lock().get(&endpoint).is_some_and(|entry| entry.behind)
    }

    /// What is under way now.
    pub(super) fn busy(&self) -> Busy {
        let known: Vec<(Uuid, Endpoint)> = self.lock().iter().map(|(id, entry)| (*id, *entry)).collect();
        let running = known.iter().filter(|(_, entry)| entry.running > 0);
        let (endpoints, running) = running.map(|(id, entry)| (*id, entry.running)).unzip();
        Busy { endpoints, running, known }
    }

    /// Learns from a claim which endpoints are behind: those that took all that they were asked for. `claimed` tells
    /// for each endpoint how many deliveries came and its limit, `share` what any endpoint was asked for at most.
    pub(super) fn learn(&self, busy: &Busy, claimed: &HashMap<Uuid, (i32, i32)>, share: i32) {
        let before: HashMap<Uuid, Endpoint> = busy.known.iter().copied().collect();
        let mut endpoints = self.lock();
        for id in before.keys().chain(claimed.keys()) {
            let entry = before.get(id).copied().unwrap_or_default();
            let (came, limit) = claimed.get(id).copied().unwrap_or((0, entry.limit));
            let asked = limit.min(share) - entry.running;
            // Of an endpoint that was never sent to, the limit is not known: nothing came although it was asked.
            let behind = if entry.limit == 0 && came == 0 { false } else { came >= asked };
            endpoints.entry(*id).or_default().behind = behind;
        }
        endpoints.retain(|_, entry| entry.running > 0 || entry.behind);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Endpoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut endpoints = self.in_flight.lock();
        if let Some(entry) = endpoints.get_mut(&self.endpoint) {
            entry.running -= 1;
            if entry.running == 0 && !entry.behind {
                endpoints.remove(&self.endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: Uuid = Uuid::from_u128(1);

    fn learn(in_flight: &InFlight, came: i32, limit: i32) {
        let claimed = if came > 0 { [(ENDPOINT, (came, limit))].into() } else { HashMap::new() };
        in_flight.learn(&in_flight.busy(), &claimed, 100);
    }

    #[test]
    fn a_place_is_free_again_when_its_delivery_ends() {
        let in_flight = Arc::new(InFlight::default());
        let first = in_flight.take_if_caught_up(ENDPOINT, 1).unwrap();
        assert!(in_flight.take_if_caught_up(ENDPOINT, 1).is_none());
        drop(first);
        assert!(in_flight.take_if_caught_up(ENDPOINT, 1).is_some());
        assert!(in_flight.busy().known.is_empty());
    }

    #[test]
    fn what_waits_goes_first() {
        let in_flight = Arc::new(InFlight::default());
        in_flight.mark_behind(ENDPOINT);
        assert!(in_flight.take_if_caught_up(ENDPOINT, 10).is_none());
        learn(&in_flight, 10, 10);
        assert!(in_flight.is_behind(ENDPOINT), "all that was asked for came: there may be more");
        learn(&in_flight, 3, 10);
        assert!(in_flight.take_if_caught_up(ENDPOINT, 10).is_some());
    }

    #[test]
    fn an_endpoint_that_could_not_be_asked_may_be_behind() {
        let in_flight = Arc::new(InFlight::default());
        let held = in_flight.take_if_caught_up(ENDPOINT, 1).unwrap();
        learn(&in_flight, 0, 1);
        assert!(in_flight.is_behind(ENDPOINT));
        drop(held);
        learn(&in_flight, 0, 1);
        assert!(!in_flight.is_behind(ENDPOINT));
    }
}
