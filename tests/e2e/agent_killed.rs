//! The agent dies while calls come in.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::{Stack, until};
use serde_json::json;

/// How many callers speak to the agent at once.
const CALLERS: usize = 8;

#[tokio::test]
async fn what_a_killed_agent_acknowledged_reaches_the_hub_once() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    let mut acknowledged = BTreeSet::new();
    let mut sent = 0;
    for round in 0..4 {
        let door = stack.agent.door();
        let answered = std::sync::Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (door, answered) = (door.clone(), answered.clone());
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    for number in 0.. {
                        let data = json!({"round": round, "caller": caller, "number": number});
                        let body = json!({"type": "stock.counted", "data": data});
                        // The first call that is not answered is the agent's end.
                        match door.post("/v1/events", &body).await {
                            Ok((202, answer)) => ids.push(answer["id"].as_str().unwrap().to_owned()),
                            Ok((status, answer)) => panic!("{status} {answer}"),
                            Err(_) => return (number + 1, ids),
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    unreachable!("the agent is killed")
                })
            })
            .collect();
        until("a hundred answers", async || Ok((answered.load(Ordering::Relaxed) >= 100).then_some(())))
            .await?;
        stack.agent.kill().await?;
        for caller in callers {
            let (calls, ids) = caller.await?;
            sent += calls;
            acknowledged.extend(ids);
        }
        stack.agent.restart(&stack.directory).await?;
    }
    stack.agent.until_drained().await?;
    let mut stored = BTreeSet::new();
    let mut page = "/v1/events?type=stock.counted&limit=200".to_owned();
    let mut rows = 0;
    loop {
        let listed = stack.hub.get(&stack.project_a, &page).await?;
        let events = listed["data"].as_array().unwrap();
        rows += events.len();
        stored.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = listed["next_cursor"].as_str() else { break };
        page = format!("/v1/events?type=stock.counted&limit=200&cursor={cursor}");
    }
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert_eq!(rows, stored.len(), "an event is there twice");
    // What was cut off before its answer may have been kept or not: one call of each caller and round.
    assert!(stored.len() <= sent, "{} events of {sent} calls", stored.len());
    assert!(acknowledged.len() >= 400, "only {} were acknowledged", acknowledged.len());
    let status = stack.agent.status().await?;
    assert_eq!((status["buffered"].as_u64(), status["dead_letters"].as_u64()), (Some(0), Some(0)));
    stack.stop().await
}
