//! Checkout Pro: from the shop's call to `order.paid`.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_protocol::ids::PaymentId;

use super::world::World;
use crate::support::Receiver;

#[sqlx::test(migrations = "../migrations")]
async fn a_checkout_is_paid_and_brings_order_paid(pool: PgPool) {
    let world = World::new(pool).await;
    let receiver = Receiver::start().await;
    let endpoint = json!({"url": receiver.url(), "events": ["order.paid"]});
    assert_eq!(world.test.post(&world.key, "/v1/webhook-endpoints", endpoint).await.status, 201);
    let items = json!([{"title": "Yerba", "quantity": 2, "unit_price": "750.25"}]);
    let body = World::checkout("A-1", json!({"items": items, "metadata": {"cart": 7}}));
    let created = world.create("k1", body).await;
    assert_eq!(
        (created.status.as_u16(), created.body["status"].as_str()),
        (201, Some("pending")),
        "{created:?}"
    );
    let payment = created.body;
    assert!(payment["checkout_url"].as_str().unwrap().starts_with(&world.simulator.url()));
    let preference = payment["provider_reference"].as_str().unwrap();
    let made = world.provider(&format!("/checkout/preferences/{preference}")).await;
    assert_eq!(
        (&made["external_reference"], &made["items"][0]["unit_price"]),
        (&payment["id"], &json!(750.25))
    );
    assert_eq!(made["items"][0]["quantity"], 2);
    assert_eq!(
        made["notification_url"],
        format!("http://{}/webhooks/mercadopago/{}?source_news=webhooks", world.address, world.project)
    );
    let bought = world.buy(&payment, json!({})).await;
    let paid = world.until_status(&payment, "paid").await;
    assert_eq!(paid["external_id"], bought["id"].to_string());
    assert_eq!((&paid["amount"], &paid["amount_refunded"]), (&json!("1500.50"), &json!("0.00")));
    world.test.until("order.paid arrives", async || receiver.received().first().cloned()).await;
    let told = receiver.received()[0].json();
    assert_eq!((&told["type"], &told["data"]["order_id"]), (&json!("order.paid"), &json!("A-1")));
    assert_eq!((&told["data"]["payment_id"], &told["data"]["metadata"]["cart"]), (&payment["id"], &json!(7)));
    assert_eq!(world.events("payment.paid").await.len(), 1);
    let outcomes = World::told(&paid);
    assert_eq!(outcomes[0], "create: ok");
    assert!(outcomes[1].starts_with("signed notice about "), "{outcomes:?}");
    assert_eq!(outcomes.last().unwrap(), "payment.paid");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_address_that_the_provider_dislikes_does_not_lose_the_sale(pool: PgPool) {
    let world = World::new(pool).await;
    // Plain HTTP: dropped without a word, and then missed by the automatic return.
    let laptop = json!({"back_urls": {"success": "http://localhost:8000/ok"}});
    let answer = world.create("k1", World::checkout("A-1", laptop)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body["status"].as_str()),
        (201, Some("pending")),
        "{answer:?}"
    );
    assert!(answer.body["checkout_url"].is_string());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refused_attempt_leaves_the_checkout_pending(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    let refusal = json!({"status": "rejected", "status_detail": "cc_rejected_insufficient_amount"});
    world.buy(&payment, refusal).await;
    let tried = world
        .until(&payment, "the attempt is told", |payment| {
            World::told(payment).iter().any(|outcome| outcome.contains("is rejected (insufficient_amount)"))
        })
        .await;
    assert_eq!(
        (&tried["status"], &tried["detail"], &tried["external_id"]),
        (&json!("pending"), &Value::Null, &Value::Null)
    );
    world.buy(&payment, json!({})).await;
    world.until_status(&payment, "paid").await;
    assert!(world.events("payment.failed").await.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn the_same_key_or_id_is_the_same_payment(pool: PgPool) {
    let world = World::new(pool).await;
    let id: PaymentId = world.test.app.new_id();
    let body = World::checkout("A-1", json!({"id": id.to_string()}));
    let first = world.create("k1", body.clone()).await;
    assert_eq!(first.id(), id.to_string());
    for key in ["k1", "k2"] {
        let again = world.create(key, body.clone()).await;
        assert_eq!((again.status.as_u16(), again.id()), (201, id.to_string()), "{again:?}");
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.body["checkout_url"], first.body["checkout_url"]);
    }
    let without_id = world.create("k1", World::checkout("A-1", json!({}))).await;
    assert_eq!(without_id.id(), id.to_string());
    let other = world.create("k1", World::checkout("A-2", json!({}))).await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_key_reused"));
    let other = world.create("k3", World::checkout("A-2", json!({"id": id.to_string()}))).await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_key_reused"));
    assert_eq!(world.preferences(&first.body).await, 1);
    let bare = world.test.post(&world.key, "/v1/payments", World::checkout("A-3", json!({}))).await;
    assert_eq!((bare.status.as_u16(), bare.code()), (400, "idempotency_key_required"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_repeat_while_the_first_call_runs_is_told_so(pool: PgPool) {
    let world = World::new(pool).await;
    world.fault(json!({"kind": "latency", "ms": 1500, "method": "POST", "path": "/checkout"})).await;
    let body = World::checkout("A-1", json!({}));
    let first = world.create("k1", body.clone());
    let second = async {
        world
            .test
            .until("the first is taken", async || {
                let list = world.test.get(&world.key, "/v1/payments").await;
                list.body["data"].get(0).cloned()
            })
            .await;
        world.create("k1", body.clone()).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((second.status.as_u16(), second.code()), (409, "idempotency_key_in_progress"));
    assert_eq!(first.status, 201);
    assert_eq!(world.create("k1", body.clone()).await.id(), first.id());
}

#[sqlx::test(migrations = "../migrations")]
async fn who_does_not_wait_is_answered_at_once_and_the_hub_goes_on(pool: PgPool) {
    let world = World::new(pool).await;
    let answer = world.create_with("k1", "respond-async", World::checkout("A-1", json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.body["status"].as_str()), (202, Some("pending")));
    world.until(&answer.body, "the checkout is made", |payment| payment["checkout_url"].is_string()).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn order_paid_waits_for_the_whole_order(pool: PgPool) {
    let world = World::new(pool).await;
    let part = json!({"amount": "1000.00", "order_amount": "1500.00"});
    let one = world.create("k1", World::checkout("A-1", part)).await.body;
    world.buy(&one, json!({})).await;
    world.until_status(&one, "paid").await;
    assert!(world.events("order.paid").await.is_empty());
    let rest = json!({"amount": "500.00", "order_amount": "1500.00"});
    let two = world.create("k2", World::checkout("A-1", rest)).await.body;
    world.buy(&two, json!({})).await;
    world.until_status(&two, "paid").await;
    let told = world.events("order.paid").await;
    assert_eq!((told.len(), &told[0]["data"]["paid_amount"]), (1, &json!("1500.00")));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_cannot_be_charged_is_refused_with_every_reason(pool: PgPool) {
    let world = World::new(pool).await;
    let past = trastienda_protocol::time::format(world.test.now() - TimeDelta::minutes(1));
    let wrong = World::checkout("A-1", json!({"currency": "BRL", "expires_at": past}));
    assert_eq!(world.create("k1", wrong).await.pointers(), ["/expires_at", "/currency"]);
    let (_, other) = world.test.project().await;
    let headers = [("x-api-key", other.as_str()), ("idempotency-key", "k1")];
    let body = World::checkout("A-1", json!({})).to_string();
    let answer = world.test.send("POST", "/v1/payments", &headers, body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (422, "provider_not_configured"));
    // Nothing was written, so the key is free.
    assert_eq!(world.create("k1", World::checkout("A-1", json!({}))).await.status, 201);
    let payment = world.waiting("A-2").await;
    let path = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    assert_eq!(world.test.get(&other, &path).await.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_batch_takes_payments_without_waiting(pool: PgPool) {
    let world = World::new(pool).await;
    let (right, wrong): (PaymentId, PaymentId) = (world.test.app.new_id(), world.test.app.new_id());
    let operation = |id: PaymentId, body: Value| json!({"kind": "payment", "id": id.to_string(), "accepted_at": "2026-11-24T10:00:00Z", "body": body});
    let batch = json!({"operations": [
        operation(right, World::checkout("A-1", json!({}))),
        operation(wrong, World::checkout("A-2", json!({"amount": 15}))),
    ]});
    for _ in 0..2 {
        let answer = world.test.post(&world.key, "/v1/batch", batch.clone()).await;
        let results = &answer.body["results"];
        assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!(202), &json!(422)), "{answer:?}");
        assert_eq!(results[0]["body"]["id"], right.to_string());
        assert_eq!(results[1]["body"]["errors"][0]["pointer"], "/amount");
    }
    let payment = json!({"id": right.to_string()});
    world.until(&payment, "the checkout is made", |payment| payment["checkout_url"].is_string()).await;
    assert_eq!(world.preferences(&payment).await, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn payments_are_listed_and_filtered(pool: PgPool) {
    let world = World::new(pool).await;
    world.waiting("A-1").await;
    let paid = world.waiting("A-2").await;
    world.buy(&paid, json!({})).await;
    world.until_status(&paid, "paid").await;
    let ids = async |query: &str| {
        let list = world.test.get(&world.key, &format!("/v1/payments?{query}")).await;
        list.body["data"].as_array().unwrap().iter().map(|p| p["order_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("status=paid").await, ["A-2"]);
    assert_eq!(ids("order_id=A-1&provider=mercadopago").await, ["A-1"]);
    assert_eq!(ids("provider=manual").await, Vec::<Value>::new());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_checkout_is_given_up(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    let path = format!("/v1/payments/{}/cancel", payment["id"].as_str().unwrap());
    let cancelled = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!(
        (cancelled.status.as_u16(), cancelled.body["status"].as_str(), cancelled.body["detail"].as_str()),
        (200, Some("failed"), Some("cancelled")),
        "{cancelled:?}"
    );
    let preference = payment["provider_reference"].as_str().unwrap();
    assert_eq!(world.provider(&format!("/checkout/preferences/{preference}")).await["expires"], true);
    assert_eq!(world.events("payment.failed").await.len(), 1);
    assert_eq!(world.test.post(&world.key, &path, json!({})).await.status, 200);
    // Paid before it was given up: it stays paid.
    let paid = world.waiting("A-2").await;
    world.fault(json!({"kind": "drop_notice"})).await;
    world.buy(&paid, json!({})).await;
    let path = format!("/v1/payments/{}/cancel", paid["id"].as_str().unwrap());
    let answer = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!(answer.body["status"], "paid", "{answer:?}");
    let again = world.test.post(&world.key, &path, json!({})).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "payment_paid"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_ticket_that_was_made_on_the_page_goes_with_its_checkout(pool: PgPool) {
    let world = World::new(pool).await;
    let payment = world.waiting("A-1").await;
    let ticket = world.buy(&payment, json!({"method": "rapipago", "status": "pending"})).await;
    world.until(&payment, "the ticket is known", |payment| payment["external_id"].is_string()).await;
    world.simulator.clock().advance(std::time::Duration::from_secs(1));
    let path = format!("/v1/payments/{}/cancel", payment["id"].as_str().unwrap());
    let cancelled = world.test.post(&world.key, &path, json!({})).await.body;
    assert_eq!((&cancelled["status"], &cancelled["detail"]), (&json!("failed"), &json!("cancelled")));
    assert_eq!(world.provider(&format!("/v1/payments/{}", ticket["id"])).await["status"], "cancelled");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nothing_waits_before_is_called_for_without_a_claim(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    world.fault(json!({"kind": "latency", "ms": 60_000, "rate": 1.0, "method": "POST"})).await;
    let leases = async || {
        let query = "select lease_hub, attempts from payment_transactions order by created_at, id";
        sqlx::query_as::<_, (Option<i32>, i32)>(query).fetch_all(&pool).await.unwrap()
    };
    // The row is leased in the transaction that makes it: there is no moment at which anybody could claim it.
    for order in 0..32 {
        let body = World::checkout(&format!("A-{order}"), json!({}));
        assert_eq!(world.create_with(&format!("k{order}"), "respond-async", body).await.status, 202);
        let own = (world.test.app.member.number(), 1);
        assert_eq!(leases().await, vec![own; order + 1]);
    }
    // The account's lane is full: the next one waits its turn, untried.
    let body = World::checkout("A-32", json!({}));
    assert_eq!(world.create_with("k32", "respond-async", body).await.status, 202);
    assert_eq!(leases().await.iter().filter(|lease| **lease == (None, 0)).count(), 1);
}
