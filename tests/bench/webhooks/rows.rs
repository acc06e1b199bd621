//! The rows of the table.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Bench;
use super::receiver::{Manner, Receiver};
use crate::report::{quantile, say, summary};

const AT_ONCE: Manner = Manner::After(Duration::ZERO);

pub(super) async fn measure(bench: &mut Bench, runs: usize, wanted: &str) -> anyhow::Result<()> {
    let wants = |name: &str| name.contains(wanted);
    let idle = bench.processes()?.hub_memory()?;
    for callers in [16, 64] {
        if wants("ingest") {
            ingest(bench, runs, callers).await?;
        }
    }
    let mut loaded = idle;
    for callers in [16, 64] {
        if wants("deliver") {
            deliver(bench, runs, callers, &mut loaded).await?;
        }
    }
    if wants("batch") {
        batch(bench, runs).await?;
    }
    if wants("fan-out") {
        fan_out(bench, runs).await?;
    }
    if wants("paced") {
        paced(bench, runs).await?;
    }
    if wants("fairness") {
        fairness(bench, runs).await?;
    }
    if wants("hang-up") {
        hang_up(bench).await?;
    }
    if wants("kill") {
        kill(bench, runs).await?;
    }
    if wants("large") {
        super::large::measure(bench, runs).await?;
    }
    super::pull::measure(bench, runs, wanted).await?;
    if wants("memory") {
        let now = bench.processes()?.hub_memory()?;
        row("memory: hub resident, MB: idle, loaded", &format!("{idle:.0}, {:.0}", loaded.max(now)));
    }
    Ok(())
}

pub(super) fn row(name: &str, result: &str) {
    say(&format!("  {name:<62} {result}"));
}

fn per_second(count: usize, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = count as f64;
    count / seconds
}

async fn ingest(bench: &Bench, runs: usize, callers: usize) -> anyhow::Result<()> {
    const EVENTS: usize = 10_000;
    let (_, project) = bench.project().await?;
    project.send(callers, 500).await?;
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let before = bench.processes()?.cpu_seconds()?;
        let (_, seconds) = project.send(callers, EVENTS).await?;
        costs.push(bench.processes()?.cpu_seconds()? - before);
        rates.push(per_second(EVENTS, seconds));
    }
    row(&format!("ingest: no endpoint, {callers} callers, req/s"), &summary(&mut rates));
    row("        CPU seconds per 10,000, hub and database", &summary(&mut costs));
    Ok(())
}

async fn deliver(bench: &Bench, runs: usize, callers: usize, loaded: &mut f64) -> anyhow::Result<()> {
    const EVENTS: usize = 10_000;
    let (project, sender) = bench.project().await?;
    let mut receiver = Receiver::start(AT_ONCE).await?;
    bench.endpoint(&project, &receiver.url(), 100).await?;
    sender.send(callers, 500).await?;
    receiver.wait_for(500).await?;
    let (mut rates, mut costs, mut database, mut p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        receiver.take();
        let before = bench.processes()?.cpu_seconds()?;
        let before_database = bench.processes()?.database_seconds()?;
        let started = Instant::now();
        sender.send(callers, EVENTS).await?;
        receiver.wait_for(EVENTS).await?;
        rates.push(per_second(EVENTS, started.elapsed().as_secs_f64()));
        costs.push(bench.processes()?.cpu_seconds()? - before);
        database.push(bench.processes()?.database_seconds()? - before_database);
        p99.push(quantile(&mut receiver.take(), 0.99));
        *loaded = loaded.max(bench.processes()?.hub_memory()?);
    }
    row(&format!("deliver: 1 endpoint, {callers} callers, events/s"), &summary(&mut rates));
    row("        create to receipt, p99, ms", &summary(&mut p99));
    row("        CPU seconds per 10,000, hub and database", &summary(&mut costs));
    row("        of which the database", &summary(&mut database));
    Ok(())
}

async fn batch(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    const EVENTS: usize = 20_000;
    let (project, sender) = bench.project().await?;
    let mut receiver = Receiver::start(AT_ONCE).await?;
    bench.endpoint(&project, &receiver.url(), 100).await?;
    sender.send_batches(1, 500).await?;
    receiver.wait_for(500).await?;
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        receiver.take();
        let before = bench.processes()?.cpu_seconds()?;
        let started = Instant::now();
        sender.send_batches(2, EVENTS).await?;
        receiver.wait_for(EVENTS).await?;
        rates.push(per_second(EVENTS, started.elapsed().as_secs_f64()));
        costs.push((bench.processes()?.cpu_seconds()? - before) / 2.0);
    }
    row("batch: of 500, 1 endpoint, delivered, events/s", &summary(&mut rates));
    row("        CPU seconds per 10,000, hub and database", &summary(&mut costs));
    Ok(())
}

