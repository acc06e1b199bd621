//! Deliveries that agents pull while hub and agents are killed at random: every id is accounted for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, EventId, RandomIds};

use crate::{Agent, Dice, Directory, Hub, Project, Sink};

/// Callers at once.
const CALLERS: usize = 8;
/// Thousands take longer than anything else.
const PATIENCE: Duration = Duration::from_mins(15);

/// What became of the deliveries.
#[derive(Debug, Clone, Copy, Default)]
pub struct PulledAccount {
    /// Different ones that arrived: all.
    pub arrived: usize,
    /// Those that came more than once, under the same `webhook-id`.
    pub repeated: usize,
    /// How often the hub was killed.
    pub hub_kills: usize,
    /// How often an agent was.
    pub agent_kills: usize,
}

/// Two agents pull what one application gets. Of hub and agents one is killed at random again and again, until all has
/// arrived; then every id is looked for on both sides.
pub async fn pulled_through_kills(
    seed: u64,
    deliveries: usize,
    kills: usize,
) -> anyhow::Result<PulledAccount> {
    let directory = Directory::new()?;
    let mut hub = Hub::start_alone(&directory).await?;
    let project = hub.create_project("Mate y Compañía", "mates.example.com").await?;
    hub.lift_limits(&project).await?;
    let sink = Sink::start(Duration::from_millis(20)).await?;
    sink.fail_one_in(40);
    let endpoint = json!({"url": "agent:///webhooks/trastienda", "events": ["*"], "max_in_flight": 20,
        "retry_schedule": [1, 1, 1, 1, 1, 1, 1, 1]});
    hub.post(&project, "/v1/webhook-endpoints", endpoint).await?;
    let mut agents = Vec::new();
    for name in ["one", "two"] {
        agents.push(Agent::start_pulling(&directory, name, &hub, &project, &sink.origin()).await?);
    }
    let posting = tokio::spawn(post_all(hub.url.clone(), project.clone(), deliveries));

    let mut dice = Dice::new(seed);
    let mut account = PulledAccount::default();
    for kill in 1..=kills {
        let wanted = deliveries * kill / (kills + 1);
        patiently("enough arrived", async || Ok(sink.taken() >= wanted)).await?;
        tokio::time::sleep(Duration::from_millis(dice.below(40))).await;
        let victim = usize::try_from(dice.below(3))?;
        if let Some(agent) = agents.get_mut(victim) {
            agent.kill().await?;
            account.agent_kills += 1;
            // The other has the work meanwhile.
            tokio::time::sleep(Duration::from_millis(dice.below(500))).await;
            agent.restart(&directory).await?;
        } else {
            hub.kill().await?;
            account.hub_kills += 1;
            hub.restart(&directory).await?;
        }
    }
    let posted = posting.await??;
    patiently("all arrived", async || Ok(sink.taken() >= posted.len())).await?;
    let path = |status: &str| format!("/v1/webhook-deliveries?status={status}&limit=1");
    patiently("nothing waits any more", async || {
        Ok(hub.get(&project, &path("pending")).await?["data"] == json!([]))
    })
    .await?;
    ensure!(hub.get(&project, &path("failed")).await?["data"] == json!([]), "a delivery failed");

    let arrivals = sink.arrivals();
    let arrived: BTreeSet<String> = arrivals.keys().cloned().collect();
    ensure!(arrived == posted, "{} posted, {} arrived", posted.len(), arrived.len());
    let sent = all_sent(&hub, &project).await?;
    ensure!(sent == posted, "{} posted, {} sent by the hub's books", posted.len(), sent.len());
    account.arrived = arrived.len();
    account.repeated = arrivals.values().filter(|arrival| arrival.taken > 1).count();
    for agent in agents {
        agent.stop().await?;
    }
    hub.stop().await?;
    Ok(account)
}

/// Posts so many events, each until it is acknowledged, always with the same id.
async fn post_all(url: String, project: Project, count: usize) -> anyhow::Result<BTreeSet<String>> {
    let callers = (0..CALLERS).map(|caller| {
        let (url, project) = (url.clone(), project.clone());
        let numbers = (caller..count).step_by(CALLERS);
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for number in numbers {
                ids.push(post(&url, &project, number).await?);
            }
            anyhow::Ok(ids)
        })
    });
    let mut ids = BTreeSet::new();
    for caller in callers.collect::<Vec<_>>() {
        ids.extend(caller.await??);
    }
    Ok(ids)
}

async fn post(url: &str, project: &Project, number: usize) -> anyhow::Result<String> {
    let id = ids::new::<EventId>(&RandomIds, &SystemClock).to_string();
    let body = json!({"id": id, "type": "stock.counted", "data": {"number": number}});
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = crate::client()?.post(format!("{url}/v1/events")).bearer_auth(&project.key).json(&body);
        let told = match request.send().await {
            Ok(answer) if answer.status() == 202 => return Ok(id),
            Ok(answer) => format!("{}: {}", answer.status(), answer.text().await?),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            bail!("the hub never took an event: {told}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn all_sent(hub: &Hub, project: &Project) -> anyhow::Result<BTreeSet<String>> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/v1/webhook-deliveries?status=sent&limit=200{cursor}");
        let page: Value = hub.get(project, &path).await?;
        for delivery in page["data"].as_array().context("no list of deliveries")? {
            ids.insert(delivery["event"].as_str().context("a delivery without its event")?.to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { return Ok(ids) };
        cursor = format!("&cursor={next}");
    }
}

async fn patiently(what: &str, mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await.unwrap_or(false) {
        if Instant::now() > deadline {
            bail!("waited in vain for this: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
