//! What becomes of calls once the hub has something to say about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use trastienda_protocol::batch::Operation;
use trastienda_protocol::problem::{FieldError, Problem};

use crate::support::{StubHub, TestAgent, key, problem};

fn event(number: usize) -> Value {
    json!({"type": "stock.counted", "data": {"number": number}})
}

async fn accept(agent: &TestAgent, number: usize) -> String {
    let answer = agent.client().await.post("/v1/events", &[], &event(number)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn number_of(operation: &Operation) -> u64 {
    operation.body["data"]["number"].as_u64().unwrap()
}

#[tokio::test]
async fn what_the_hub_refuses_for_good_is_set_aside_and_blocks_nobody() {
    let hub = StubHub::start().await;
    hub.judge(|operation| {
        if number_of(operation) == 1 {
            (
                422,
                serde_json::to_value(Problem::validation(vec![FieldError::new("/data", "is wrong")]))
                    .unwrap(),
            )
        } else {
            (202, json!({"id": operation.id}))
        }
    });
    let agent = TestAgent::start(&hub).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(accept(&agent, number).await);
    }
    agent.until("buffered", 0).await;
    agent.until("dead_letters", 1).await;
    assert_eq!(hub.order(), [ids[0].clone(), ids[2].clone()]);
    let mut client = agent.client().await;
    let dead = client.get("/agent/dead-letters").await.json();
    assert_eq!(
        (dead["data"][0]["id"].as_str(), dead["data"][0]["reason"].as_str()),
        (Some(ids[1].as_str()), Some("refused"))
    );
    assert_eq!(dead["data"][0]["problem"]["errors"][0]["pointer"], "/data");

    // The operator mends the cause and tries again.
    hub.judge(|operation| (202, json!({"id": operation.id})));
    let retry = format!("/agent/dead-letters/{}/retry", ids[1]);
    assert_eq!(client.post(&retry, &[], &json!({})).await.status, 202);
    agent.until("dead_letters", 0).await;
    agent.until("buffered", 0).await;
    assert!(hub.taken().contains_key(&ids[1]));
}

#[tokio::test]
async fn a_dead_letter_can_be_read_and_given_up() {
    let hub = StubHub::start().await;
    hub.judge(|_| (400, json!({"code": "nope"})));
    let agent = TestAgent::start(&hub).await;
    let id = accept(&agent, 7).await;
    agent.until("dead_letters", 1).await;
    let mut client = agent.client().await;
    let path = format!("/agent/dead-letters/{id}");
    assert_eq!(client.get(&path).await.json()["body"]["data"]["number"], 7);
    assert_eq!(client.send(Method::DELETE, &path, &[], "").await.unwrap().status, 204);
    assert_eq!(client.get(&path).await.status, 404);
}

#[tokio::test]
async fn what_fails_alone_ten_times_is_parked() {
    let hub = StubHub::start().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    hub.judge(move |operation| {
        if number_of(operation) == 0 {
            counted.fetch_add(1, Ordering::SeqCst);
            return (500, json!({"code": "internal"}));
        }
        (202, json!({"id": operation.id}))
    });
    let agent = TestAgent::start(&hub).await;
    accept(&agent, 0).await;
    let other = accept(&agent, 1).await;
    crate::support::eventually("the other one arrives", async || {
        hub.taken().contains_key(&other).then_some(())
    })
    .await;
    // Between tries time has to pass.
    crate::support::eventually("ten tries", async || {
        agent.clock.advance(chrono::TimeDelta::seconds(1));
        (agent.status().await["dead_letters"] == 1).then_some(())
    })
    .await;
    assert_eq!(tries.load(Ordering::SeqCst), 10);
    assert_eq!(agent.client().await.get("/agent/dead-letters").await.json()["data"][0]["reason"], "parked");
}

#[tokio::test]
async fn a_refused_key_keeps_everything_and_says_so() {
    let hub = StubHub::start().await;
    hub.rotate(Some(key()));
    let agent = TestAgent::start(&hub).await;
    let id = accept(&agent, 1).await;
    agent.until("hub", "unauthorized").await;
    assert_eq!(agent.status().await["buffered"], 1);
    hub.rotate(Some(hub.key()));
    agent.until("buffered", 0).await;
    assert!(hub.taken().contains_key(&id));
}

#[tokio::test]
async fn another_project_s_key_sends_nothing() {
    let mut hub = StubHub::start().await;
    let mut agent = TestAgent::start(&hub).await;
    accept(&agent, 1).await;
    agent.until("buffered", 0).await;
    hub.go().await;
    let kept = accept(&agent, 2).await;
    agent.stop().await;
    hub.set_project("prj_0192f0c1d2e37a4b8c5d6e7f80910000");
    hub.come().await;
    agent.start_again().await;
    agent.until("hub", "project_mismatch").await;
    assert!(!hub.taken().contains_key(&kept));
    assert_eq!(agent.status().await["buffered"], 1);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_sent_in_parts() {
    let mut hub = StubHub::away().await;
    hub.porter(|operations| (operations > 3).then(|| problem(413, "body_too_large")));
    let agent = TestAgent::start(&hub).await;
    for number in 0..20 {
        accept(&agent, number).await;
    }
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.taken().len(), 20);
    assert!(hub.taken().values().all(|taken| taken.times == 1));
}

#[tokio::test]
async fn whole_batches_that_fail_are_kept_and_sent_again() {
    let hub = StubHub::start().await;
    let left = Arc::new(AtomicUsize::new(4));
    let counted = Arc::clone(&left);
    hub.porter(move |_| {
        let before =
            counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok()?;
        Some(problem([429, 503, 500, 408][before % 4], "later"))
    });
    let agent = TestAgent::start(&hub).await;
    let id = accept(&agent, 1).await;
    // Between tries time has to pass.
    crate::support::eventually("it is sent in the end", async || {
        agent.clock.advance(chrono::TimeDelta::seconds(1));
        (agent.status().await["buffered"] == 0).then_some(())
    })
    .await;
    assert_eq!((hub.taken()[&id].times, left.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(agent.status().await["dead_letters"], 0);
}

#[tokio::test]
async fn the_hub_says_when_to_come_back() {
    let hub = StubHub::start().await;
    let mut refused = false;
    hub.porter(move |_| {
        let first = !std::mem::replace(&mut refused, true);
        first.then(|| {
            let mut answer = problem(429, "rate_limited");
            answer.headers_mut().insert("retry-after", "1".parse().unwrap());
            answer
        })
    });
    let agent = TestAgent::start(&hub).await;
    accept(&agent, 1).await;
    agent.until("buffered", 0).await;
    let times = hub.batch_times();
    // Left to itself, the agent of a test would be back within milliseconds.
    assert!(times[1] - times[0] >= Duration::from_secs(1), "{:?}", times[1] - times[0]);
    assert_eq!(agent.status().await["dead_letters"], 0);
}

#[tokio::test]
async fn the_caller_s_bytes_arrive_as_they_came() {
    let hub = StubHub::start().await;
    let agent = TestAgent::start(&hub).await;
    let body = r#"{ "type":"stock.counted", "data":{"n":1.10,"n2":12345678901234567890123, "á":"\u00e1"} }"#;
    let answer = agent.client().await.send(Method::POST, "/v1/events", &[], body).await.unwrap();
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    agent.until("buffered", 0).await;
    assert_eq!(hub.taken()[&id].text, body);
}

#[tokio::test]
async fn a_field_that_only_a_newer_hub_knows_is_tried_again_there() {
    let hub = StubHub::start().await;
    hub.judge(|_| {
        let unknown =
            FieldError { is_unknown_field: true, ..FieldError::new("/data", "is not a known field") };
        (422, serde_json::to_value(Problem::validation(vec![unknown])).unwrap())
    });
    let agent = TestAgent::start(&hub).await;
    let id = accept(&agent, 1).await;
    agent.until("dead_letters", 1).await;
    hub.judge(|operation| (202, json!({"id": operation.id})));
    hub.upgrade("1.1.0");
    agent.until("dead_letters", 0).await;
    agent.until("buffered", 0).await;
    assert!(hub.taken().contains_key(&id));
}

#[tokio::test]
async fn the_hub_hears_how_the_agent_stands() {
    let hub = StubHub::start().await;
    let agent = TestAgent::start(&hub).await;
    accept(&agent, 1).await;
    agent.until("buffered", 0).await;
    let beat = crate::support::eventually("a heartbeat", async || hub.heartbeats().last().cloned()).await;
    assert!(beat["agent_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert!(beat["status"]["version"].is_string() && beat["status"]["buffered"].is_u64());
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_postponed_call_waiting() {
    let hub = StubHub::start().await;
    hub.judge(|_| (503, json!({"code": "unavailable"})));
    let agent = TestAgent::start(&hub).await;
    // The clock is a week ahead while the hub asks for patience, and then it is mended.
    agent.clock.advance(chrono::TimeDelta::days(7));
    let id = accept(&agent, 1).await;
    crate::support::eventually("it was postponed and tried again", async || {
        agent.clock.advance(chrono::TimeDelta::seconds(1));
        (hub.batch_times().len() > 1).then_some(())
    })
    .await;
    agent.clock.advance(-chrono::TimeDelta::days(7));
    hub.judge(|operation| (202, json!({"id": operation.id})));
    crate::support::eventually("it is sent", async || {
        agent.clock.advance(chrono::TimeDelta::seconds(1));
        (agent.status().await["buffered"] == 0).then_some(())
    })
    .await;
    assert!(hub.taken().contains_key(&id));
}
