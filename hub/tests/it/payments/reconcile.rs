//! Comparing the books: what was missed is taken in, what differs is found, and nothing else is said.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_hub::payments::reconcile;
use trastienda_protocol::ids::{Id as _, IdSource as _, PaymentId, ProjectId, RandomIds};

use super::world::World;

/// A payment as it is kept here and at the provider.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what may differ, one by one")]
struct Seed {
    id: PaymentId,
    order: String,
    /// What is kept here; `None`: nothing.
    here: Option<&'static str>,
    refunded_here: i64,
    /// A refund that is kept here as done.
    refund_done: i64,
    /// What the provider took, in centavos; one for each time.
    there: Vec<i64>,
    is_approved: bool,
    refunded_there: i64,
    /// Whether the provider knows the number that is kept here.
    is_known: bool,
    is_reported: bool,
    is_reported_paid: bool,
}

const AMOUNT: i64 = 10_000;

impl Seed {
    /// Paid on both sides, and reported.
    fn paid(order: usize) -> Self {
        Self {
            id: PaymentId::from_uuid(RandomIds.uuid(chrono::DateTime::from_timestamp(0, 0).unwrap())),
            order: format!("O-{order}"),
            here: Some("paid"),
            refunded_here: 0,
            refund_done: 0,
            there: vec![AMOUNT],
            is_approved: true,
            refunded_there: 0,
            is_known: true,
            is_reported: true,
            is_reported_paid: false,
        }
    }
}

/// A thousand payments: fifty of them differ, ten of each kind.
fn seeds() -> Vec<Seed> {
    (0..1_000)
        .map(|n| {
            let ok = Seed::paid(n);
            let half = n % 2 == 0;
            match n {
                // Money without an order: not reported, or not known here at all.
                0..10 if half => Seed { is_reported: false, ..ok },
                0..10 => Seed { here: None, ..ok },
                // Orders without money.
                10..14 => Seed { here: Some("pending"), is_approved: false, is_reported_paid: true, ..ok },
                14..17 => Seed { here: None, there: vec![], is_reported_paid: true, ..ok },
                17..20 => Seed { is_known: false, there: vec![], ..ok },
                // Another amount.
                20..30 => Seed { here: Some("pending"), there: vec![AMOUNT - 1], ..ok },
                // Twice: two attempts of one payment, or two payments of one order.
                30..35 => Seed { there: vec![AMOUNT, AMOUNT], ..ok },
                35..45 => Seed { order: format!("TWICE-{}", (n - 35) / 2), ..ok },
                // Other sums given back.
                45..50 => Seed { refunded_there: 2_500, ..ok },
                50..55 => Seed { refunded_here: 2_500, refund_done: 2_500, ..ok },
                // From here on all is well. A notice was lost: it is taken in, and is no case.
                55..95 => Seed { here: Some("pending"), ..ok },
                // Refunds that both know of.
                95..150 => Seed { refunded_here: 2_500, refunded_there: 2_500, refund_done: 2_500, ..ok },
                // Nobody has paid yet.
                150..180 => Seed { here: Some("pending"), is_approved: false, ..ok },
                // Reported as paid, and paid.
                180..300 => Seed { is_reported_paid: true, ..ok },
                _ => ok,
            }
        })
        .collect()
}

impl World {
    /// A payment at the provider. Gives its number.
    async fn take_money(&self, reference: &str, minor: i64, seed: &Seed) -> i64 {
        let url = format!("{}/v1/payments", self.simulator.url());
        let amount = json!({"transaction_amount": f64::from(i32::try_from(minor).unwrap()) / 100.0, "payment_method_id": "rapipago",
            "external_reference": reference,
            "payer": {"email": "ana@example.com", "identification": {"type": "DNI", "number": "12345678"}}});
        let call = self.test.app.outbound.operator().post(url).bearer_auth(&self.seller.access_token);
        let key = RandomIds.uuid(self.test.now()).to_string();
        let made: Value =
            call.header("x-idempotency-key", key).json(&amount).send().await.unwrap().json().await.unwrap();
        let id = made["id"].as_i64().unwrap_or_else(|| panic!("{made}"));
        if seed.is_approved {
            self.control(&format!("/payments/{id}/approve"), json!({})).await;
        }
        if seed.refunded_there > 0 {
            let amount = json!({"amount": f64::from(i32::try_from(seed.refunded_there).unwrap()) / 100.0});
            self.control(&format!("/payments/{id}/refund"), amount).await;
        }
        id
    }

