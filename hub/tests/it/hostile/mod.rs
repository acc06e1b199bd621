//! Receivers that behave as none should, against a hub whose time-outs are two seconds.

mod answers;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sqlx::PgPool;
use trastienda_hub::outbound::{Lookup, Manner};

use crate::support::TestApp;

/// How long the hub waits for any of them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Every name is this machine.
#[derive(Debug)]
struct Loopback;

impl Lookup for Loopback {
    fn lookup(&self, _: &str) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// A hub with little patience, and a project that may have many endpoints.
async fn impatient_hub(pool: PgPool, more_roots: Vec<Vec<u8>>) -> (TestApp, String) {
    let test = TestApp::with(pool, |config| {
        config.outbound_manner = Manner {
            connect_timeout: PATIENCE,
            total_timeout: PATIENCE,
            more_roots,
            lookup: Arc::new(Loopback),
        };
    })
    .await;
    let (_, key) = test.project_on("pro").await;
    (test, key)
}

/// An endpoint that gets events of one type only; gives the type.
async fn endpoint(test: &TestApp, key: &str, name: &str, url: &str, schedule: &[i32]) -> String {
    let event_type = format!("case.{name}");
    let body = json!({"url": url, "events": [event_type], "retry_schedule": schedule});
    let answer = test.post(key, "/v1/webhook-endpoints", body).await;
    assert_eq!(answer.status, 201, "{name}: {answer:?}");
    event_type
}

async fn send(test: &TestApp, key: &str, event_type: &str) {
    let answer = test.post(key, "/v1/events", json!({"type": event_type, "data": {}})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// The only delivery of a type, with its attempts, once it had so many.
async fn attempted(test: &TestApp, key: &str, event_type: &str, attempts: u64) -> Value {
    let what = format!("{attempts} attempts at {event_type}");
    test.until(&what, async || {
        let list = test.get(key, &format!("/v1/webhook-deliveries?event_type={event_type}")).await;
        let id = list.body["data"][0]["id"].as_str()?.to_owned();
        let delivery = test.get(key, &format!("/v1/webhook-deliveries/{id}")).await.body;
        (delivery["attempt_count"].as_u64() == Some(attempts)).then_some(delivery)
    })
    .await
}
