//! Callers that do not stop: each takes the next hub that is there, and makes a call again, under its id, until it is acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{bail, ensure};
use e2e::{Project, client, until};
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, EventId, RandomIds};

const CALLERS: usize = 12;
/// Attempts at one call before it counts as lost.
const ATTEMPTS_MAX: usize = 2_000;

/// What callers saw besides acknowledgements.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Answers that were errors.
    pub(crate) refused: usize,
    /// Calls that broke off or found nobody while no kill was announced and the hub was said to be there.
    pub(crate) broken: usize,
    /// Calls that found a hub gone that was on its way out, and went to the other.
    pub(crate) elsewhere: usize,
}

#[derive(Debug)]
struct Shared {
    key: String,
    hubs: Mutex<Vec<String>>,
    acknowledged: Mutex<Vec<String>>,
    seen: Mutex<Seen>,
    turn: AtomicUsize,
    over: AtomicBool,
    killing: AtomicBool,
}

/// The callers.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<anyhow::Result<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    /// Starts them, with one hub.
    pub(crate) fn start(project: &Project, hub: &str) -> Self {
        let shared = Arc::new(Shared {
            key: project.key.clone(),
            hubs: Mutex::new(vec![hub.to_owned()]),
            acknowledged: Mutex::default(),
            seen: Mutex::default(),
            turn: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            killing: AtomicBool::new(false),
        });
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(call(shared.clone()));
        }
        Self { shared, callers }
    }

    /// A hub that is there from now on.
    pub(crate) fn add(&self, hub: &str) {
        locked(&self.shared.hubs).push(hub.to_owned());
    }

    /// A hub that is about to go: who has it already may still ask it.
    pub(crate) fn remove(&self, hub: &str) {
        locked(&self.shared.hubs).retain(|known| known != hub);
    }

    /// Whether a hub is being killed: what breaks off meanwhile is as it should be.
    pub(crate) fn expect_broken(&self, killing: bool) {
        self.shared.killing.store(killing, Ordering::SeqCst);
    }

    /// How many events were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        locked(&self.shared.acknowledged).len()
    }

    /// What else happened.
    pub(crate) fn seen(&self) -> Seen {
        *locked(&self.shared.seen)
    }

    /// Waits until so many more are acknowledged.
    pub(crate) async fn until_more(&self, events: usize) -> anyhow::Result<()> {
        let enough = self.acknowledged() + events;
        until("calls are acknowledged", async || Ok((self.acknowledged() >= enough).then_some(()))).await
    }

    /// Ends them, and gives every acknowledged id.
    pub(crate) async fn stop(mut self) -> anyhow::Result<(Vec<String>, Seen)> {
        self.shared.over.store(true, Ordering::SeqCst);
        while let Some(caller) = self.callers.join_next().await {
            caller??;
        }
        let (ids, seen) = (locked(&self.shared.acknowledged).clone(), self.seen());
        ensure!(!ids.is_empty(), "nothing was acknowledged");
        Ok((ids, seen))
    }
}

async fn call(shared: Arc<Shared>) -> anyhow::Result<()> {
    while !shared.over.load(Ordering::SeqCst) {
        let id = ids::new::<EventId>(&RandomIds, &SystemClock).to_string();
        let body = json!({"id": id, "type": "load.counted", "data": {"of": "two versions"}});
        insist(&shared, &body).await?;
        locked(&shared.acknowledged).push(id);
    }
    Ok(())
}

/// Makes one call until it is acknowledged.
async fn insist(shared: &Shared, body: &serde_json::Value) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
        let hub = {
            let hubs = locked(&shared.hubs);
            hubs.get(turn % hubs.len().max(1)).cloned()
        };
        let Some(hub) = hub else { bail!("there is no hub") };
        let call = client()?.post(format!("{hub}/v1/events")).bearer_auth(&shared.key).json(body);
        match call.timeout(Duration::from_secs(30)).send().await {
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => return Ok(()),
            Ok(answer) if answer.status().is_client_error() => {
                bail!("{}: {}", answer.status(), answer.text().await?)
            }
            Ok(_) => locked(&shared.seen).refused += 1,
            Err(_) => {
                let is_there = locked(&shared.hubs).contains(&hub);
                let killing = shared.killing.load(Ordering::SeqCst);
                let mut seen = locked(&shared.seen);
                if is_there && !killing {
                    seen.broken += 1;
                } else {
                    seen.elsewhere += 1;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("a call was not acknowledged in {ATTEMPTS_MAX} attempts")
}
