//! How late a shop hears that it was paid when every notice is lost: measured over a population of payments of all
//! methods, by a clock that hub and provider share and the test moves.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_mercadopago_sim::{Clock, Config};
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::{Id as _, PaymentId};
use uuid::Uuid;

use super::world::World;

/// The steps that the clock moves in. What is due in between is done at the step's end: the measure errs on the late side.
const STEP: TimeDelta = TimeDelta::seconds(20);
const LATE: TimeDelta = TimeDelta::minutes(5);
/// How long the hub may take for what is due at one time, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many are paid each way, and within how many minutes their customers pay.
const POPULATION: [(&str, usize, i64); 4] =
    [("checkout", 40, 90), ("pix", 30, 45), ("card", 10, 120), ("ticket", 20, 150)];

/// A payment whose customer is going to pay.
struct Customer {
    method: &'static str,
    payment: Value,
    pays_at: DateTime<Utc>,
    has_paid: bool,
}

impl Customer {
    fn id(&self) -> Uuid {
        PaymentId::parse(self.payment["id"].as_str().unwrap()).unwrap().uuid()
    }
}

impl World {
    /// A Brazilian seller's, whose provider has the same time as the hub.
    async fn in_step(pool: PgPool) -> Self {
        let clock = Clock::fixed(SystemClock.now());
        let config = Config { clock: clock.clone(), ..Config::default() };
        let world = Self::with(pool, "MLB", config).await;
        clock.advance((world.test.now() - clock.now()).to_std().unwrap());
        world
    }

