//! The agent dies between acknowledgements.

use e2e::Stack;
use serde_json::json;

#[tokio::test]
async fn what_a_killed_agent_acknowledged_reaches_the_hub_once() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        for number in 0..10 {
            let body = json!({"type": "stock.counted", "data": {"round": round, "number": number}});
            let (status, answer) = stack.agent.post("/v1/events", &body).await?;
            assert_eq!(status, 202, "{answer}");
            acknowledged.push(answer["id"].as_str().unwrap().to_owned());
        }
        stack.agent.kill().await?;
        stack.agent.restart(&stack.directory).await?;
    }
    stack.agent.until_drained().await?;
    let listed = stack.hub.get(&stack.project_a, "/v1/events?type=stock.counted&limit=200").await?;
    let mut stored: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    stored.sort();
    acknowledged.sort();
    assert_eq!(stored, acknowledged);
    stack.stop().await
}
