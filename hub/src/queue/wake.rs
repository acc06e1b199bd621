//! Waking the queues: in memory on this hub, by `NOTIFY` (or Redis, see [`crate::fleet`]) on the others.
//!
//! `NOTIFY` inside a writing transaction would serialise commits, so it is sent after the commit and at most
//! once per [`GATHER`]; a lost one costs the others no more than their next poll.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::app::App;

/// The channel of wake-ups; the payload is the sender and the queues' names.
pub const CHANNEL: &str = "trastienda_wake";
const GATHER: Duration = Duration::from_millis(5);

/// The wake-ups of this hub's queues.
#[derive(Debug)]
pub struct Wakes {
    sender_id: Uuid,
    queues: Mutex<HashMap<&'static str, Arc<Notify>>>,
    remote: mpsc::UnboundedSender<&'static str>,
}

impl Wakes {
    /// Wake-ups, and the receiver that [`Wakes::tell_others`] needs.
    pub fn new(sender_id: Uuid) -> (Self, mpsc::UnboundedReceiver<&'static str>) {
        let (remote, receiver) = mpsc::unbounded_channel();
        (Self { sender_id, queues: Mutex::default(), remote }, receiver)
    }

    /// What a queue's loop waits on.
    pub fn of(&self, queue: &'static str) -> Arc<Notify> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).entry(queue).or_default().clone()
    }

    /// Says, after a commit, that a queue has work.
    pub fn wake(&self, queue: &'static str) {
        self.of(queue).notify_one();
        // Nobody receives while a hub stops, and then nobody needs to.
        let _ = self.remote.send(queue);
    }

    /// Wakes every queue: something may have been missed.
    pub fn wake_all(&self) {
        for notify in self.queues.lock().unwrap_or_else(PoisonError::into_inner).values() {
            notify.notify_one();
        }
    }

    /// Takes in what another hub said.
    pub fn heard(&self, payload: &str) {
        let Some((sender, queues)) = payload.split_once(' ') else { return };
        if sender == self.sender_id.as_simple().to_string() {
            return;
        }
        let map = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in queues.split(',') {
            if let Some(notify) = map.get(queue) {
                notify.notify_one();
            }
        }
    }

    /// Tells the other hubs, until the program ends.
    pub async fn tell_others(app: App, mut receiver: mpsc::UnboundedReceiver<&'static str>) {
        let mut batch = Vec::new();
        while receiver.recv_many(&mut batch, 10_000).await > 0 {
            let queues: BTreeSet<&str> = batch.drain(..).collect();
            let queues: Vec<&str> = queues.into_iter().collect();
            let payload = format!("{} {}", app.wakes.sender_id.as_simple(), queues.join(","));
            if let Err(error) = app.fleet.tell(&app.db, CHANNEL, &payload).await {
                tracing::debug!(%error, "the other hubs were not woken; they poll");
            }
            tokio::time::sleep(GATHER).await;
        }
    }
}
