//! Events that share a transaction: each is judged as if it had come alone.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};
use trastienda_protocol::ids::{EventId, Id as _};

use crate::support::{Answer, Receiver, TestApp};

/// Holds up whatever counts the project's events, so that what comes meanwhile gathers.
async fn hold(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut tx = pool.begin().await.unwrap();
    let held = sqlx::query("select from usage_daily where service = 'events' for update");
    assert_eq!(held.fetch_all(&mut *tx).await.unwrap().len(), 1);
    tx
}

/// Posts events that gather behind a held one.
async fn post_together(
    test: &TestApp,
    pool: &PgPool,
    key: &str,
    bodies: Vec<(Value, Option<&str>)>,
) -> Vec<Answer> {
    test.post(key, "/v1/events", json!({"type": "first.use", "data": {}})).await;
    let held = hold(pool).await;
    let count = bodies.len();
    let calls = join_all(bodies.into_iter().map(|(body, idempotency_key)| async move {
        let mut headers = vec![("x-api-key", key)];
        headers.extend(idempotency_key.map(|it| ("idempotency-key", it)));
        test.send("POST", "/v1/events", &headers, body.to_string()).await
    }));
    let release = async {
        test.until("the first of them waits", async || {
            let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(pool).await.unwrap();
            (waiting > 0).then_some(())
        })
        .await;
        held.commit().await.unwrap();
    };
    let (answers, ()) = tokio::join!(calls, release);
    assert_eq!(answers.len(), count);
    answers
}

fn event(number: usize) -> Value {
    json!({"type": "stock.low", "data": {"sku": number.to_string()}})
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status.as_u16()).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_not_new_is_found_among_others(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    let id: EventId = test.app.new_id();
    let with_id = json!({"id": id.to_string(), "type": "stock.low", "data": {"sku": "id"}});
    let mut bodies: Vec<(Value, Option<&str>)> = (0..20).map(|number| (event(number), None)).collect();
    // The same id twice, the same key twice with one body and once with another.
    bodies.extend([(with_id.clone(), None), (with_id, None)]);
    bodies.extend([(event(100), Some("k")), (event(100), Some("k")), (event(101), Some("k"))]);
    let answers = post_together(&test, &pool, &key, bodies).await;
    assert_eq!(statuses(&answers[..24]), [202; 24]);
    assert_eq!((answers[24].status.as_u16(), answers[24].code()), (422, "idempotency_key_reused"));
    assert_eq!((answers[20].id(), answers[21].id()), (id.to_string(), id.to_string()));
    assert_eq!(answers[22].id(), answers[23].id());
    let replayed = |answer: &Answer| answer.headers.contains_key("idempotent-replayed");
    assert_eq!(answers.iter().filter(|answer| replayed(answer)).count(), 2);
    // The first use, twenty, and one of each pair.
    assert_eq!(test.get(&key, "/v1/project").await.body["usage"]["events"], 23);
    let list = test.get(&key, "/v1/events?limit=200").await;
    assert_eq!(list.body["data"].as_array().unwrap().len(), 23);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_order_is_paid_once_though_told_together(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project().await;
    test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["order.*"]})).await;
    let paid = json!({"type": "order.paid", "data": {"order_id": "A-1"}});
    let mut bodies: Vec<(Value, Option<&str>)> = (0..5).map(|number| (event(number), None)).collect();
    bodies.extend(vec![(paid, None); 4]);
    let answers = post_together(&test, &pool, &key, bodies).await;
    assert_eq!(statuses(&answers), [202; 9]);
    let first: Vec<String> =
        answers[5..].iter().filter(|it| it.body["duplicate_of"].is_null()).map(Answer::id).collect();
    assert_eq!(first.len(), 1);
    for duplicate in answers[5..].iter().filter(|it| it.id() != first[0]) {
        assert_eq!(duplicate.body["duplicate_of"], first[0]);
    }
    test.delivery(&key, "sent").await;
    assert_eq!(receiver.received().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_quota_is_used_up_to_the_last_and_no_further(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (id, key) = test.project().await;
    test.admin("PUT", &format!("/admin/v1/projects/{id}/limits"), json!({"events_per_day": 6})).await;
    let answers =
        post_together(&test, &pool, &key, (0..12).map(|number| (event(number), None)).collect()).await;
    let statuses = statuses(&answers);
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 7, "{statuses:?}");
    assert_eq!(test.get(&key, "/v1/project").await.body["usage"]["events"], 6);
    // Once there is room again, nothing remembers the refusals.
    test.admin("PUT", &format!("/admin/v1/projects/{id}/limits"), json!({"events_per_day": 8})).await;
    let answers = post_together(&test, &pool, &key, vec![(event(50), None)]).await;
    assert_eq!(answers[0].status, 202);
}

