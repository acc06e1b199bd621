//! Feature flags answer when the hub does not.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{StubHub, TestAgent, eventually};

#[tokio::test]
async fn flags_answer_from_memory_while_the_hub_is_away_and_after_a_restart() {
    let mut hub = StubHub::start().await;
    hub.set_flag("new-checkout", true);
    let mut agent = TestAgent::start(&hub).await;
    let mut client = agent.client().await;
    agent.until("hub", "up").await;
    let answer = client.get("/v1/features/new-checkout").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({"flag": "new-checkout", "enabled": true, "is_known": true}))
    );
    assert_eq!(client.get("/v1/features").await.json(), json!({"features": {"new-checkout": true}}));

    hub.go().await;
    agent.clock.advance(TimeDelta::hours(1));
    let answer = client.get("/v1/features/new-checkout").await;
    assert_eq!((answer.status.as_u16(), answer.header("age")), (200, Some("3600")));
    assert_eq!(answer.json()["enabled"], true);
    agent.stop().await;
    agent.start_again().await;
    let mut client = agent.client().await;
    assert_eq!(client.get("/v1/features/new-checkout").await.json()["enabled"], true);
    // One that nobody set is off, as at the hub.
    assert_eq!(
        client.get("/v1/features/other").await.json(),
        json!({"flag": "other", "enabled": false, "is_known": false})
    );
}

#[tokio::test]
async fn a_change_is_seen_within_seconds_and_not_asked_for_at_every_call() {
    let hub = StubHub::start().await;
    // Without heartbeats, so that only the questions of the shop are counted.
    let agent =
        TestAgent::start_with(&hub, |config| config.pace.heartbeat = std::time::Duration::from_hours(1))
            .await;
    let mut client = agent.client().await;
    eventually("the first question of the heartbeat", async || (hub.heartbeats().len() == 1).then_some(()))
        .await;
    let asked = eventually("both have asked", async || {
        (hub.feature_questions() >= 2).then(|| hub.feature_questions())
    })
    .await;
    hub.set_flag("new-checkout", true);
    for _ in 0..20 {
        assert_eq!(client.get("/v1/features/new-checkout").await.json()["enabled"], false);
    }
    assert_eq!(hub.feature_questions(), asked);
    agent.clock.advance(TimeDelta::seconds(4));
    eventually("the change is seen", async || {
        let answer = agent.client().await.get("/v1/features/new-checkout").await;
        (answer.json()["enabled"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_never_learnt_any_flags_passes_the_question_through() {
    let hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    let answer = agent.client().await.get("/v1/features/new-checkout").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "hub_unreachable"));
}