async fn fan_out(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    const EVENTS: usize = 2_000;
    let (project, sender) = bench.project().await?;
    let mut receiver = Receiver::start(AT_ONCE).await?;
    for _ in 0..10 {
        bench.endpoint(&project, &receiver.url(), 100).await?;
    }
    sender.send(16, 100).await?;
    receiver.wait_for(1_000).await?;
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        receiver.take();
        let before = bench.processes()?.cpu_seconds()?;
        let started = Instant::now();
        sender.send(16, EVENTS).await?;
        receiver.wait_for(EVENTS * 10).await?;
        rates.push(per_second(EVENTS * 10, started.elapsed().as_secs_f64()));
        costs.push((bench.processes()?.cpu_seconds()? - before) / 2.0);
    }
    row("fan-out: 10 endpoints, 16 callers, deliveries/s", &summary(&mut rates));
    row("        CPU seconds per 10,000 deliveries", &summary(&mut costs));
    Ok(())
}

async fn paced(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    let (project, sender) = bench.project().await?;
    let mut receiver = Receiver::start(AT_ONCE).await?;
    bench.endpoint(&project, &receiver.url(), 10).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let mut ages = ages_at_pace(&sender, &mut receiver, 500).await?;
        p50.push(quantile(&mut ages, 0.5));
        p99.push(quantile(&mut ages, 0.99));
    }
    row("paced: 50/s, create to receipt, p50, ms", &summary(&mut p50));
    row("        p99, ms", &summary(&mut p99));
    Ok(())
}

async fn ages_at_pace(
    sender: &super::load::Callers,
    receiver: &mut Receiver,
    events: usize,
) -> anyhow::Result<Vec<f64>> {
    receiver.take();
    sender.send_paced(50, events).await?;
    receiver.wait_for(events).await?;
    Ok(receiver.take())
}

async fn fairness(bench: &Bench, runs: usize) -> anyhow::Result<()> {
    let (project, sender) = bench.project().await?;
    let mut receiver = Receiver::start(AT_ONCE).await?;
    bench.endpoint(&project, &receiver.url(), 10).await?;
    let mut ratios = Vec::new();
    for _ in 0..runs {
        let mut alone = ages_at_pace(&sender, &mut receiver, 250).await?;
        let hanging = Receiver::start(Manner::Hang).await?;
        let (other, others) = bench.project().await?;
        bench.endpoint(&other, &hanging.url(), 10).await?;
        others.send_batches(1, 5_000).await?;
        let mut beside = ages_at_pace(&sender, &mut receiver, 250).await?;
        ratios.push(quantile(&mut beside, 0.99) / quantile(&mut alone, 0.99));
    }
    row("fairness: p99 beside 5,000 that hang, to p99 alone", &summary(&mut ratios));
    Ok(())
}

async fn hang_up(bench: &Bench) -> anyhow::Result<()> {
    const CALLS: usize = 2_000;
    let (project, sender) = bench.project().await?;
    let receiver = Receiver::start(AT_ONCE).await?;
    bench.endpoint(&project, &receiver.url(), 10).await?;
    sender.hang_up(CALLS, Duration::from_millis(8)).await?;
    let mut stored = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = bench.hub.get(&project, &format!("/v1/events?limit=200{cursor}")).await?;
        let events = page["data"].as_array().context("no list")?;
        stored.extend(events.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let missing = loop {
        let ids = receiver.ids();
        let missing = stored.iter().filter(|id| !ids.contains(*id)).count();
        if missing == 0 || Instant::now() > deadline {
            break missing;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let told = format!("{missing} never attempted of {} stored ({CALLS} calls)", stored.len());
    row("hang-up: callers gone after 8 ms", &told);
    Ok(())
}

async fn kill(bench: &mut Bench, runs: usize) -> anyhow::Result<()> {
    const EVENTS: usize = 2_000;
    let mut times = Vec::new();
    for _ in 0..runs {
        let (project, sender) = bench.project().await?;
        let mut receiver = Receiver::start(Manner::After(Duration::from_millis(50))).await?;
        bench.endpoint(&project, &receiver.url(), 50).await?;
        sender.send_batches(1, EVENTS).await?;
        receiver.wait_for(EVENTS / 4).await?;
        bench.hub.kill().await?;
        let started = Instant::now();
        bench.hub.restart(&bench.directory).await?;
        loop {
            // Counted before it is looked at: the last one may come in between.
            let came = receiver.count();
            if receiver.ids().len() >= EVENTS {
                break;
            }
            receiver.wait_for(came + 1).await?;
        }
        times.push(started.elapsed().as_secs_f64());
    }
    row("kill: -9 and restart, until the last delivery is made, s", &summary(&mut times));
    Ok(())
}
