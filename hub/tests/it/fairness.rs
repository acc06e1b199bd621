//! One project's receivers hang; another project does not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_protocol::ids::{self, EventId, RandomIds};

use crate::support::{Receiver, Script, TestApp, Wire};

/// How many requests hang at once, now and at most.
#[derive(Clone, Default)]
struct Hanging {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Hanging {
    fn script(&self) -> Script {
        let hanging = self.clone();
        Arc::new(move |_, stream| {
            let now = hanging.now.fetch_add(1, Ordering::SeqCst) + 1;
            hanging.most.fetch_max(now, Ordering::SeqCst);
            Box::pin(async move {
                std::future::pending::<()>().await;
                Some(stream)
            })
        })
    }
}

/// A hub that waits for an answer for longer than the test lasts.
async fn patient_hub(pool: PgPool) -> TestApp {
    TestApp::with(pool, |config| config.outbound_manner.total_timeout = Duration::from_mins(10)).await
}

async fn endpoint(test: &TestApp, key: &str, body: Value) {
    let answer = test.post(key, "/v1/webhook-endpoints", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// So many events in one call.
async fn post_events(test: &TestApp, key: &str, count: usize) {
    let operation = |_| {
        let id = ids::new::<EventId>(&RandomIds, &test.clock).to_string();
        let body = json!({"type": "stock.counted", "data": {}});
        json!({"kind": "event", "id": id, "accepted_at": trastienda_protocol::time::format(test.now()), "body": body})
    };
    let operations: Vec<Value> = (0..count).map(operation).collect();
    let answer = test.post(key, "/v1/batch", json!({"operations": operations})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["status"] == 202), "{answer:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn five_hundred_hanging_deliveries_hold_up_nobody_else(pool: PgPool) {
    let test = patient_hub(pool).await;
    let (_, hung) = test.project_on("pro").await;
    let (_, well) = test.project().await;
    let hanging = Hanging::default();
    let (wire, receiver) = (Wire::start(hanging.script()).await, Receiver::start().await);
    endpoint(&test, &hung, json!({"url": wire.url(), "events": ["*"], "max_in_flight": 20})).await;
    endpoint(&test, &well, json!({"url": receiver.url(), "events": ["*"], "max_in_flight": 5})).await;
    post_events(&test, &hung, 500).await;
    test.until("all its places hang", async || (hanging.now.load(Ordering::SeqCst) == 20).then_some(()))
        .await;
    for _ in 0..4 {
        post_events(&test, &well, 50).await;
    }
    let sent = "select count(*) from webhook_deliveries where status = 'sent'";
    test.until("the healthy one has all", async || {
        let count: i64 = sqlx::query_scalar(sent).fetch_one(&test.app.db).await.unwrap();
        (count == 200 && receiver.received().len() == 200).then_some(())
    })
    .await;
    // Meanwhile the others have been hanging all the time, and never more of them than may.
    assert_eq!((hanging.now.load(Ordering::SeqCst), hanging.most.load(Ordering::SeqCst)), (20, 20));
    let attempted: i64 = sqlx::query_scalar(
        "select count(*) from webhook_deliveries where status = 'pending' and attempts > 0",
    )
    .fetch_one(&test.app.db)
    .await
    .unwrap();
    assert_eq!(attempted, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_that_lets_a_thousand_hang_at_once_takes_not_every_place(pool: PgPool) {
    let test = patient_hub(pool).await;
    let (_, hung) = test.project_on("pro").await;
    let (_, well) = test.project().await;
    let hanging = Hanging::default();
    let receiver = Receiver::start().await;
    for _ in 0..2 {
        let wire = Wire::start(hanging.script()).await;
        endpoint(&test, &hung, json!({"url": wire.url(), "events": ["*"], "max_in_flight": 1_000})).await;
    }
    endpoint(&test, &well, json!({"url": receiver.url(), "events": ["*"]})).await;
    post_events(&test, &hung, 500).await;
    test.until("many hang", async || (hanging.now.load(Ordering::SeqCst) >= 50).then_some(())).await;
    post_events(&test, &well, 100).await;
    test.until("the healthy one has all", async || (receiver.received().len() == 100).then_some(())).await;
}
