//! Killed over and over while shops call and the hub comes and goes: a ledger of every acknowledged
//! id against what the hub holds at the end.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, EventId, RandomIds};

use crate::process::Program;
use crate::support::{Client, StubHub, eventually};

const CALLERS: usize = 8;
const KILLS: usize = 12;
/// Decides how many calls each agent lives for; the same seed is the same run, but for the scheduler.
const SEED: u64 = 0x7261_7374_6965_6e64;

/// Everything that was acknowledged, and everything that was ever sent.
#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<Vec<String>>,
    attempted: Mutex<HashSet<String>>,
}

impl Ledger {
    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

/// A shop: makes the id before the first byte, and repeats it until it is acknowledged.
async fn call(socket: PathBuf, ledger: Arc<Ledger>, stop: CancellationToken) {
    let mut client = None;
    while !stop.is_cancelled() {
        let id = ids::new::<EventId>(&RandomIds, &SystemClock).to_string();
        ledger.attempted.lock().unwrap().insert(id.clone());
        let body = json!({"id": id, "type": "order.created", "data": {"order_id": id}}).to_string();
        while !stop.is_cancelled() {
            let Some(kept) = client.as_mut() else {
                client = Client::try_socket(&socket).await.ok();
                if client.is_none() {
                    // Between a kill and the next start nobody listens.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                continue;
            };
            match Client::send(kept, Method::POST, "/v1/events", &[], body.clone()).await {
                Ok(answer) => {
                    assert_eq!(
                        (answer.status.as_u16(), answer.json()["id"].as_str()),
                        (202, Some(id.as_str()))
                    );
                    ledger.acknowledged.lock().unwrap().push(id.clone());
                    break;
                }
                Err(_) => client = None,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_however_often_the_agent_is_killed() {
    let mut hub = StubHub::start().await;
    let program = Program::of(&hub);
    let ledger = Arc::new(Ledger::default());
    let stop = CancellationToken::new();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(program.socket(), Arc::clone(&ledger), stop.clone()));
    }
    let mut random = SEED;
    for round in 0..KILLS {
        let running = program.run().await;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wanted = ledger.acknowledged() + 1 + usize::try_from(random >> 58).unwrap();
        eventually("calls are acknowledged", async || (ledger.acknowledged() >= wanted).then_some(())).await;
        // Cut in the middle of a batch now and then, so that answers are lost on both sides.
        if round % 3 == 2 {
            hub.go().await;
        }
        drop(running);
        if round % 3 == 2 {
            hub.come().await;
        }
    }
    stop.cancel();
    callers.join_all().await;
    let _running = program.run().await;
    let acknowledged: HashSet<String> = ledger.acknowledged.lock().unwrap().iter().cloned().collect();
    eventually("every acknowledged call is at the hub", async || {
        let taken = hub.taken();
        acknowledged.iter().all(|id| taken.contains_key(id)).then_some(())
    })
    .await;
    let attempted = ledger.attempted.lock().unwrap().clone();
    for (id, taken) in hub.taken() {
        assert!(attempted.contains(&id), "{id} was never sent by a shop");
        assert_eq!(taken.operation.body["data"]["order_id"], id, "the body is another call's");
    }
    assert!(acknowledged.len() >= KILLS, "{} calls are too few to show anything", acknowledged.len());
}
