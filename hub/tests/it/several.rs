//! Hubs that share a database. Whole processes, and one that is killed, are in the end-to-end tests.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{Receiver, TestApp};

/// Each second a hub looks at the table by itself.
const POLL: Duration = Duration::from_secs(1);
const EVENTS: u32 = 20;

#[sqlx::test(migrations = "../migrations")]
async fn what_one_hub_takes_in_another_delivers_at_once(pool: PgPool) {
    let (deliverer, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    let front = TestApp::front_of(&deliverer).await;
    // Its clock stands still since before the other's.
    deliverer.clock.advance(TimeDelta::minutes(1));
    let (_, key) = front.project().await;
    let answer =
        front.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let started = Instant::now();
    for number in 1..=EVENTS {
        front.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
        // Written, too: what the deliverer wakes itself for is behind it.
        let sent = "select count(*) from webhook_deliveries where status = 'sent'";
        let is_delivered = async || {
            let count: i64 = sqlx::query_scalar(sent).fetch_one(&front.app.db).await.unwrap();
            (count == i64::from(number)).then_some(())
        };
        front.until("it is delivered", is_delivered).await;
        assert_eq!(receiver.received().len(), number as usize);
    }
    // A hub that is not told looks a second later, each time.
    let took = started.elapsed();
    println!("{EVENTS} events, one after the other, took {took:?}");
    assert!(took < POLL * EVENTS / 2, "{took:?}");
}
