//! When the provider is asked again by itself, by a clock that the test moves; and whom a provider that is away or slow
//! holds up.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_protocol::ids::{Id as _, PaymentId};

use super::world::World;

impl World {
    /// Seconds until the payment is worked on next, once nobody is working on it and it was asked about now (or tried).
    async fn until_due_in(&self, pool: &PgPool, payment: &Value, seconds: i64) {
        let id = PaymentId::parse(payment["id"].as_str().unwrap()).unwrap().uuid();
        let what = format!("it is due in {seconds} s");
        self.test
            .until(&what, async || {
                let query =
                    "select run_at from payment_transactions where id = $1 and lease_token is null and action is not null";
                let run_at: Option<DateTime<Utc>> =
                    sqlx::query_scalar(query).bind(id).fetch_optional(pool).await.unwrap();
                let wait = (run_at? - self.test.now()).num_milliseconds();
                ((seconds * 1_000 - 50..=seconds * 1_000).contains(&wait)).then_some(())
            })
            .await;
    }

    fn calls(&self, call: &str) -> u64 {
        let wanted = format!("call=\"{call}\"");
        let metrics = self.test.app.metrics.render();
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("trastienda_provider_calls_total") && line.contains(&wanted));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unknown_outcome_is_looked_into_at_5_s_30_s_5_min_1_h_and_daily(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    world.fault(json!({"kind": "server_error", "rate": 1.0, "method": "POST", "path": "/checkout"})).await;
    let payment = world.create_with("k1", "respond-async", World::checkout("A-1", json!({}))).await.body;
    for seconds in [5, 30, 300, 3_600, 86_400, 86_400] {
        world.until_due_in(&pool, &payment, seconds).await;
        world.test.clock.advance(TimeDelta::seconds(seconds));
    }
    world.until_due_in(&pool, &payment, 86_400).await;
    let delete = format!("{}/control/faults", world.simulator.url());
    assert!(world.test.app.outbound.operator().delete(delete).send().await.unwrap().status().is_success());
    world.test.clock.advance(TimeDelta::days(1));
    world.until(&payment, "it is made", |payment| payment["checkout_url"].is_string()).await;
    assert_eq!(world.preferences(&payment).await, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn pix_is_asked_about_every_minute_at_first_and_tickets_every_hour(pool: PgPool) {
    let world = World::of_site(pool.clone(), "MLB").await;
    let pix = json!({"method": "pix", "currency": "BRL", "back_urls": null});
    let pix = world.create("k1", World::checkout("A-1", pix)).await.body;
    let ticket = json!({"method": "ticket", "payment_method_id": "bolbradesco", "currency": "BRL", "back_urls": null,
        "payer": {"email": "ana@example.com", "first_name": "Ana", "last_name": "B",
            "identification": {"type": "CPF", "number": "12345678909"}}});
    let ticket = world.create("k2", World::checkout("A-2", ticket)).await.body;
    world.until_due_in(&pool, &ticket, 3_600).await;
    for _ in 0..3 {
        world.until_due_in(&pool, &pix, 60).await;
        world.test.clock.advance(TimeDelta::seconds(60));
    }
    world.until_due_in(&pool, &pix, 60).await;
    world.test.clock.advance(TimeDelta::minutes(30));
    world.until_due_in(&pool, &pix, 240).await;
    world.test.clock.advance(TimeDelta::minutes(28));
    world.until_due_in(&pool, &ticket, 3_600).await;
    // Nobody pays; past its end by a day nobody asks any more.
    world.fault(json!({"kind": "drop_notice", "rate": 1.0})).await;
    world.test.clock.advance(TimeDelta::hours(24));
    world.until_due_in(&pool, &pix, 3_600).await;
    world.test.clock.advance(TimeDelta::hours(25));
    let over = world.until_status(&pix, "failed").await;
    assert_eq!(over["detail"], "expired");
}

#[sqlx::test(migrations = "../migrations")]
async fn who_reads_a_payment_that_was_not_asked_about_for_a_while_has_it_asked_about(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    world.fault(json!({"kind": "drop_notice", "rate": 1.0})).await;
    world.buy(&payment, json!({})).await;
    // The schedule would ask in a minute.
    world.test.clock.advance(TimeDelta::seconds(31));
    world.until_status(&payment, "paid").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_that_is_away_is_left_alone_and_found_again(pool: PgPool) {
    let world = World::new(pool).await;
    world.fault(json!({"kind": "server_error", "rate": 1.0})).await;
    let mut payments = Vec::new();
    for order in 0..5 {
        let body = World::checkout(&format!("A-{order}"), json!({}));
        payments.push(world.create_with(&format!("k{order}"), "wait=1", body).await.body);
    }
    assert_eq!(world.calls("create"), 5);
    // Its lane is shut: what comes now waits, without a call and without an attempt.
    let body = World::checkout("A-9", json!({}));
    let late = world.create_with("k9", "wait=1", body).await;
    assert_eq!(late.status, 202);
    world.test.clock.advance(TimeDelta::seconds(6));
    let path = format!("/v1/payments/{}/sync", late.body["id"].as_str().unwrap());
    let resting = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!((resting.status.as_u16(), resting.code()), (503, "provider_unavailable"));
    assert_eq!((world.calls("create"), world.calls("look for it")), (5, 0));
    let delete = format!("{}/control/faults", world.simulator.url());
    world.test.app.outbound.operator().delete(delete).send().await.unwrap();
    world.test.clock.advance(TimeDelta::seconds(31));
    // One goes ahead to see, the others follow.
    world.test.until("one is made", async || (world.calls("create") > 5).then_some(())).await;
    world.test.clock.advance(TimeDelta::seconds(2));
    for payment in payments.iter().chain([&late.body]) {
        world.until(payment, "it is made", |payment| payment["checkout_url"].is_string()).await;
        assert_eq!(world.preferences(payment).await, 1);
    }
    assert_eq!(World::told(&world.payment(&late.body).await), ["create: ok"], "it was tried once");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_slow_provider_holds_up_neither_other_projects_nor_the_api(pool: PgPool) {
    let world = World::new(pool).await;
    let limits = json!({"requests_per_minute": 100_000, "payments_per_day": 100_000});
    let path = format!("/admin/v1/projects/{}/limits", world.project);
    assert!(world.test.admin("PUT", &path, limits).await.status.is_success());
    world.fault(json!({"kind": "hang_after_success", "ms": 120_000, "rate": 1.0, "method": "POST"})).await;
    for order in 0..100 {
        let body = World::checkout(&format!("A-{order}"), json!({}));
        let taken = world.create_with(&format!("k{order}"), "respond-async", body).await;
        assert_eq!(taken.status, 202);
    }
    let sent =
        async || world.provider("/checkout/preferences/search?limit=200").await["total"].as_u64().unwrap();
    world.test.until("the lane is full", async || (sent().await == 32).then_some(())).await;
    // All of the project's calls hang, and more of it wait. Another project's payment is made while they do.
    let (_, other) = world.test.project().await;
    let body = json!({"order_id": "B-1", "amount": "900.00", "currency": "ARS", "description": "Termo", "method": "manual",
        "payer": {"email": "ana@example.com"}});
    let headers = [("x-api-key", other.as_str()), ("idempotency-key", "k"), ("prefer", "wait=20")];
    let made = world.test.send("POST", "/v1/payments", &headers, body.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let event = json!({"type": "order.created", "data": {"order_id": "B-1"}});
    assert_eq!(world.test.post(&other, "/v1/events", event).await.status, 202);
    assert_eq!(sent().await, 32, "no more were under way at once");
}

#[sqlx::test(migrations = "../migrations")]
async fn since_when_an_account_does_not_answer_is_known_until_it_does(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    world.create_with("k", "wait=10", World::checkout("A-1", json!({}))).await;
    world.fault(json!({"kind": "server_error", "rate": 1.0})).await;
    // Moves the clock to the account's next turn, whenever nobody is at it.
    let failing = async || {
        let query =
            "select sweep_at, failing_since, failure from payment_providers where lease_token is null";
        let row = sqlx::query_as::<_, (DateTime<Utc>, Option<DateTime<Utc>>, Option<String>)>(query)
            .fetch_optional(&pool)
            .await
            .unwrap();
        let (sweep_at, since, failure) = row?;
        if sweep_at > world.test.now() {
            world.test.clock.advance(sweep_at - world.test.now());
        }
        Some((since, failure))
    };
    let (since, failure) =
        world.test.until("it fails", async || failing().await.filter(|(since, _)| since.is_some())).await;
    assert_eq!(failure.as_deref(), Some("unknown"));
    // Another failure does not begin anew.
    let asked = world.calls("sweep");
    world
        .test
        .until("it is asked again", async || {
            failing().await;
            (world.calls("sweep") > asked).then_some(())
        })
        .await;
    let again = world.test.until("that is written", async || failing().await).await;
    assert_eq!(again.0, since);
    let delete = format!("{}/control/faults", world.simulator.url());
    world.test.app.outbound.operator().delete(delete).send().await.unwrap();
    let (_, failure) =
        world.test.until("it answers", async || failing().await.filter(|(since, _)| since.is_none())).await;
    assert_eq!(failure, None);
}