    async fn offer(&self, method: &str, order: &str) -> Value {
        let brl = json!({"method": method, "currency": "BRL", "back_urls": null});
        let mut body = Self::checkout(order, brl);
        match method {
            "card" => {
                // It is looked at, and approved by hand some hours later.
                let token = self.card_token("CONT").await;
                body["card"] = json!({"token": token, "payment_method_id": "visa", "installments": 1});
            }
            "ticket" => {
                body["payment_method_id"] = json!("bolbradesco");
                body["payer"] = json!({"email": "ana@example.com", "first_name": "Ana", "last_name": "B",
                    "identification": {"type": "CPF", "number": "12345678909"}});
            }
            _ => {}
        }
        let answer = self.create(&format!("key-{order}"), body).await;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (201, &json!("pending")), "{answer:?}");
        answer.body
    }

    /// Other programs take money on the same account.
    async fn sell_elsewhere(&self, count: usize) {
        let url = format!("{}/v1/payments", self.simulator.url());
        let sell = async |n: usize| {
            let body = json!({"transaction_amount": 10, "payment_method_id": "bolbradesco", "external_reference": "kiosco",
                "payer": {"email": "a@example.com", "first_name": "Ana", "last_name": "B",
                    "identification": {"type": "CPF", "number": "12345678909"}}});
            let call = self.test.app.outbound.operator().post(&url).bearer_auth(&self.seller.access_token);
            let key = format!("{n}-{}", self.test.now());
            assert_eq!(call.header("x-idempotency-key", key).json(&body).send().await.unwrap().status(), 201);
        };
        stream::iter(0..count).for_each_concurrent(8, sell).await;
    }

    async fn pay(&self, customer: &Customer) {
        if customer.method == "checkout" {
            self.buy(&customer.payment, json!({})).await;
        } else {
            let external = customer.payment["external_id"].as_str().unwrap();
            self.control(&format!("/payments/{external}/approve"), json!({})).await;
        }
    }

    /// Waits until the hub has done all that is due.
    async fn until_quiet(&self, pool: &PgPool) {
        let due = "select exists (select from payment_transactions
                       where lease_token is not null or (action is not null and run_at <= $1))
                   or exists (select from payment_providers
                       where lease_token is not null or (sweep_at <= $1
                           and exists (select from payment_transactions where action = 'sync')))";
        self.test
            .until_within(PATIENCE, "nothing is due", async || {
                self.test.app.wakes.wake_all();
                let is_due: bool =
                    sqlx::query_scalar(due).bind(self.test.now()).fetch_one(pool).await.unwrap();
                (!is_due).then_some(())
            })
            .await;
    }

    fn move_clocks(&self, to: DateTime<Utc>) {
        let by = to - self.test.now();
        self.test.clock.advance(by);
        self.simulator.clock().advance(by.to_std().unwrap());
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn with_every_notice_lost_nineteen_of_twenty_shops_know_within_five_minutes(pool: PgPool) {
    let world = World::in_step(pool.clone()).await;
    let limits = json!({"requests_per_minute": 100_000, "payments_per_day": 100_000});
    let path = format!("/admin/v1/projects/{}/limits", world.project);
    assert!(world.test.admin("PUT", &path, limits).await.status.is_success());
    world.fault(json!({"kind": "drop_notice", "rate": 1.0})).await;

    let mut rng = StdRng::seed_from_u64(95);
    let begun = world.test.now();
    let mut customers = Vec::new();
    for (method, count, minutes) in POPULATION {
        for n in 0..count {
            let payment = world.offer(method, &format!("{method}-{n}")).await;
            let pays_at = begun + TimeDelta::seconds(rng.random_range(10..minutes * 60));
            customers.push(Customer { method, payment, pays_at, has_paid: false });
        }
    }
    while customers.iter().any(|customer| !customer.has_paid) {
        world.until_quiet(&pool).await;
        world.move_clocks(world.test.now() + STEP);
        let now = world.test.now();
        for customer in customers.iter_mut().filter(|it| !it.has_paid && it.pays_at <= now) {
            // The time as the provider has it, which counts from here.
            customer.pays_at = now;
            customer.has_paid = true;
            world.pay(customer).await;
        }
    }
    // However late the last ones are heard of, it is waited for.
    let waiting = "select count(*) from payment_transactions where status = 'pending'";
    for _ in 0..200 {
        world.until_quiet(&pool).await;
        if sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 0 {
            break;
        }
        world.move_clocks(world.test.now() + STEP);
    }
    let mut delays: Vec<(TimeDelta, &str)> = Vec::new();
    for customer in &customers {
        let query = "select paid_at from payment_transactions where id = $1 and status = 'paid'";
        let paid_at: Option<DateTime<Utc>> =
            sqlx::query_scalar(query).bind(customer.id()).fetch_optional(&pool).await.unwrap();
        let paid_at = paid_at.unwrap_or_else(|| panic!("{} was never heard of", customer.payment));
        delays.push((paid_at - customer.pays_at, customer.method));
    }
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() * percent).div_ceil(100) - 1].0;
    let told = format!(
        "{} payments: p50 {} s, p95 {} s, last {} s ({})",
        delays.len(),
        at(50).num_seconds(),
        at(95).num_seconds(),
        at(100).num_seconds(),
        delays.last().unwrap().1
    );
    println!("{told}");
    assert!(at(95) <= LATE, "{told}");
    assert!(at(50) > TimeDelta::zero(), "nothing was lost: {told}");
    let count = async |query| sqlx::query_scalar::<_, i64>(query).fetch_one(&pool).await.unwrap();
    let paid = count("select count(*) from events where type = 'payment.paid'").await;
    // It asked; nobody told it.
    let notices = count("select count(*) from payment_notices").await;
    assert_eq!((usize::try_from(paid).unwrap(), notices), (delays.len(), 0));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_account_on_which_much_happens_is_read_in_parts(pool: PgPool) {
    let world = World::in_step(pool.clone()).await;
    world.fault(json!({"kind": "drop_notice", "rate": 1.0})).await;
    let ticket = world.offer("ticket", "A-1").await;
    // A thousand are read of one time, and no more.
    for batch in 0..11 {
        world.sell_elsewhere(100).await;
        if batch == 5 {
            world
                .control(&format!("/payments/{}/approve", ticket["external_id"].as_str().unwrap()), json!({}))
                .await;
        }
        world.move_clocks(world.test.now() + TimeDelta::seconds(10));
    }
    world.move_clocks(world.test.now() + STEP);
    // Not through the API: who reads it has it asked about.
    let swept = world
        .test
        .until_within(PATIENCE, "the account is asked", async || {
            let query =
                "select v.swept_until, v.sweep_at, t.status from payment_providers v, payment_transactions t
                where v.swept_until is not null";
            sqlx::query_as::<_, (DateTime<Utc>, DateTime<Utc>, String)>(query)
                .fetch_optional(&pool)
                .await
                .unwrap()
        })
        .await;
    let now = world.test.now();
    // As exactly as PostgreSQL keeps a time.
    let is_at = |at: DateTime<Utc>, wanted: DateTime<Utc>| (at - wanted).abs() < TimeDelta::milliseconds(1);
    assert!(is_at(swept.0, now) && is_at(swept.1, now + TimeDelta::minutes(2)), "{swept:?} at {now}");
    assert_eq!(swept.2, "paid");
}