    async fn plant(&self, pool: &PgPool, seed: &Seed) {
        let mut external = None;
        for minor in &seed.there {
            let id = self.take_money(&seed.id.to_string(), *minor, seed).await;
            external = external.or(Some(id));
        }
        let Some(status) = seed.here else { return };
        let known = if seed.is_known { external } else { Some(99_999_999_999) };
        let now = self.test.now();
        let project = ProjectId::parse(&self.project).unwrap().uuid();
        let is_paid = status == "paid";
        sqlx::query(
            "insert into payment_transactions (project_id, id, provider, method, order_id, amount_minor, order_amount_minor,
                 amount_refunded_minor, currency, request, metadata, status, detail, external_id, provider_key, run_at, attempts,
                 fingerprint, created_at, updated_at, paid_at)
             values ($1, $2, 'mercadopago', 'ticket', $3, $4, $4, $5, 'ARS', $6, '{}', $7, $8, $9, 'k', $10, 0, '', $10, $10, $11)",
        )
        .bind(project)
        .bind(seed.id.uuid())
        .bind(&seed.order)
        .bind(AMOUNT)
        .bind(seed.refunded_here)
        .bind(json!({"description": "x", "payer": {"email": "ana@example.com"}}))
        .bind(status)
        .bind((seed.refunded_here > 0).then_some("partially_refunded"))
        .bind(known.map(|id| id.to_string()))
        .bind(now)
        .bind(is_paid.then_some(now))
        .execute(pool)
        .await
        .unwrap();
        if seed.refund_done > 0 {
            sqlx::query(
                "insert into payment_refunds (project_id, id, payment_id, amount_minor, status, provider_key, attempts, fingerprint,
                     created_at, updated_at)
                 values ($1, $2, $3, $4, 'done', 'k', 0, '', $5, $5)",
            )
            .bind(project)
            .bind(RandomIds.uuid(now))
            .bind(seed.id.uuid())
            .bind(seed.refund_done)
            .bind(now)
            .execute(pool)
            .await
            .unwrap();
        }
    }

    /// What the shop reports of its orders.
    async fn report_orders(&self, seeds: &[Seed]) {
        let limits =
            json!({"events_per_day": 100_000, "requests_per_minute": 100_000, "payments_per_day": 100_000});
        let path = format!("/admin/v1/projects/{}/limits", self.project);
        assert!(self.test.admin("PUT", &path, limits).await.status.is_success());
        let operation = |kind: &str, seed: &Seed| {
            json!({"kind": "event", "id": format!("evt_{}", RandomIds.uuid(self.test.now()).as_simple()),
                "accepted_at": trastienda_protocol::time::format(self.test.now()),
                "body": {"type": kind, "data": {"order_id": seed.order}}})
        };
        let created =
            seeds.iter().filter(|seed| seed.is_reported).map(|seed| operation("order.created", seed));
        let paid =
            seeds.iter().filter(|seed| seed.is_reported_paid).map(|seed| operation("order.paid", seed));
        let operations: Vec<Value> = created.chain(paid).collect();
        for chunk in operations.chunks(500) {
            let answer = self.test.post(&self.key, "/v1/batch", json!({"operations": chunk})).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let all = answer.body["results"].as_array().unwrap();
            assert!(all.iter().all(|result| result["status"] == 202), "{answer:?}");
        }
    }
}

