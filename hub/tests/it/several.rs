//! Hubs that share a database. Whole processes, and one that is killed, are in the end-to-end tests.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use trastienda_hub::db::kept::Kept;
use trastienda_hub::queue::{LEASE, Lease, leases};
use uuid::Uuid;

use crate::support::{Receiver, SmtpServer, TestApp};

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

    test.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    let lease =
        "update webhook_deliveries set lease_token = gen_random_uuid(), lease_hub = $1, lease_until = $2
                 where id = (select id from webhook_deliveries where lease_token is null limit 1)";
    let until = test.now() + TimeDelta::minutes(1);
    // A hub that is gone had one.
    sqlx::query(lease).bind(6).bind(until).execute(&pool).await.unwrap();

    // The look is held up between asking who is alive and taking leases back.
    let mut joining = pool.begin().await.unwrap();
    sqlx::query("lock table webhook_deliveries in exclusive mode").execute(&mut *joining).await.unwrap();
    let app = test.app.clone();
    let looking = tokio::spawn(async move { leases::release_void(&app).await });
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    test.until("it waits", async || {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&pool).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;

    // Meanwhile a hub joins and takes a lease. Its lock is that of `queue::members`.
    let mut hub = pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(x'74726875'::integer, 7)").execute(&mut *hub).await.unwrap();
    sqlx::query(lease).bind(7).bind(until).execute(&mut *joining).await.unwrap();
    joining.commit().await.unwrap();
    looking.await.unwrap().unwrap();
    let kept = "select lease_hub from webhook_deliveries where lease_token is not null";
    let kept: Vec<i32> = sqlx::query_scalar(kept).fetch_all(&pool).await.unwrap();
    assert_eq!(kept, [7], "a lease of a living hub was taken back, or that of a gone one was not");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_that_only_lost_its_connection_repeats_nothing(pool: PgPool) {
    let (receiver, smtp) = (Receiver::start().await, SmtpServer::start().await);
    let url = smtp.url();
    let test = TestApp::with(pool.clone(), |config| config.smtp_url = Some(SecretString::from(url))).await;
    let (_, key) = test.project().await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["stock.*"]})).await;
    receiver.hold(true);
    smtp.hold(true);
    test.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    let mail = json!({"channel": "email", "to": "ana@example.com", "subject": "Hola", "text": "¿Qué tal?"});
    let mail = test.post(&key, "/v1/notifications", mail).await.id();
    test.until("both are in flight", async || {
        (receiver.received().len() == 1 && smtp.mails().len() == 1).then_some(())
    })
    .await;

    let [before] = lose_connections([&test], &pool).await;
    // So is left what a transaction wrote that was under way: leased under the number that is gone.
    for table in ["webhook_deliveries", "notifications"] {
        let statement = format!("update {table} set lease_hub = $1 where lease_token is not null");
        let left = sqlx::query(AssertSqlSafe(statement)).bind(before).execute(&pool).await.unwrap();
        assert_eq!(left.rows_affected(), 1, "{table} took the lease back");
    }
    leases::release_void(&test.app).await.unwrap();
    let holders = "select lease_hub from webhook_deliveries union all select lease_hub from notifications";
    let holders: Vec<Option<i32>> = sqlx::query_scalar(holders).fetch_all(&pool).await.unwrap();
    assert_eq!(holders, [test.app.member.number(); 2]);

    receiver.hold(false);
    smtp.hold(false);
    assert_eq!(test.delivery(&key, "sent").await["attempt_count"], 1);
    let path = format!("/v1/notifications/{mail}");
    test.until("it is sent", async || (test.get(&key, &path).await.body["status"] == "sent").then_some(()))
        .await;
    assert_eq!((receiver.received().len(), smtp.mails().len()), (1, 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn hubs_that_all_lost_their_connections_repeat_nothing(pool: PgPool) {
    let (one, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let other = TestApp::sharing(&one).await;
    let (_, key) = one.project().await;
    let endpoint = json!({"url": receiver.url(), "events": ["*"], "max_in_flight": 10});
    one.post(&key, "/v1/webhook-endpoints", endpoint).await;
    receiver.hold(true);
    for hub in [&one, &other] {
        hub.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    }
    one.until("both are in flight", async || (receiver.received().len() == 2).then_some(())).await;
    let holders = async || {
        let holders = "select lease_hub from webhook_deliveries order by lease_hub";
        sqlx::query_scalar::<_, Option<i32>>(holders).fetch_all(&pool).await.unwrap()
    };
    let numbers = || {
        let mut numbers = [&one, &other].map(|hub| hub.app.member.number());
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(holders().await, numbers(), "each has one in hand");

    lose_connections([&one, &other], &pool).await;
    one.until("each has taken its own on", async || (holders().await == numbers()).then_some(())).await;
    for hub in [&one, &other] {
        hub.clock.advance(TimeDelta::seconds(5));
        leases::release_void(&hub.app).await.unwrap();
    }
    receiver.hold(false);
    let sent = "select count(*) from webhook_deliveries where status = 'sent' and attempts = 1";
    one.until("both are sent", async || {
        let sent: i64 = sqlx::query_scalar(sent).fetch_one(&pool).await.unwrap();
        (sent == 2).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_that_alone_lost_its_connection_has_a_moment_to_come_back(pool: PgPool) {
    let (one, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let other = TestApp::sharing(&one).await;
    let (_, key) = one.project().await;
    one.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    receiver.hold(true);
    one.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    one.until("it is in flight", async || (receiver.received().len() == 1).then_some(())).await;
    let number = one.app.member.number().unwrap();
    sqlx::query("update hubs set seen_at = now() where number = $1")
        .bind(number)
        .execute(&pool)
        .await
        .unwrap();
    leases::release_void(&other.app).await.unwrap();
    let unlock = "select count(pg_terminate_backend(pid)) from pg_locks
                  where locktype = 'advisory' and classid = x'74726875'::integer::oid and objid = $1::integer::oid
                    and database = (select oid from pg_database where datname = current_database())";
    let ended: i64 = sqlx::query_scalar(unlock).bind(number).fetch_one(&pool).await.unwrap();
    assert_eq!(ended, 1);
    leases::release_void(&other.app).await.unwrap();
    one.until("it is a member again and has its own", async || {
        leases::release_void(&other.app).await.unwrap();
        let holder = sqlx::query_scalar("select lease_hub from webhook_deliveries");
        let holder: Option<i32> = holder.fetch_one(&pool).await.unwrap();
        (holder.is_some() && holder != Some(number) && holder == one.app.member.number()).then_some(())
    })
    .await;
    receiver.hold(false);
    assert_eq!(one.delivery(&key, "sent").await["attempt_count"], 1);
    assert_eq!(receiver.received().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_that_comes_back_lets_the_others_come_back_too(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    lose_connections([&test], &pool).await;
    receiver.hold(true);
    test.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    test.until("it is in flight", async || (receiver.received().len() == 1).then_some(())).await;
    // As if another hub had sent it, which lost its connection at the same time.
    sqlx::query("update webhook_deliveries set lease_hub = 999999").execute(&pool).await.unwrap();
    leases::release_void(&test.app).await.unwrap();
    let kept = "select count(*) from webhook_deliveries where lease_hub = 999999";
    let kept: i64 = sqlx::query_scalar(kept).fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 1, "it was not given the time to come back");
    test.clock.advance(TimeDelta::seconds(5));
    test.until("it goes again", async || (receiver.received().len() == 2).then_some(())).await;
    receiver.hold(false);
    test.delivery(&key, "sent").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_leased_without_an_answer_is_taken_back_at_once(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    // What waits there is claimed by nobody else.
    let disable = "update webhook_endpoints set disabled_at = now(), disabled_reason = 'test'";
    sqlx::query(disable).execute(&pool).await.unwrap();
    test.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    test.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    // Two claims; the answer to one of them arrives.
    let hub = test.app.member.number().unwrap();
    let lease = || Lease::of(hub, &test.app.in_hand, test.app.ids.uuid(test.now()), test.now());
    let (lost, known) = (lease(), lease());
    for lease in [&lost, &known] {
        let claim = "update webhook_deliveries set lease_token = $1, lease_hub = $2, lease_until = $3
                     where id = (select id from webhook_deliveries where lease_token is null limit 1)";
        let claim = sqlx::query(claim).bind(lease.token()).bind(lease.hub).bind(lease.until);
        claim.execute(&pool).await.unwrap();
    }
    drop(lost);
    leases::release_void(&test.app).await.unwrap();
    let leased = "select lease_token from webhook_deliveries where lease_token is not null";
    let leased: Vec<Uuid> = sqlx::query_scalar(leased).fetch_all(&pool).await.unwrap();
    assert_eq!(leased, [known.token()]);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_in_hand_is_not_repeated_when_the_clock_jumps(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    receiver.hold(true);
    test.post(&key, "/v1/events", json!({"type": "stock.counted", "data": {}})).await;
    test.until("it is in flight", async || (receiver.received().len() == 1).then_some(())).await;
    test.clock.advance(LEASE * 2);
    leases::release_void(&test.app).await.unwrap();
    let until = sqlx::query_scalar("select lease_until from webhook_deliveries");
    let until: Option<DateTime<Utc>> = until.fetch_one(&pool).await.unwrap();
    assert!(until.unwrap() > test.now() + LEASE / 2, "the other hubs may think that it is over: {until:?}");
    receiver.hold(false);
    test.delivery(&key, "sent").await;
    assert_eq!(receiver.received().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_that_stops_in_a_transaction_keeps_its_rows_from_the_others_for_a_minute(pool: PgPool) {
    let kept = Kept::new(pool.connect_options().as_ref().clone());
    let mut lent = kept.lend().await.unwrap();
    let setting = sqlx::query_scalar::<_, String>("show idle_in_transaction_session_timeout");
    assert_eq!(setting.fetch_one(&mut *lent).await.unwrap(), "1min");
}

/// Ends the connections that are the hubs' memberships, and waits until they are members again; gives the numbers that
/// they had.
async fn lose_connections<const N: usize>(hubs: [&TestApp; N], pool: &PgPool) -> [i32; N] {
    let before = hubs.map(|hub| hub.app.member.number().unwrap());
    let statement = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                     where datname = current_database() and application_name = 'trastienda-hub listener'";
    let ended: i64 = sqlx::query_scalar(statement).fetch_one(pool).await.unwrap();
    assert_eq!(usize::try_from(ended).unwrap(), N);
    for hub in hubs {
        let number = || hub.app.member.number().filter(|number| !before.contains(number));
        hub.until("it is a member again", async || number()).await;
    }
    before
}
