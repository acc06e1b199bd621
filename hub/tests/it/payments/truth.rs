//! The truth about a payment, whatever the provider and the network do.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::world::World;

#[sqlx::test(migrations = "../migrations")]
async fn with_every_notice_lost_a_paid_checkout_is_found_out_within_minutes(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    world.fault(json!({"kind": "drop_notice", "rate": 1.0})).await;
    world.buy(&payment, json!({})).await;
    world.test.clock.advance(TimeDelta::seconds(61));
    // The list does not ask the provider; the schedule does.
    world
        .test
        .until("the schedule finds it paid", async || {
            let list = world.test.get(&world.key, "/v1/payments?status=paid").await;
            list.body["data"].get(0).cloned()
        })
        .await;
    assert_eq!(world.events("order.paid").await.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_sync_by_hand_asks_at_once(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    world.fault(json!({"kind": "drop_notice", "rate": 1.0})).await;
    let bought = world.buy(&payment, json!({})).await;
    let path = format!("/v1/payments/{}/sync", payment["id"].as_str().unwrap());
    let synced = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!((synced.status.as_u16(), synced.body["status"].as_str()), (200, Some("paid")));
    // What happens later is found out too.
    world.simulator.clock().advance(std::time::Duration::from_mins(1));
    world.control(&format!("/payments/{}/refund", bought["id"]), json!({"amount": 500.5})).await;
    let synced = world.test.post(&world.key, &path, json!({})).await.body;
    assert_eq!(
        (&synced["detail"], &synced["amount_refunded"]),
        (&json!("partially_refunded"), &json!("500.50"))
    );
    world.fault(json!({"kind": "server_error", "next": 9})).await;
    let away = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!((away.status.as_u16(), away.code()), (503, "provider_unavailable"));
}

#[sqlx::test(migrations = "../migrations")]
async fn doubled_notices_are_one_event(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let payment = world.waiting("A-1").await;
    world.fault(json!({"kind": "duplicate_notice", "rate": 1.0})).await;
    let bought = world.buy(&payment, json!({})).await;
    world.control(&format!("/payments/{}/notify", bought["id"]), json!({})).await;
    world.until_status(&payment, "paid").await;
    world
        .test
        .until("all four notices are handled", async || {
            let query = "select count(*) from payment_notices where status = 'handled'";
            let handled: i64 = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
            (handled >= 4).then_some(())
        })
        .await;
    assert_eq!((world.events("payment.paid").await.len(), world.events("order.paid").await.len()), (1, 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unknown_outcome_is_looked_into_and_nothing_is_made_twice(pool: PgPool) {
    let world = World::new(pool).await;
    // It takes effect, and the connection breaks before the answer: the whole reply takes longer than we wait.
    world
        .fault(json!({"kind": "hang_after_success", "ms": 120_000, "method": "POST", "path": "/checkout/preferences"}))
        .await;
    let answer = world.create_with("k1", "respond-async", World::checkout("A-1", json!({}))).await;
    let payment = answer.body;
    world
        .test
        .until("the preference is made", async || (world.preferences(&payment).await == 1).then_some(()))
        .await;
    world.let_hub_die().await;
    let made =
        world.until(&payment, "the checkout is found", |payment| payment["checkout_url"].is_string()).await;
    assert_eq!(World::told(&made), ["look for it: ok"]);
    assert_eq!(world.preferences(&payment).await, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn errors_of_the_provider_are_tried_again_by_themselves(pool: PgPool) {
    let world = World::new(pool).await;
    world.fault(json!({"kind": "server_error", "status": 502, "method": "POST", "path": "/checkout"})).await;
    let answer = world.create_with("k1", "wait=1", World::checkout("A-1", json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.body["status"].as_str()), (202, Some("pending")));
    world.test.clock.advance(TimeDelta::seconds(6));
    let made = world.until(&answer.body, "it is made", |payment| payment["checkout_url"].is_string()).await;
    let outcomes = World::told(&made);
    assert_eq!(outcomes, ["create: unknown outcome: http_502 (502)", "look for it: ok", "create: ok"]);
    let replay = world.create("k1", World::checkout("A-1", json!({}))).await;
    assert_eq!(replay.status, 201);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_that_asks_for_patience_gets_it(pool: PgPool) {
    let world = World::new(pool).await;
    world.fault(json!({"kind": "too_many_requests", "retry_after": 90, "method": "POST"})).await;
    let answer = world.create_with("k1", "wait=1", World::checkout("A-1", json!({}))).await;
    assert_eq!(answer.status, 202);
    world.test.clock.advance(TimeDelta::seconds(89));
    let waiting = world.payment(&answer.body).await;
    assert_eq!(World::told(&waiting), ["create: asked to come back later"]);
    world.test.clock.advance(TimeDelta::seconds(2));
    world.until(&answer.body, "it is made", |payment| payment["checkout_url"].is_string()).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_provider_refuses_has_failed_with_its_reason(pool: PgPool) {
    let world = World::new(pool).await;
    let token =
        world.control("/sellers", json!({"site": "MLA"})).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.set_credentials(&token, "another-secret").await.status, 204);
    // The account is closed: its token is no longer taken.
    world.control("/reset", json!({})).await;
    let answer = world.create("k1", World::checkout("A-1", json!({}))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body["status"].as_str(), answer.body["detail"].as_str()),
        (201, Some("failed"), Some("rejected_unauthorized")),
        "{answer:?}"
    );
    assert_eq!(world.events("payment.failed").await.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn another_amount_is_never_taken_as_paid(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let payment = world.waiting("A-1").await;
    // Somebody made a cheaper preference under the same reference.
    sqlx::query("update payment_transactions set amount_minor = 150051, order_amount_minor = 150051")
        .execute(&pool)
        .await
        .unwrap();
    world.buy(&payment, json!({})).await;
    let seen = world
        .until(&payment, "the mismatch is told", |payment| {
            World::told(payment).iter().any(|outcome| outcome.contains("not taken as paid"))
        })
        .await;
    assert_eq!(seen["status"], "pending");
    assert!(world.events("order.paid").await.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn refunds_and_disputes_at_the_provider_are_told(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    let bought = world.buy(&payment, json!({})).await;
    world.until_status(&payment, "paid").await;
    let path = format!("/payments/{}", bought["id"]);
    let detail = async |detail: Value| {
        world.until(&payment, "the detail moves", |payment| payment["detail"] == detail).await
    };
    world.control(&format!("{path}/mediate"), json!({})).await;
    detail(json!("in_mediation")).await;
    world.control(&format!("{path}/chargeback"), json!({})).await;
    let disputed = detail(json!("charged_back")).await;
    assert_eq!(disputed["status"], "paid");
    let disputes: Vec<Value> =
        world.events("payment.disputed").await.iter().map(|event| event["data"]["dispute"].clone()).collect();
    assert_eq!(disputes.len(), 2, "{disputes:?}");
    let other = world.waiting("A-2").await;
    let bought = world.buy(&other, json!({})).await;
    world.until_status(&other, "paid").await;
    world.control(&format!("/payments/{}/refund", bought["id"]), json!({})).await;
    let refunded = world.until(&other, "it is refunded", |payment| payment["detail"] == "refunded").await;
    assert_eq!((&refunded["status"], &refunded["amount_refunded"]), (&json!("paid"), &json!("1500.50")));
    assert_eq!(world.events("payment.refunded").await.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_pays_expires_and_may_still_be_paid_late(pool: PgPool) {
    let world = World::new(pool).await;
    let at = trastienda_protocol::time::format(world.test.now() + TimeDelta::hours(1));
    let payment = world.create("k1", World::checkout("A-1", json!({"expires_at": at}))).await.body;
    world.test.clock.advance(TimeDelta::hours(26));
    let expired = world.until_status(&payment, "failed").await;
    assert_eq!(expired["detail"], "expired");
    // Approved all the same: the provider's word is the last.
    world.buy(&payment, json!({})).await;
    let path = format!("/v1/payments/{}/sync", payment["id"].as_str().unwrap());
    assert_eq!(world.test.post(&world.key, &path, json!({})).await.body["status"], "paid");
}
