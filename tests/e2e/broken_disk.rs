//! A disk that fails: new calls are refused, the old ones are kept, and all is well again when the disk is.

use e2e::{Agent, Dice, Directory, DiskFault, Hub, Layer, PowerCut, Project, until};
use serde_json::json;

/// An agent whose buffer lies on a disk that can fail.
async fn start(directory: &Directory, hub: &Hub, project: &Project) -> anyhow::Result<(Layer, Agent)> {
    let files = directory.path("buffer");
    std::fs::create_dir(&files)?;
    let layer = Layer::new(&directory.path("layer"), &files).await?;
    let mut settings = layer.environment();
    settings.push(("TRASTIENDA_AGENT_DATA_DIR", files.display().to_string()));
    let agent = Agent::start_with(directory, "broken", &hub.url, project, settings).await?;
    Ok((layer, agent))
}

async fn post(agent: &Agent, number: usize) -> anyhow::Result<(u16, String)> {
    let body = json!({"type": "stock.counted", "data": {"number": number}});
    let (status, answer) = agent.post("/v1/events", &body).await?;
    Ok((status, answer["id"].as_str().or(answer["code"].as_str()).unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn a_disk_that_fails_refuses_calls_and_what_it_takes_afterwards_outlives_a_power_cut()
-> anyhow::Result<()> {
    let directory = Directory::new()?;
    let mut hub = Hub::start_alone(&directory).await?;
    let project = hub.create_project("Remojo", "remojo.example.com").await?;
    let (layer, mut agent) = start(&directory, &hub, &project).await?;
    // What records the hub's answer is not synced by itself: it is what a failed sync makes the kernel forget.
    let (status, delivered) = post(&agent, 0).await?;
    assert_eq!(status, 202, "{delivered}");
    agent.until_drained().await?;
    hub.kill().await?;
    let mut kept = Vec::new();
    let mut number = 0;
    for fault in [DiskFault::Syncs, DiskFault::Writes, DiskFault::Both] {
        layer.set_fault(fault)?;
        for _ in 0..3 {
            number += 1;
            assert_eq!(post(&agent, number).await?, (507, "buffer_full".to_owned()), "{fault:?}");
        }
        assert_eq!(agent.status().await?["buffered"], kept.len(), "{fault:?}");
        layer.set_fault(DiskFault::None)?;
        for _ in 0..3 {
            number += 1;
            let (status, id) = post(&agent, number).await?;
            assert_eq!(status, 202, "it recovers by itself after {fault:?}: {id}");
            kept.push(id);
        }
    }
    // Whatever the kernel forgot when a sync failed, nothing that was acknowledged stands on it.
    agent.kill().await?;
    layer.cut_power(PowerCut::Clean, &mut Dice::new(1))?;
    agent.restart(&directory).await?;
    assert_eq!(agent.status().await?["buffered"], kept.len());
    hub.restart(&directory).await?;
    agent.until_drained().await?;
    until("each of them is at the hub", async || {
        let listed = hub.get(&project, "/v1/events?limit=200").await?;
        let at_hub: Vec<_> =
            listed["data"].as_array().into_iter().flatten().map(|event| &event["id"]).collect();
        Ok(kept.iter().all(|id| at_hub.iter().any(|known| *known == id)).then_some(()))
    })
    .await?;
    agent.stop().await?;
    hub.stop().await
}

#[tokio::test]
async fn what_the_hub_took_is_kept_until_its_answer_is_on_disk() -> anyhow::Result<()> {
    const CALLS: usize = 3;
    let directory = Directory::new()?;
    let mut hub = Hub::start_alone(&directory).await?;
    let project = hub.create_project("Remojo", "remojo.example.com").await?;
    let (layer, mut agent) = start(&directory, &hub, &project).await?;
    // Whose buffer it is, is written when the hub is first reached.
    assert_eq!(post(&agent, 0).await?.0, 202);
    agent.until_drained().await?;
    hub.kill().await?;
    for number in 1..=CALLS {
        assert_eq!(post(&agent, number).await?.0, 202);
    }
    // The hub takes them, and the agent cannot write that down.
    layer.set_fault(DiskFault::Writes)?;
    hub.restart(&directory).await?;
    let taken = async |hub: &Hub| {
        let listed = hub.get(&project, "/v1/events?limit=200").await?;
        anyhow::Ok(listed["data"].as_array().map_or(0, Vec::len))
    };
    until("the hub has them", async || Ok((taken(&hub).await? == 1 + CALLS).then_some(()))).await?;
    until("the agent could not write the answer", async || {
        let logs = directory.logs()?;
        let told = |text: &str| text.contains("the forwarder could not use the buffer; everything is kept");
        Ok(logs.iter().any(|(_, text)| told(text)).then_some(()))
    })
    .await?;
    agent.kill().await?;
    hub.kill().await?;
    layer.set_fault(DiskFault::None)?;
    agent.restart(&directory).await?;
    assert_eq!(agent.status().await?["buffered"], CALLS);
    // Sent again under the same ids, they are known there.
    hub.restart(&directory).await?;
    agent.until_drained().await?;
    assert_eq!(taken(&hub).await?, 1 + CALLS);
    assert_eq!(agent.status().await?["dead_letters"], 0);
    agent.stop().await?;
    hub.stop().await
}
