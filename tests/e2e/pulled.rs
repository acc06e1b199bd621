//! Webhooks of shops that nothing outside can reach: their agents pull them.

use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Agent, Directory, Fleet, Hub, Sink, post_events, until};
use serde_json::json;

const URL: &str = "agent:///webhooks/trastienda";

#[tokio::test]
async fn an_agent_pulls_what_its_application_gets_as_fast_as_it_comes() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let hub = Hub::start_alone(&directory).await?;
    let project = hub.create_project("Mate y Compañía", "mates.example.com").await?;
    hub.create_endpoint(&project, URL, &["*"]).await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let agent = Agent::start_pulling(&directory, "mate", &hub, &project, &sink.origin()).await?;
    let event = json!({"type": "stock.counted", "data": {"number": 1}});
    let sent = hub.post(&project, "/v1/events", event).await?["id"].as_str().unwrap().to_owned();
    until("the event arrives", async || Ok((sink.taken() == 1).then_some(()))).await?;
    assert_eq!(sink.arrivals().into_keys().collect::<Vec<_>>(), [sent]);
    until("the hub has its result", async || {
        let sent = hub.get(&project, "/v1/webhook-deliveries?status=sent").await?;
        Ok((sent["data"][0]["last_response_code"] == 200).then_some(()))
    })
    .await?;
    let seen = hub.admin(&format!("/admin/v1/projects/{}/agents", project.id)).await?;
    assert_eq!((&seen["agents"][0]["is_pulling"], &seen["waiting"]), (&json!(true), &json!(0)), "{seen}");
    agent.stop().await?;
    hub.stop().await
}

#[tokio::test]
async fn two_agents_at_two_hubs_share_the_work_and_one_that_is_killed_loses_nothing() -> anyhow::Result<()> {
    let fleet = Fleet::start(2).await?;
    let project = fleet.create_project().await?;
    let endpoint = json!({"url": URL, "events": ["*"], "max_in_flight": 10});
    fleet.hubs[0].post(&project, "/v1/webhook-endpoints", endpoint).await?;
    let sinks =
        [Sink::start(Duration::from_millis(100)).await?, Sink::start(Duration::from_millis(100)).await?];
    let mut agents = Vec::new();
    for (number, sink) in sinks.iter().enumerate() {
        let (hub, name) = (&fleet.hubs[number], format!("agent-{number}"));
        agents.push(Agent::start_pulling(&fleet.directory, &name, hub, &project, &sink.origin()).await?);
    }
    // All come in at the first hub.
    let posted = post_events(&fleet.hubs[0], &project, "count.first", 100).await?;
    let taken = || sinks.iter().map(Sink::taken).sum::<usize>();
    until("all arrived", async || Ok((taken() >= posted.len()).then_some(()))).await?;
    let shares: Vec<usize> = sinks.iter().map(Sink::taken).collect();
    assert!(shares.iter().all(|share| *share > 0), "one did nothing: {shares:?}");

    // The second dies with deliveries in hand; the first gets them well before their 30 s are over.
    sinks[1].set_delay(Duration::from_mins(1));
    let second = post_events(&fleet.hubs[1], &project, "count.second", 20).await?;
    until("the second has some in hand", async || Ok((sinks[1].in_flight() > 0).then_some(()))).await?;
    agents.remove(1).stop_at_once().await?;
    let died = Instant::now();
    until("the first has all", async || {
        let arrived = sinks[0].arrivals();
        Ok(second.iter().all(|id| arrived.get(id).is_some_and(|it| it.taken > 0)).then_some(()))
    })
    .await?;
    assert!(died.elapsed() < Duration::from_secs(20), "{:?}", died.elapsed());
    for agent in agents {
        agent.stop().await?;
    }
    fleet.stop().await
}

#[test]
fn every_id_is_accounted_for_while_hub_and_agents_are_killed_at_random() -> anyhow::Result<()> {
    let mut faults = Command::new(env!("CARGO_BIN_EXE_faults"));
    let output = faults.args(["--seed", "20261124", "--pulled", "200", "--kills", "6"]).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("accounted for 200 ids"), "{told}");
    assert!(
        !told.contains(" 0 of the hub") && !told.contains(" 0 of agents"),
        "one kind did not happen: {told}"
    );
    Ok(())
}
