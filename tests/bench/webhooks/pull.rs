//! Deliveries that agents pull: how soon, how many, and what it costs the hub that agents wait.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::Agent;
use serde_json::json;
use tokio::task::JoinSet;

use super::Bench;
use super::cost::cpu_seconds_of;
use super::load::Connection;
use super::receiver::{Manner, Receiver};
use super::rows::row;
use crate::report::{quantile, summary};

const URL: &str = "agent:///webhooks/trastienda";
const AT_ONCE: Manner = Manner::After(Duration::ZERO);

pub(super) async fn measure(bench: &Bench, runs: usize, wanted: &str) -> anyhow::Result<()> {
    let wants = |name: &str| name.contains(wanted);
    if wants("pull: paced") {
        paced(bench, runs).await?;
    }
    if wants("pull: throughput") {
        throughput(bench, runs).await?;
    }
    if wants("pull: idle") {
        idle(bench).await?;
    }
    Ok(())
}

/// As for pushed deliveries: from the call that creates the event to the POST at the application.
async fn paced(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    let (project, sender) = bench.project().await?;
    let mut receiver = Receiver::start(AT_ONCE).await?;
    bench.endpoint(&project, URL, 10).await?;
    let origin = format!("http://{}", receiver.address);
    let agent = Agent::start_pulling(&bench.directory, "paced", &bench.hub, &project, &origin).await?;
    sender.send_paced(50, 50).await?;
    receiver.wait_for(50).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        receiver.take();
        sender.send_paced(50, 500).await?;
        receiver.wait_for(500).await?;
        let mut ages = receiver.take();
        p50.push(quantile(&mut ages, 0.5));
        p99.push(quantile(&mut ages, 0.99));
    }
    row("pull: paced: 50/s, create to the application, p50, ms", &summary(&mut p50));
    row("        p99, ms", &summary(&mut p99));
    agent.stop().await
}

async fn throughput(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    const EVENTS: usize = 10_000;
    let (project, sender) = bench.project().await?;
    let mut receiver = Receiver::start(AT_ONCE).await?;
    bench.endpoint(&project, URL, 256).await?;
    let origin = format!("http://{}", receiver.address);
    let agent = Agent::start_pulling(&bench.directory, "throughput", &bench.hub, &project, &origin).await?;
    sender.send(64, 500).await?;
    receiver.wait_for(500).await?;
    let (mut rates, mut costs, mut agents, mut p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        receiver.take();
        let (before, agent_before) = (bench.processes()?.cpu_seconds()?, agent_seconds(&agent)?);
        let started = Instant::now();
        sender.send(64, EVENTS).await?;
        receiver.wait_for(EVENTS).await?;
        rates.push(10_000.0 / started.elapsed().as_secs_f64());
        costs.push(bench.processes()?.cpu_seconds()? - before);
        agents.push(agent_seconds(&agent)? - agent_before);
        p99.push(quantile(&mut receiver.take(), 0.99));
    }
    row("pull: throughput: 1 agent, 64 callers, created and delivered/s", &summary(&mut rates));
    row("        create to the application, p99, ms", &summary(&mut p99));
    row("        CPU seconds per 10,000, hub and database", &summary(&mut costs));
    row("        and the agent's", &summary(&mut agents));
    agent.stop().await
}

fn agent_seconds(agent: &Agent) -> anyhow::Result<f64> {
    cpu_seconds_of(agent.pid().context("the agent does not run")?)
}

/// A thousand agents of forty projects that have nothing to do: making more would exceed what one address may ask.
async fn idle(bench: &Bench) -> anyhow::Result<()> {
    const PROJECTS: usize = 40;
    const AGENTS: usize = 25;
    const WATCHED: Duration = Duration::from_secs(30);
    let mut keys = Vec::new();
    for _ in 0..PROJECTS {
        let (project, _) = bench.project().await?;
        bench.endpoint(&project, URL, 10).await?;
        keys.push(project.key);
    }
    let alone = bench.processes()?.hub_memory()?;
    let mut polls = JoinSet::new();
    for (number, key) in keys.iter().flat_map(|key| std::iter::repeat_n(key, AGENTS)).enumerate() {
        polls.spawn(poll_for_ever(bench.address, key.clone(), number));
    }
    // All of them wait, and the burst of the first polls is over.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (before, database) = (bench.processes()?.cpu_seconds()?, bench.processes()?.database_seconds()?);
    tokio::time::sleep(WATCHED).await;
    let (after, database_after) = (bench.processes()?.cpu_seconds()?, bench.processes()?.database_seconds()?);
    if let Some(ended) = polls.try_join_next() {
        ended??;
        anyhow::bail!("an agent stopped waiting");
    }
    let memory = bench.processes()?.hub_memory()? - alone;
    let share = |seconds: f64| 100.0 * seconds / WATCHED.as_secs_f64();
    let of_database = database_after - database;
    let hub = share(after - before - of_database);
    row("pull: idle: 1,000 agents of 40 projects, hub's CPU, % of a core", &format!("{hub:.1}"));
    row("        the database's", &format!("{:.1}", share(of_database)));
    row("        hub's memory for them, MB", &format!("{memory:.1}"));
    polls.shutdown().await;
    Ok(())
}

async fn poll_for_ever(hub: SocketAddr, key: String, number: usize) -> anyhow::Result<()> {
    let status = json!({"hub": "up", "buffered": 0, "oldest_seconds": 0, "dead_letters": 0, "disk_bytes": 0, "version": "1"});
    let body = json!({"agent_id": format!("idle-{number}"), "wait": 25, "max": 10, "status": status});
    let (headers, body) = (format!("x-api-key: {key}\r\n"), body.to_string());
    let mut connection = Connection::open(hub).await?;
    loop {
        connection.post("/v1/agent/poll", &headers, &body, 200).await?;
    }
}