fn by_kind(cases: &[Value]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for case in cases {
        *kinds.entry(case["kind"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    kinds
}

#[sqlx::test(migrations = "../migrations")]
async fn of_a_thousand_payments_the_fifty_that_differ_are_found_and_no_other(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let seeds = seeds();
    world.report_orders(&seeds).await;
    stream::iter(&seeds).for_each_concurrent(8, |seed| world.plant(&pool, seed)).await;
    // Other programs take money on the same account.
    for n in 0..20 {
        world.take_money(&format!("kiosco-{n}"), AMOUNT, &Seed::paid(n)).await;
    }
    // One of them is another project's of this hub.
    let other = Seed::paid(5_000);
    let (stranger, key) = world.test.project().await;
    let headers = [("x-api-key", key.as_str())];
    let same =
        json!({"access_token": world.seller.access_token, "webhook_secret": world.seller.webhook_secret});
    let path = "/v1/payment-providers/mercadopago";
    assert_eq!(world.test.send("PUT", path, &headers, same.to_string()).await.status, 204);
    world.plant(&pool, &other).await;
    sqlx::query("update payment_transactions set project_id = $1 where id = $2")
        .bind(ProjectId::parse(&stranger).unwrap().uuid())
        .bind(other.id.uuid())
        .execute(&pool)
        .await
        .unwrap();

    let project = ProjectId::parse(&world.project).unwrap();
    let since = world.test.now() - TimeDelta::hours(2);
    let report = reconcile::run(&world.test.app, project, since).await.unwrap();
    let cases = world.cases("").await;
    let expected: BTreeMap<String, usize> =
        ["amount_mismatch", "duplicate", "order_without_payment", "paid_without_order", "refund_mismatch"]
            .map(|kind| (kind.to_owned(), 10))
            .into();
    assert_eq!(by_kind(&cases), expected, "{report:?}");
    assert_eq!((report.raised_total(), report.ignored), (50, 21), "{report:?}");
    // What was only missed is taken in.
    let count = |status: &'static str| {
        let pool = pool.clone();
        async move {
            let query = "select count(*) from payment_transactions where project_id = $1 and status = $2";
            sqlx::query_scalar::<_, i64>(query)
                .bind(project.uuid())
                .bind(status)
                .fetch_one(&pool)
                .await
                .unwrap()
        }
    };
    assert_eq!(count("pending").await, 4 + 10 + 30);
    assert_eq!(world.events("payment.paid").await.len(), 40);
    // Looked at again, nothing is new; a closed case stays closed.
    let path = format!("/v1/payment-cases/{}/close", cases[0]["id"].as_str().unwrap());
    assert_eq!(world.test.post(&world.key, &path, json!({"note": "visto"})).await.status, 200);
    let again = reconcile::run(&world.test.app, project, since).await.unwrap();
    assert_eq!((again.raised_total(), again.caught_up), (0, 0), "{again:?}");
    assert_eq!(world.cases("&status=open").await.len(), 49);
    // What comes late ends its case by itself.
    let late = &seeds[0];
    let event = json!({"type": "order.created", "data": {"order_id": late.order}});
    assert_eq!(world.test.post(&world.key, "/v1/events", event).await.status, 202);
    let pending = &seeds[10];
    let external: String = sqlx::query_scalar("select external_id from payment_transactions where id = $1")
        .bind(pending.id.uuid())
        .fetch_one(&pool)
        .await
        .unwrap();
    world.control(&format!("/payments/{external}/approve"), json!({})).await;
    reconcile::run(&world.test.app, project, since).await.unwrap();
    assert!(world.cases(&format!("&status=open&order_id={}", late.order)).await.is_empty());
    assert!(world.cases(&format!("&status=open&order_id={}", pending.order)).await.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn once_a_day_whoever_is_first_compares_and_catches_up(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let second = world.another_hub().await;
    // Made by the second hub, told to the first: they are known by one address.
    let headers = [("x-api-key", world.key.as_str()), ("idempotency-key", "k"), ("prefer", "wait=10")];
    let body = World::checkout("A-1", json!({})).to_string();
    let payment = second.send("POST", "/v1/payments", &headers, body).await.body;
    let bought = world.buy(&payment, json!({})).await;
    world.until_status(&payment, "paid").await;
    // Given back at the provider's panel, and its notice never came.
    world.simulator.clock().advance(std::time::Duration::from_mins(1));
    world.fault(json!({"kind": "drop_notice", "rate": 1.0})).await;
    world.control(&format!("/payments/{}/refund", bought["id"]), json!({"amount": 500})).await;
    let rows = "select count(*) from payment_reconciliations";
    world
        .test
        .until("the account's books have a row", async || {
            (sqlx::query_scalar::<_, i64>(rows).fetch_one(&pool).await.unwrap() == 1).then_some(())
        })
        .await;
    for clock in [&world.test.clock, &second.clock] {
        clock.advance(TimeDelta::hours(25));
    }
    let finished =
        "select count(*) from payment_reconciliations where finished_at is not null and failure is null";
    world
        .test
        .until("the books are compared", async || {
            (sqlx::query_scalar::<_, i64>(finished).fetch_one(&pool).await.unwrap() == 1).then_some(())
        })
        .await;
    let shown = world.payment(&payment).await;
    assert_eq!(
        (&shown["detail"], &shown["amount_refunded"]),
        (&json!("partially_refunded"), &json!("500.00"))
    );
    let cases = world.cases("&kind=refund_mismatch").await;
    assert_eq!(
        (cases.len(), &cases[0]["expected"], &cases[0]["actual"]),
        (1, &json!("0.00"), &json!("500.00"))
    );
    // One hub compared, and both had the time to: a day and six hours are two windows.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let metrics = world.test.app.metrics.render();
    let calls: Vec<&str> = metrics
        .lines()
        .filter(|line| line.contains("trastienda_provider_calls_total") && line.contains("call=\"books\""))
        .collect();
    assert!(matches!(calls.as_slice(), [one] if one.ends_with(" 2")), "{calls:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_that_is_away_is_asked_again_a_little_later(pool: PgPool) {
    let world = World::new(pool).await;
    world
        .fault(json!({"kind": "server_error", "next": 3, "method": "GET", "path": "/v1/payments/search"}))
        .await;
    let project = ProjectId::parse(&world.project).unwrap();
    let since = world.test.now() - TimeDelta::hours(2);
    reconcile::run(&world.test.app, project, since).await.unwrap();
    world.fault(json!({"kind": "server_error", "rate": 1.0})).await;
    assert!(reconcile::run(&world.test.app, project, since).await.is_err());
}