#[sqlx::test(migrations = "../migrations")]
async fn one_that_the_database_refuses_holds_up_no_other(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    sqlx::raw_sql("alter table events add constraint no_poison check (type <> 'poison.pill')")
        .execute(&pool)
        .await
        .unwrap();
    let mut bodies: Vec<(Value, Option<&str>)> = (0..8).map(|number| (event(number), None)).collect();
    bodies.insert(4, (json!({"type": "poison.pill", "data": {}}), None));
    let answers = post_together(&test, &pool, &key, bodies).await;
    let (refused, stored): (Vec<usize>, Vec<usize>) =
        (0..9).partition(|place| answers[*place].status.as_u16() != 202);
    assert_eq!((refused, stored.len()), (vec![4], 8));
    assert_eq!(answers[4].status, 500);
}

/// Makes the first commit of several of a project's events fail, once whoever holds the advisory lock 1 lets it.
const FAIL_ONE_COMMIT: &str = "
    create sequence commits;
    create function fail_one_commit() returns trigger language plpgsql as $$
    begin
        if new.used - old.used > 1 and nextval('commits') = 1 then
            perform pg_advisory_xact_lock(1);
            raise exception 'this commit fails';
        end if;
        return null;
    end $$;
    create constraint trigger fail_one_commit after update on usage_daily deferrable initially deferred
        for each row execute function fail_one_commit();
";

/// Waits until somebody waits for this kind of lock.
async fn until_waiting(test: &TestApp, pool: &PgPool, lock: &str) {
    test.until("somebody waits for the lock", async || {
        let waiting =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and wait_event = $1
                           and datname = current_database()";
        let waiting: i64 = sqlx::query_scalar(waiting).bind(lock).fetch_one(pool).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_commit_that_fails_while_the_next_group_is_written_holds_up_nothing(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    sqlx::raw_sql(FAIL_ONE_COMMIT).execute(&pool).await.unwrap();
    let mut gate = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(1)").execute(&mut *gate).await.unwrap();
    let first = post_together(&test, &pool, &key, (0..6).map(|number| (event(number), None)).collect());
    let later = async {
        until_waiting(&test, &pool, "advisory").await;
        let next = join_all((6..10).map(|number| test.post(&key, "/v1/events", event(number))));
        let release = async {
            // The next group is written but for the row that the failing commit still holds.
            until_waiting(&test, &pool, "transactionid").await;
            gate.rollback().await.unwrap();
        };
        tokio::join!(next, release).0
    };
    let answered = tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(first, later) }).await;
    let (first, later) = answered.expect("nobody waits for ever");
    assert_eq!(statuses(&first), [202; 6]);
    assert_eq!(statuses(&later), [202; 4]);
    // The first use, and ten.
    assert_eq!(test.get(&key, "/v1/project").await.body["usage"]["events"], 11);
    // A sequence that was never asked has a last value all the same.
    let failed: bool = sqlx::query_scalar("select is_called from commits").fetch_one(&pool).await.unwrap();
    assert!(failed, "no commit failed");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_ordered_endpoint_gets_a_batch_in_its_order(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool.clone()).await, Receiver::start().await);
    let (_, key) = test.project_on("pro").await;
    let endpoint = json!({"url": receiver.url(), "events": ["*"], "ordered": true});
    assert_eq!(test.post(&key, "/v1/webhook-endpoints", endpoint).await.status, 201);
    let ids: Vec<EventId> = (0..600).map(|_| test.app.new_id()).collect();
    let operations: Vec<Value> = ids
        .iter()
        .map(|id| json!({"kind": "event", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": {"type": "a.b", "data": {}}}))
        .collect();
    let answer = test.post(&key, "/v1/batch", json!({"operations": operations})).await;
    assert!(answer.body["results"].as_array().unwrap().iter().all(|result| result["status"] == 202));
    let in_order: Vec<uuid::Uuid> =
        sqlx::query_scalar("select event_id from webhook_deliveries order by sequence")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(in_order, ids.iter().map(|id| id.uuid()).collect::<Vec<_>>());
}

#[sqlx::test(migrations = "../migrations")]
async fn what_can_go_at_once_needs_no_claim(pool: PgPool) {
    let test = TestApp::new(pool.clone()).await;
    let (_, key) = test.project().await;
    // It takes the connection and never answers.
    let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", receiver.local_addr().unwrap());
    test.post(&key, "/v1/webhook-endpoints", json!({"url": url, "events": ["*"], "max_in_flight": 2})).await;
    test.until("the hub may lease", async || test.app.member.number()).await;
    for _ in 0..23 {
        assert_eq!(test.post(&key, "/v1/events", event(1)).await.status, 202);
    }
    let leased: Vec<bool> =
        sqlx::query_scalar("select lease_token is not null from webhook_deliveries order by 1")
            .fetch_all(&pool)
            .await
            .unwrap();
    let leased = leased.into_iter().filter(|is_leased| *is_leased).count();
    assert_eq!(leased, 22, "there are two places, ten follow for each, and one waits");
}
