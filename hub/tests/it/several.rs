//! Hubs that share a database. Whole processes, and one that is killed, are in the end-to-end tests.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;
use trastienda_hub::db::kept::Kept;
use trastienda_hub::queue::members;

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

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_that_joins_while_void_leases_are_looked_for_keeps_its_own(pool: PgPool) {
    let (test, receiver) = (TestApp::idle(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    test.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;

    // The look is held up between asking who is alive and taking leases back.
    let mut joining = pool.begin().await.unwrap();
    sqlx::query("lock table webhook_deliveries in exclusive mode").execute(&mut *joining).await.unwrap();
    let app = test.app.clone();
    let looking = tokio::spawn(async move { members::release_void_leases(&app).await });
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    test.until("it waits", async || {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&pool).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;

    // Meanwhile a hub joins and takes a lease. Its lock is that of `queue::members`.
    let mut hub = pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(x'74726875'::integer, 7)").execute(&mut *hub).await.unwrap();
    let lease =
        "update webhook_deliveries set lease_token = gen_random_uuid(), lease_hub = 7, lease_until = $1";
    let until = test.now() + TimeDelta::minutes(1);
    sqlx::query(lease).bind(until).execute(&mut *joining).await.unwrap();
    joining.commit().await.unwrap();
    looking.await.unwrap().unwrap();
    let kept = "select count(*) from webhook_deliveries where lease_hub = 7";
    let kept: i64 = sqlx::query_scalar(kept).fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 1, "a lease of a living hub was taken back");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_that_stops_in_a_transaction_keeps_its_rows_from_the_others_for_a_minute(pool: PgPool) {
    let kept = Kept::new(pool.connect_options().as_ref().clone());
    let mut lent = kept.lend().await.unwrap();
    let setting = sqlx::query_scalar::<_, String>("show idle_in_transaction_session_timeout");
    assert_eq!(setting.fetch_one(&mut *lent).await.unwrap(), "1min");
}
