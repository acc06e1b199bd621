//! What a call costs the shop, beside what it would have cost otherwise.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use e2e::{Shop, Stack, Transport, root};
use tokio::net::TcpListener;

use crate::report::{quantile, say};

const CALLS: usize = 300;
/// PHP processes that call at the same time.
const TOGETHER: usize = 16;
/// Events that wait when the hub comes.
const BACKLOG: usize = 100_000;
const DRAINED_WITHIN: Duration = Duration::from_mins(10);

/// One way of telling somebody that an order was created.
struct Way {
    name: &'static str,
    transport: Transport,
    kind: &'static str,
}

const BARE: Way = Way { name: "bare SQLite commit (FULL)", transport: Transport::Extension, kind: "sqlite" };
const NATIVE: Way =
    Way { name: "trastienda_event() → agent, on disk", transport: Transport::Extension, kind: "native" };

const WAYS: [Way; 7] = [
    BARE,
    NATIVE,
    Way {
        name: "Trastienda::event(), extension, on disk",
        transport: Transport::Extension,
        kind: "trastienda",
    },
    Way { name: "Trastienda::event(), pure PHP, on disk", transport: Transport::Socket, kind: "trastienda" },
    Way {
        name: "Trastienda::event(), HTTP → hub, committed",
        transport: Transport::Http,
        kind: "trastienda",
    },
    Way { name: "Guzzle → hub, committed", transport: Transport::Http, kind: "guzzle" },
    Way { name: "Laravel's database queue (SQLite, FULL)", transport: Transport::Extension, kind: "queue" },
];

/// Measures all ways.
pub(crate) async fn measure(runs: usize) -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    // The limit of a plan is not what is measured, nor is what a test wants to read in a log.
    stack.hub.lift_limits(&stack.project_a).await?;
    set(&mut stack, "TRASTIENDA_LOG", "warn").await?;
    say(&format!(
        "{CALLS} calls of 1 KB from one PHP process, {runs} runs, microseconds: median of the runs (least to most)\n"
    ));
    let mut reference = None;
    for way in WAYS {
        let first = line(&stack, &way, way.name, runs, 0).await?;
        reference.get_or_insert(first);
    }
    let bare = reference.unwrap_or_default();
    let hub = stack.hub.url.clone();
    let up = line(&stack, &NATIVE, "… hub up, taking 50/s", runs.min(3), 20_000).await?;
    stack.hub.kill().await?;
    let down = line(&stack, &NATIVE, "… hub down", runs, 0).await?;
    // Connections are made and nobody ever answers.
    let hole = TcpListener::bind("127.0.0.1:0").await?;
    set(&mut stack, "TRASTIENDA_HUB_URL", &format!("http://{}", hole.local_addr()?)).await?;
    let black = line(&stack, &NATIVE, "… hub black-holed", runs, 0).await?;
    say(&format!(
        "  hub up to down {:.2}×, black-holed to down {:.2}×, down to bare {:+.0} µs",
        up / down,
        black / down,
        down - bare,
    ));
    together(&stack, runs.min(3)).await?;
    set(&mut stack, "TRASTIENDA_DURABILITY", "process").await?;
    line(&stack, &NATIVE, "… durability = process", runs, 0).await?;
    drain(&mut stack, &hub).await?;
    stack.stop().await
}

async fn set(stack: &mut Stack, name: &'static str, value: &str) -> anyhow::Result<()> {
    stack.agent.set(name, value);
    stack.agent.kill().await?;
    stack.agent.restart(&stack.directory).await
}

