//! The provider's door.

use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_mercadopago_sim::{manifest, sign};

use super::world::World;
use crate::support::Answer;

impl World {
    async fn knock(&self, query: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let path = format!("/webhooks/mercadopago/{}?{query}", self.project);
        self.test.send("POST", &path, headers, body.to_owned()).await
    }

    async fn knock_signed(&self, data_id: &str, secret: &str, ts: i64) -> Answer {
        let ts = ts.to_string();
        let v1 = sign(secret, &manifest(Some(data_id), Some("req-1"), &ts));
        let signature = format!("ts={ts},v1={v1}");
        let headers = [("x-signature", signature.as_str()), ("x-request-id", "req-1")];
        self.knock(&format!("data.id={data_id}&type=payment"), &headers, "{}").await
    }

    async fn notices(&self, pool: &PgPool) -> i64 {
        sqlx::query_scalar("select count(*) from payment_notices").fetch_one(pool).await.unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_forged_notice_is_refused_and_the_true_one_taken(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let payment = world.waiting("A-1").await;
    world.fault(json!({"kind": "forge_notice"})).await;
    let bought = world.buy(&payment, json!({})).await;
    world.until_status(&payment, "paid").await;
    let statuses = world
        .test
        .until("both were answered", async || {
            let sent = world.provider(&format!("/control/notices?data_id={}", bought["id"])).await;
            let sent: Vec<Value> =
                sent["notices"].as_array().unwrap().iter().map(|notice| notice["status"].clone()).collect();
            (sent.len() >= 2).then_some(sent)
        })
        .await;
    assert!(statuses.contains(&json!(401)) && statuses.contains(&json!(200)), "{statuses:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn only_what_is_signed_lately_by_the_projects_secret_is_believed(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let secret = world.seller.webhook_secret.clone();
    let now = world.test.now();
    for (data_id, secret, ts, status) in [
        ("1", secret.as_str(), now.timestamp(), 200),
        ("1", secret.as_str(), now.timestamp_millis(), 200),
        ("1", "another secret", now.timestamp(), 401),
        ("1", secret.as_str(), now.timestamp() - 601, 401),
        // The panel's test is answered, and no payment is asked about.
        ("123456", secret.as_str(), now.timestamp(), 200),
        ("123456", "another secret", now.timestamp(), 401),
    ] {
        let answer = world.knock_signed(data_id, secret, ts).await;
        assert_eq!(answer.status, status, "{data_id} {ts} {answer:?}");
    }
    let torn = world.knock("data.id=1&type=payment", &[("x-signature", "ts=1")], "{}").await;
    assert_eq!((torn.status.as_u16(), torn.code()), (401, "unauthorized"));
    // One sample a second is kept, the last twenty in all.
    let samples = async || {
        let shown = world.test.get(&world.key, "/v1/payment-providers").await.body;
        shown["data"][0]["refused_notices"].as_array().unwrap().clone()
    };
    let first = samples().await;
    assert_eq!(
        (first.len(), &first[0]["reason"], &first[0]["resource_id"]),
        (1, &json!("mismatch"), &json!("1"))
    );
    for _ in 0..25 {
        world.test.clock.advance(chrono::TimeDelta::milliseconds(1_001));
        world.knock("data.id=1&type=payment", &[("x-signature", "ts=1")], "{}").await;
    }
    let last = samples().await;
    assert_eq!((last.len(), &last[0]["reason"]), (20, &json!("malformed")));
    // What it was about, and nothing else: no header, body or address of whoever sent it.
    let mut kept: Vec<&str> = last[0].as_object().unwrap().keys().map(String::as_str).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["at", "reason", "resource_id", "topic"]);
    let metrics = world.test.app.metrics.render();
    for (reason, count) in [("mismatch", 2), ("stale", 1), ("malformed", 26)] {
        let line = format!("trastienda_payment_notices_refused_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.lines().any(|have| have == line), "{line} is not in {metrics}");
    }
    assert_eq!(world.notices(&pool).await, 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unsigned_hint_is_looked_into_and_limited(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let payment = world.waiting("A-1").await;
    world.fault(json!({"kind": "drop_notice"})).await;
    let bought = world.buy(&payment, json!({})).await;
    let hint = world
        .knock(&format!("id={}&topic=payment", bought["id"]), &[("x-signature", "ts=1,v1=00")], "")
        .await;
    assert_eq!(hint.status, 200);
    world.until_status(&payment, "paid").await;
    assert_eq!(world.knock("id=7&topic=merchant_order", &[], "{}").await.status, 200);
    assert_eq!(world.notices(&pool).await, 1);
    let mut statuses = Vec::new();
    for id in 1..=60 {
        statuses.push(world.knock(&format!("id={id}&topic=payment"), &[], "{}").await.status.as_u16());
    }
    assert_eq!((statuses[58], statuses[59]), (200, 429));
}

#[sqlx::test(migrations = "../migrations")]
async fn strangers_and_nonsense_are_turned_away(pool: PgPool) {
    let world = World::new(pool).await;
    let (other, _) = world.test.project().await;
    for project in ["prj_0192f0c1d2e37a4b8c5d6e7f8091a2b3", "prj_x", other.as_str()] {
        let path = format!("/webhooks/mercadopago/{project}?id=1&topic=payment");
        assert_eq!(world.test.send("POST", &path, &[], "{}").await.status, 404, "{project}");
    }
    // Whoever says nothing by itself has no address, as nobody has whom the hub does not know.
    for provider in ["manual", "stripe", "Mercadopago"] {
        let path = format!("/webhooks/{provider}/{}?id=1&topic=payment", world.project);
        assert_eq!(world.test.send("POST", &path, &[], "{}").await.status, 404, "{provider}");
    }
    assert_eq!(world.knock("", &[], "nonsense").await.status, 422);
    assert_eq!(world.knock("id=1&topic=payment", &[], &"x".repeat(32 * 1024 + 1)).await.status, 413);
    let off = json!({"is_active": false});
    world.test.admin("PATCH", &format!("/admin/v1/projects/{}", world.project), off).await;
    assert_eq!(world.knock("id=1&topic=payment", &[], "{}").await.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn payments_of_other_programs_are_ignored(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let url = format!("{}/v1/payments", world.simulator.url());
    let body = json!({"transaction_amount": 1000, "payment_method_id": "rapipago", "external_reference": "ord-1",
        "payer": {"email": "a@example.com", "identification": {"type": "DNI", "number": "12345678"}}});
    let client = world.test.app.outbound.operator();
    let call = client.post(url).bearer_auth(&world.seller.access_token).header("x-idempotency-key", "k");
    let made: Value = call.json(&body).send().await.unwrap().json().await.unwrap();
    let now = world.test.now().timestamp();
    assert!(made["id"].is_u64(), "{made}");
    let id = made["id"].to_string();
    assert_eq!(world.knock_signed(&id, &world.seller.webhook_secret, now).await.status, 200);
    world
        .test
        .until("the notice is ignored", async || {
            let query = "select status from payment_notices where status = 'ignored'";
            sqlx::query_scalar::<_, String>(query).fetch_optional(&pool).await.unwrap()
        })
        .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn orders_are_believed_in_either_spelling_and_garbage_vouches_for_nothing(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let url = format!("http://{}/webhooks/mercadopago/{}", world.address, world.project);
    for (topic, data_id) in [
        ("order", "ORD01JQ4S4KY8HWQ6NA5PXB65B3D3"),
        ("order_lowered", "ORD01JQ4S4KY8HWQ6NA5PXB65B3D4"),
        ("hint", "71"),
        ("hint_with_garbage", "72"),
    ] {
        let wanted = json!({"user_id": world.seller.user_id, "url": url, "topic": topic, "data_id": data_id});
        world.control("/notices", wanted).await;
        world
            .test
            .until("it is answered", async || {
                let sent = world.provider(&format!("/control/notices?data_id={data_id}")).await;
                (sent["notices"][0]["status"] == 200).then_some(())
            })
            .await;
    }
    let query = "select resource_id, is_signed from payment_notices order by resource_id";
    let kept: Vec<(String, bool)> = sqlx::query_as(query).fetch_all(&pool).await.unwrap();
    let kept: Vec<(&str, bool)> = kept.iter().map(|(id, is_signed)| (id.as_str(), *is_signed)).collect();
    let orders = ["ORD01JQ4S4KY8HWQ6NA5PXB65B3D3", "ORD01JQ4S4KY8HWQ6NA5PXB65B3D4"];
    assert_eq!(kept, [("71", false), ("72", false), (orders[0], true), (orders[1], true)]);
}
