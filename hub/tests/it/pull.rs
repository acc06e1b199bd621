//! Deliveries that agents pull: leased, reported, given back; everything else as for pushed ones.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use trastienda_protocol::webhook::{Headers, Secret, verify};

use crate::support::{Answer, TestApp};

const URL: &str = "agent:///webhooks/trastienda";

fn poll_body(agent: &str, wait: u32, max: u32) -> Value {
    let status = json!({"hub": "up", "buffered": 0, "oldest_seconds": 0, "dead_letters": 0, "disk_bytes": 0, "version": "1"});
    json!({"agent_id": agent, "wait": wait, "max": max, "status": status})
}

async fn poll(test: &TestApp, key: &str, agent: &str, max: u32) -> Vec<Value> {
    let answer = test.post(key, "/v1/agent/poll", poll_body(agent, 10, max)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["deliveries"].as_array().unwrap().clone()
}

/// Polls in the background: dropped, its caller is gone.
fn poll_beside(test: &TestApp, key: &str, agent: &str, max: u32) -> JoinHandle<Value> {
    let request = axum::http::Request::post("/v1/agent/poll")
        .header("x-api-key", key)
        .body(axum::body::Body::from(poll_body(agent, 30, max).to_string()))
        .unwrap();
    let router = test.router();
    tokio::spawn(async move {
        use http_body_util::BodyExt as _;
        let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let mut body: Value = serde_json::from_slice(&bytes).unwrap();
        body["http"] = status.into();
        body
    })
}

async fn report(test: &TestApp, key: &str, agent: &str, result: Value) -> String {
    let body = json!({"agent_id": agent, "results": [result]});
    let answer = test.post(key, "/v1/agent/results", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["results"][0].as_str().unwrap().to_owned()
}

fn answered(delivery: &Value, code: u16) -> Value {
    json!({"lease": delivery["lease"], "duration_ms": 12, "response_code": code, "response": "thanks"})
}

async fn endpoint(test: &TestApp, key: &str, more: Value) -> (String, String) {
    let mut body = json!({"url": URL, "events": ["*"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = test.post(key, "/v1/webhook-endpoints", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    (answer.id(), answer.body["secret"].as_str().unwrap().to_owned())
}

async fn event(test: &TestApp, key: &str, number: usize) -> String {
    test.post(key, "/v1/events", json!({"type": "stock.counted", "data": {"number": number}})).await.id()
}

fn id_of(delivery: &Value) -> &str {
    delivery["headers"]["webhook-id"].as_str().unwrap()
}

async fn until_waits(test: &TestApp, project: &str, polls: usize) {
    // Who waits is only to be seen from inside.
    let project = uuid::Uuid::try_parse(project.trim_start_matches("prj_")).unwrap();
    test.until("the polls wait", async || (test.app.pull.exchange.polls_of(project) == polls).then_some(()))
        .await;
}

async fn short(pool: PgPool) -> TestApp {
    TestApp::with(pool, |config| {
        config.pull_manner.lease = Duration::from_millis(400);
        config.pull_manner.absence = Duration::from_millis(200);
    })
    .await
}

#[sqlx::test(migrations = "../migrations")]
async fn a_delivery_is_pulled_signed_and_its_result_is_logged(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let (_, secret) = endpoint(&test, &key, json!({"headers": {"X-Shop": "b"}})).await;
    let sent = event(&test, &key, 1).await;
    let deliveries = poll(&test, &key, "a", 10).await;
    let delivery = &deliveries[0];
    assert_eq!((deliveries.len(), &delivery["path"]), (1, &json!("/webhooks/trastienda")));
    assert_eq!((id_of(delivery), &delivery["headers"]["x-shop"]), (sent.as_str(), &json!("b")));
    let header = |name: &str| delivery["headers"][name].as_str();
    let headers = Headers {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let body = delivery["body"].as_str().unwrap().as_bytes();
    verify(headers, body, &[Secret::parse(&secret).unwrap()], test.now(), TimeDelta::minutes(5)).unwrap();

    let mut result = answered(delivery, 200);
    result["headers"] = json!({"x-request-id": "req-7"});
    result["response"] = "ñ".repeat(2_000).into();
    assert_eq!(report(&test, &key, "a", result).await, "taken");
    let shown = test.delivery(&key, "sent").await;
    assert_eq!((&shown["attempt_count"], &shown["last_response_code"]), (&json!(1), &json!(200)));
    let detail =
        test.get(&key, &format!("/v1/webhook-deliveries/{}", delivery["id"].as_str().unwrap())).await;
    let attempt = &detail.body["attempts"][0];
    assert_eq!((&attempt["duration_ms"], &attempt["request_id"]), (&json!(12), &json!("req-7")));
    assert_eq!(attempt["response"], json!("ñ".repeat(512)), "the first 1 KiB is kept");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_poll_that_waits_is_answered_as_soon_as_something_comes(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    endpoint(&test, &key, json!({})).await;
    let waiting = poll_beside(&test, &key, "a", 5);
    until_waits(&test, &project, 1).await;
    let sent = event(&test, &key, 1).await;
    let answer = waiting.await.unwrap();
    assert_eq!(id_of(&answer["deliveries"][0]), sent);
    // And one that waits in vain is answered too.
    let empty = test.post(&key, "/v1/agent/poll", poll_body("a", 0, 5)).await;
    assert_eq!(empty.body, json!({"deliveries": []}));
}

#[sqlx::test(migrations = "../migrations")]
async fn hostile_addresses_are_refused_when_the_endpoint_is_made_or_changed(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let (id, _) = endpoint(&test, &key, json!({})).await;
    for url in [
        "agent://host/x",
        "agent:/x",
        "agent:x",
        "AGENT:///x",
        "agent:////x",
        "agent:///a//b",
        "agent:///../etc",
        "agent:///a/../b",
        "agent:///%2e%2e/x",
        "agent:///a%2fb",
        "agent:///%252e",
        "agent:///a\\b",
        "agent:///a?b",
        "agent:///a#b",
        "agent:///a\u{1}b",
        "agent://user@/x",
        "agent:///a b",
    ] {
        let body = json!({"url": url, "events": ["*"]});
        let refused = test.post(&key, "/v1/webhook-endpoints", body).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (422, vec!["/url"]), "{url}: {refused:?}");
        let path = format!("/v1/webhook-endpoints/{id}");
        let body = json!({"url": url}).to_string();
        let refused = test.send("PATCH", &path, &[("x-api-key", &key)], body).await;
        assert_eq!(refused.status, 422, "{url}");
    }
    let shown = test.get(&key, &format!("/v1/webhook-endpoints/{id}")).await;
    assert_eq!(shown.body["url"], URL);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_sees_only_its_own(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let (other, other_key) = test.project().await;
    endpoint(&test, &key, json!({})).await;
    endpoint(&test, &other_key, json!({})).await;
    // Both agents call themselves the same.
    let waiting = poll_beside(&test, &other_key, "a", 10);
    until_waits(&test, &other, 1).await;
    let sent = event(&test, &key, 1).await;
    let delivery = poll(&test, &key, "a", 10).await.remove(0);
    assert_eq!(id_of(&delivery), sent);
    assert_eq!(report(&test, &other_key, "a", answered(&delivery, 200)).await, "late");
    let of_other = event(&test, &other_key, 2).await;
    let answer = waiting.await.unwrap();
    let deliveries = answer["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.iter().map(id_of).collect::<Vec<_>>(), [of_other.as_str()]);
    assert_eq!(test.get(&key, "/v1/webhook-deliveries?status=sent").await.body["data"], json!([]));
}

#[sqlx::test(migrations = "../migrations")]
async fn two_agents_share_the_work(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    endpoint(&test, &key, json!({"max_in_flight": 100})).await;
    let waiting = [poll_beside(&test, &key, "a", 20), poll_beside(&test, &key, "b", 20)];
    until_waits(&test, &project, 2).await;
    let events: Vec<Value> =
        (0..20).map(|n| json!({"kind": "event", "id": trastienda_protocol::ids::new::<trastienda_protocol::ids::EventId>(&trastienda_protocol::ids::RandomIds, &test.clock).to_string(), "accepted_at": "2026-11-24T00:00:00Z", "body": {"type": "stock.counted", "data": {"n": n}}})).collect();
    let answer = test.post(&key, "/v1/batch", json!({"operations": events})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut counts = Vec::new();
    for poll in waiting {
        counts.push(poll.await.unwrap()["deliveries"].as_array().unwrap().len());
    }
    assert!(counts.iter().all(|count| *count > 0), "one did nothing: {counts:?}");
    let mut rest = 20 - counts.iter().sum::<usize>();
    while rest > 0 {
        rest -= poll(&test, &key, "a", 20).await.len();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_an_ordered_endpoint_gets_stays_in_order_with_two_agents(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project_on("pro").await;
    endpoint(&test, &key, json!({"ordered": true, "retry_schedule": [1]})).await;
    let mut sent = Vec::new();
    for number in 0..6 {
        sent.push(event(&test, &key, number).await);
    }
    let mut came = Vec::new();
    for round in 0..6 {
        let agent = if round % 2 == 0 { "a" } else { "b" };
        let deliveries = poll(&test, &key, agent, 10).await;
        assert_eq!(deliveries.len(), 1, "more than one at once");
        if round == 2 {
            // A failure holds the rest, which other agents do not get either.
            report(&test, &key, agent, answered(&deliveries[0], 500)).await;
            let none = test.post(&key, "/v1/agent/poll", poll_body("c", 1, 10)).await;
            assert_eq!(none.body, json!({"deliveries": []}));
            test.clock.advance(TimeDelta::seconds(2));
            let again = poll(&test, &key, agent, 10).await;
            assert_eq!(id_of(&again[0]), id_of(&deliveries[0]));
            report(&test, &key, agent, answered(&again[0], 200)).await;
        } else {
            report(&test, &key, agent, answered(&deliveries[0], 200)).await;
        }
        came.push(id_of(&deliveries[0]).to_owned());
    }
    assert_eq!(came, sent);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lease_ends_and_its_late_result_changes_nothing(pool: PgPool) {
    let test = short(pool).await;
    let (_, key) = test.project().await;
    endpoint(&test, &key, json!({})).await;
    event(&test, &key, 1).await;
    let first = poll(&test, &key, "dead", 1).await.remove(0);
    let second = poll(&test, &key, "alive", 1).await.remove(0);
    assert_eq!(id_of(&first), id_of(&second));
    assert_eq!(report(&test, &key, "dead", answered(&first, 500)).await, "late");
    let pending = test.delivery(&key, "pending").await;
    assert_eq!(pending["attempt_count"], 0, "a lost lease spent an attempt");
    assert_eq!(report(&test, &key, "alive", answered(&second, 200)).await, "taken");
    assert_eq!(test.delivery(&key, "sent").await["attempt_count"], 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_agent_whose_connection_breaks_loses_its_leases_at_once(pool: PgPool) {
    let test = TestApp::with(pool, |config| config.pull_manner.absence = Duration::from_millis(100)).await;
    let (project, key) = test.project().await;
    endpoint(&test, &key, json!({})).await;
    event(&test, &key, 1).await;
    let first = poll(&test, &key, "dead", 1).await.remove(0);
    let next = poll_beside(&test, &key, "dead", 1);
    until_waits(&test, &project, 1).await;
    let died = Instant::now();
    next.abort();
    let second = poll(&test, &key, "alive", 1).await.remove(0);
    assert!(died.elapsed() < Duration::from_secs(8), "{:?}, and the lease is 30 s long", died.elapsed());
    assert_eq!(id_of(&first), id_of(&second));
    assert_eq!(report(&test, &key, "dead", answered(&first, 200)).await, "late");
    assert_eq!(report(&test, &key, "alive", answered(&second, 200)).await, "taken");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_an_agent_gives_back_goes_to_another_and_spends_no_attempt(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    endpoint(&test, &key, json!({})).await;
    event(&test, &key, 1).await;
    let first = poll(&test, &key, "stopping", 1).await.remove(0);
    let given_back = json!({"lease": first["lease"], "returned": true});
    assert_eq!(report(&test, &key, "stopping", given_back).await, "taken");
    let second = poll(&test, &key, "other", 1).await.remove(0);
    report(&test, &key, "other", answered(&second, 204)).await;
    assert_eq!(test.delivery(&key, "sent").await["attempt_count"], 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_failure_is_tried_again_by_the_schedule_and_a_replay_carries_its_mark(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    endpoint(&test, &key, json!({"retry_schedule": [60, 60]})).await;
    event(&test, &key, 1).await;
    let first = poll(&test, &key, "a", 1).await.remove(0);
    let timeout = json!({"lease": first["lease"], "duration_ms": 15_000, "error_class": "timeout", "error": "no answer in 15 s"});
    report(&test, &key, "a", timeout).await;
    let attempts = |count: u64| {
        let (test, key) = (&test, &key);
        async move {
            test.until("the attempt is written", async || {
                let list = test.get(key, "/v1/webhook-deliveries").await;
                list.body["data"].get(0).filter(|it| it["attempt_count"] == count).cloned()
            })
            .await
        }
    };
    let pending = attempts(1).await;
    assert_eq!(
        (&pending["status"], &pending["last_error"]),
        (&json!("pending"), &json!("no answer in 15 s"))
    );
    let none = test.post(&key, "/v1/agent/poll", poll_body("a", 0, 1)).await;
    assert_eq!(none.body, json!({"deliveries": []}));
    // The delay counts from the end of the attempt, which took fifteen seconds.
    test.clock.advance(TimeDelta::seconds(90));
    let second = poll(&test, &key, "a", 1).await.remove(0);
    assert_eq!(id_of(&first), id_of(&second));
    let mut busy = answered(&second, 503);
    busy["headers"] = json!({"retry-after": "600"});
    report(&test, &key, "a", busy).await;
    attempts(2).await;
    test.clock.advance(TimeDelta::seconds(590));
    let none = test.post(&key, "/v1/agent/poll", poll_body("a", 2, 1)).await;
    assert_eq!(none.body, json!({"deliveries": []}), "Retry-After was not obeyed");
    test.clock.advance(TimeDelta::seconds(20));
    let third = poll(&test, &key, "a", 1).await.remove(0);
    report(&test, &key, "a", answered(&third, 500)).await;
    let failed = test.delivery(&key, "failed").await;
    let id = failed["id"].as_str().unwrap();
    let detail = test.get(&key, &format!("/v1/webhook-deliveries/{id}")).await;
    let classes: Vec<_> =
        detail.body["attempts"].as_array().unwrap().iter().map(|it| it["error_class"].clone()).collect();
    assert_eq!(classes, ["timeout", "http_status", "http_status"]);
    assert!(third["headers"].get("trastienda-replay").is_none());
    test.post(&key, &format!("/v1/webhook-deliveries/{id}/retry"), json!({})).await;
    let again = poll(&test, &key, "a", 1).await.remove(0);
    assert_eq!((&again["headers"]["trastienda-replay"], id_of(&again)), (&json!(id), id_of(&first)));
    report(&test, &key, "a", answered(&again, 200)).await;
    test.delivery(&key, "sent").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn ten_failures_open_the_circuit_and_one_probe_closes_it(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let (id, _) = endpoint(&test, &key, json!({"max_in_flight": 10, "retry_schedule": [1]})).await;
    for number in 0..14 {
        event(&test, &key, number).await;
    }
    let mut failed = 0;
    while failed < 10 {
        for delivery in poll(&test, &key, "a", 10 - failed).await {
            let broken = json!({"lease": delivery["lease"], "error_class": "connect", "error": "refused"});
            assert_eq!(report(&test, &key, "a", broken).await, "taken");
            failed += 1;
        }
    }
    let shown = async || test.get(&key, &format!("/v1/webhook-endpoints/{id}")).await.body;
    test.until("the circuit opens", async || (shown().await["circuit"] == "open").then_some(())).await;
    let waiting = poll_beside(&test, &key, "a", 10);
    until_waits(&test, &project, 1).await;
    let agents = test.admin("GET", &format!("/admin/v1/projects/{project}/agents"), json!({})).await;
    assert_eq!(agents.body["waiting"], 0, "what is held counts as waiting: {agents:?}");
    test.clock.advance(TimeDelta::seconds(6));
    let probe = waiting.await.unwrap();
    let deliveries = probe["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 1, "more than the probe went");
    let none = test.post(&key, "/v1/agent/poll", poll_body("b", 2, 10)).await;
    assert_eq!(none.body, json!({"deliveries": []}), "something went beside the probe");
    report(&test, &key, "a", answered(&deliveries[0], 200)).await;
    let mut rest = 13;
    while rest > 0 {
        for delivery in poll(&test, &key, "a", 10).await {
            report(&test, &key, "a", answered(&delivery, 200)).await;
            rest -= 1;
        }
    }
    test.until("all are sent", async || {
        let sent = test.get(&key, "/v1/webhook-deliveries?status=sent").await;
        (sent.body["data"].as_array().unwrap().len() == 14).then_some(())
    })
    .await;
    assert_eq!(shown().await["circuit"], "closed");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_application_that_is_gone_disables_the_endpoint(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let (id, _) = endpoint(&test, &key, json!({})).await;
    event(&test, &key, 1).await;
    let delivery = poll(&test, &key, "a", 1).await.remove(0);
    report(&test, &key, "a", answered(&delivery, 410)).await;
    test.until("it is disabled", async || {
        let shown = test.get(&key, &format!("/v1/webhook-endpoints/{id}")).await;
        (shown.body["enabled"] == false).then_some(())
    })
    .await;
    event(&test, &key, 2).await;
    let none = test.post(&key, "/v1/agent/poll", poll_body("a", 1, 1)).await;
    assert_eq!(none.body, json!({"deliveries": []}));
    test.post(&key, &format!("/v1/webhook-endpoints/{id}/enable"), json!({})).await;
    assert_eq!(poll(&test, &key, "a", 1).await.len(), 1, "what was held goes");
}

#[sqlx::test(migrations = "../migrations")]
async fn no_more_than_max_in_flight_are_out_at_once(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    endpoint(&test, &key, json!({"max_in_flight": 2})).await;
    for number in 0..5 {
        event(&test, &key, number).await;
    }
    let mut out = Vec::new();
    while out.len() < 2 {
        out.extend(poll(&test, &key, "a", 10).await);
    }
    let none = test.post(&key, "/v1/agent/poll", poll_body("b", 2, 10)).await;
    assert_eq!((out.len(), none.body), (2, json!({"deliveries": []})));
    report(&test, &key, "a", answered(&out[0], 200)).await;
    assert_eq!(poll(&test, &key, "b", 10).await.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_revoked_key_ends_its_poll_within_three_seconds(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let other_hub = TestApp::sharing(&test).await;
    let (project, key) = test.project().await;
    endpoint(&test, &key, json!({})).await;
    for hub in [&test, &other_hub] {
        let answer = test.admin("POST", &format!("/admin/v1/projects/{project}/rotate-key"), json!({})).await;
        let key = answer.body["api_key"].as_str().unwrap().to_owned();
        let waiting = poll_beside(hub, &key, "a", 1);
        until_waits(hub, &project, 1).await;
        let revoked = Instant::now();
        test.admin("POST", &format!("/admin/v1/projects/{project}/rotate-key"), json!({})).await;
        let answer = waiting.await.unwrap();
        assert_eq!(answer["http"], 401, "{answer}");
        assert!(revoked.elapsed() < Duration::from_secs(3), "{:?}", revoked.elapsed());
    }
    let answer = test.admin("POST", &format!("/admin/v1/projects/{project}/rotate-key"), json!({})).await;
    let key = answer.body["api_key"].as_str().unwrap().to_owned();
    let waiting = poll_beside(&test, &key, "a", 1);
    until_waits(&test, &project, 1).await;
    test.admin("PATCH", &format!("/admin/v1/projects/{project}"), json!({"is_active": false})).await;
    assert_eq!(waiting.await.unwrap()["http"], 403);
}

#[sqlx::test(migrations = "../migrations")]
async fn another_hubs_event_wakes_a_poll_and_another_hub_takes_its_result(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let second = TestApp::sharing(&test).await;
    let (project, key) = test.project().await;
    endpoint(&test, &key, json!({})).await;
    let waiting = poll_beside(&second, &key, "a", 1);
    until_waits(&second, &project, 1).await;
    let sent = event(&test, &key, 1).await;
    let answer = waiting.await.unwrap();
    let delivery = &answer["deliveries"][0];
    assert_eq!(id_of(delivery), sent);
    // A load balancer brings the result to the hub that does not hold the lease.
    assert_eq!(report(&test, &key, "a", answered(delivery, 200)).await, "passed_on");
    let shown = test.delivery(&key, "sent").await;
    assert_eq!(shown["attempt_count"], 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_operator_sees_who_pulls_since_when_and_how_far_behind(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let path = format!("/admin/v1/projects/{project}/agents");
    endpoint(&test, &key, json!({})).await;
    let silent = json!({"agent_id": "silent", "status": poll_body("", 0, 1)["status"]});
    assert_eq!(test.post(&key, "/v1/agent/heartbeat", silent).await.status, 204);
    let began = test.now();
    test.post(&key, "/v1/agent/poll", poll_body("puller", 0, 1)).await;
    for number in 0..3 {
        event(&test, &key, number).await;
    }
    test.clock.advance(TimeDelta::seconds(50));
    let shown: Answer = test
        .until("all three wait", async || {
            let shown = test.admin("GET", &path, json!({})).await;
            (shown.body["waiting"] == 3).then_some(shown)
        })
        .await;
    let agent = |name: &str| {
        let agents = shown.body["agents"].as_array().unwrap();
        agents.iter().find(|agent| agent["agent_id"] == name).unwrap().clone()
    };
    assert_eq!(
        (&agent("puller")["is_pulling"], &agent("silent")["is_pulling"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(agent("puller")["pulling_since"], trastienda_protocol::time::format(began));
    assert_eq!(agent("puller")["status"]["hub"], "up", "a poll is a heartbeat");
    assert_eq!(
        (&shown.body["oldest_seconds"], &agent("silent")["pulling_since"]),
        (&json!(50), &Value::Null)
    );
    test.clock.advance(TimeDelta::minutes(3));
    // Asking so often, the operator has used up what an address may ask.
    let agents = test
        .until("the operator may ask again", async || {
            test.admin("GET", &path, json!({})).await.body["agents"].as_array().cloned()
        })
        .await;
    assert!(agents.iter().all(|agent| agent["is_pulling"] == false));
    test.until("nothing is known of another project", async || {
        let unknown = test.admin("GET", "/admin/v1/projects/nothing/agents", json!({})).await;
        (unknown.status == 404).then_some(())
    })
    .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn polls_and_results_are_not_the_shops_requests(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let limits = json!({"requests_per_minute": 1});
    test.admin("PUT", &format!("/admin/v1/projects/{project}/limits"), limits).await;
    for _ in 0..5 {
        assert_eq!(test.post(&key, "/v1/agent/poll", poll_body("a", 0, 1)).await.status, 200);
    }
    let results = test.post(&key, "/v1/agent/results", json!({"agent_id": "a", "results": []})).await;
    assert_eq!(results.status, 200);
    let unauthorized = test.post("nothing", "/v1/agent/poll", poll_body("a", 0, 1)).await;
    assert_eq!(unauthorized.status, 401);
    let wrong = test.post(&key, "/v1/agent/poll", json!({"agent_id": "a", "wait": 31, "max": 0})).await;
    assert_eq!(wrong.pointers(), ["/wait", "/max", "/status"]);
}