/// Measures one way and prints its line; gives its p50.
async fn line(stack: &Stack, way: &Way, name: &str, runs: usize, pause: u32) -> anyhow::Result<f64> {
    let mut medians = Vec::new();
    let mut worst = Vec::new();
    for _ in 0..runs {
        let mut times = run(&stack.shop_a, way, pause, 0.0).await?;
        medians.push(quantile(&mut times, 0.5));
        worst.push(quantile(&mut times, 0.99));
    }
    let p50 = quantile(&mut medians, 0.5);
    say(&format!(
        "  {name:<44} p50 {p50:>8.0} ({:.0} to {:.0})   p99 {:>8.0}",
        medians.first().copied().unwrap_or_default(),
        medians.last().copied().unwrap_or_default(),
        quantile(&mut worst, 0.5),
    ));
    Ok(p50)
}

/// Many processes at once, beside as many that commit into one file.
async fn together(stack: &Stack, runs: usize) -> anyhow::Result<()> {
    let shared = Way { name: "shared", transport: Transport::Extension, kind: "shared" };
    for way in [&shared, &NATIVE] {
        let mut rates = Vec::new();
        for _ in 0..runs {
            #[expect(clippy::disallowed_methods, reason = "processes agree on when to begin")]
            let start = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() + 4.0;
            let calls = (0..TOGETHER).map(|_| run(&stack.shop_a, way, 0, start));
            let times = futures_all(calls.collect()).await?;
            // The slowest process decides when all is done.
            let longest = times.iter().map(|times| times.iter().sum::<f64>()).fold(0.0, f64::max);
            #[expect(clippy::cast_precision_loss, reason = "few calls")]
            rates.push((TOGETHER * CALLS) as f64 / longest * 1e6);
        }
        say(&format!(
            "  {TOGETHER} processes at once, {:<22} {:>8.0}/s",
            way.name,
            quantile(&mut rates, 0.5)
        ));
    }
    Ok(())
}

async fn futures_all<T>(futures: Vec<impl Future<Output = anyhow::Result<T>>>) -> anyhow::Result<Vec<T>> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).map(Some).collect();
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in futures.iter_mut().zip(results.iter_mut()) {
            if let Some(waiting) = future
                && let std::task::Poll::Ready(done) = waiting.as_mut().poll(context)
            {
                *future = None;
                match done {
                    Ok(value) => *result = Some(value),
                    Err(error) => return std::task::Poll::Ready(Err(error)),
                }
            }
        }
        if futures.iter().all(Option::is_none) {
            return std::task::Poll::Ready(Ok(()));
        }
        std::task::Poll::Pending
    })
    .await?;
    Ok(results.into_iter().flatten().collect())
}

/// A backlog, into a hub that comes back.
async fn drain(stack: &mut Stack, hub: &str) -> anyhow::Result<()> {
    let script = root().join("tests/bench/calls.php");
    let count = BACKLOG.to_string();
    stack.shop_a.script(Transport::Extension, &script, &[&count, "native"]).await?;
    let waiting = stack.agent.status().await?["buffered"].as_u64().context("no number")?;
    stack.hub.restart(&stack.directory).await?;
    set(stack, "TRASTIENDA_HUB_URL", hub).await?;
    let since = Instant::now();
    let mut resident = 0;
    // Longer than the tests' patience, on a machine that does other things as well.
    while stack.agent.status().await?["buffered"] != 0 {
        ensure!(since.elapsed() < DRAINED_WITHIN, "the backlog is not handed over");
        resident = resident.max(stack.agent.pid().map_or(0, resident_kib));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "few calls")]
    let rate = waiting as f64 / since.elapsed().as_secs_f64();
    say(&format!(
        "  draining {waiting} events into the hub: {rate:.0}/s, agent's resident memory at most {resident} KiB"
    ));
    Ok(())
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

async fn run(shop: &Shop, way: &Way, pause: u32, start: f64) -> anyhow::Result<Vec<f64>> {
    let script = root().join("tests/bench/calls.php");
    let arguments = [CALLS.to_string(), way.kind.to_owned(), pause.to_string(), format!("{start:.3}")];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = shop.script(way.transport, &script, &arguments).await?;
    let line = output.lines().last().context("the script printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("{}: {output}", way.name))
}
