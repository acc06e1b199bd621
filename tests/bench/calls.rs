//! What a call costs the shop, beside what it would have cost otherwise.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use e2e::{Postgres, Shop, Stack, Transport, root};
use tokio::net::TcpListener;

use crate::report::{quantile, say};

const CALLS: usize = 300;
/// PHP processes that call at the same time, and how many calls each makes: few, while files still grow, and many.
const TOGETHER: usize = 16;
const CALLS_TOGETHER: [usize; 2] = [CALLS, 3_000];
/// Events that wait when the hub comes, and how many of a single order do, which go one by one.
const BACKLOG: usize = 100_000;
const HOT: usize = 2_000;
/// Between two calls when there are fifty a second, in microseconds.
const FIFTY_A_SECOND: u32 = 20_000;
/// How long an idle agent is watched.
const IDLE: Duration = Duration::from_secs(10);
const DRAINED_WITHIN: Duration = Duration::from_mins(10);

/// One way of telling somebody that an order was created.
pub(crate) struct Way {
    name: &'static str,
    transport: Transport,
    kind: &'static str,
}

const BARE: Way = Way { name: "bare SQLite commit (FULL)", transport: Transport::Extension, kind: "sqlite" };
pub(crate) const NATIVE: Way =
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
    idle(&stack).await?;
    let mut reference = None;
    for way in WAYS {
        let first = line(&stack, &way, way.name, runs, 0).await?;
        reference.get_or_insert(first);
    }
    queue_on_postgres(&stack, runs).await?;
    let bare = reference.unwrap_or_default();
    let hub = stack.hub.url.clone();
    let up = line(&stack, &NATIVE, "… 50/s, hub up and taking them", runs.min(3), FIFTY_A_SECOND).await?;
    stack.hub.kill().await?;
    let paced = line(&stack, &NATIVE, "… 50/s, hub down", runs.min(3), FIFTY_A_SECOND).await?;
    let (down, ratio) = away(&mut stack, &hub, runs).await?;
    say(&format!(
        "  at 50/s, hub up to down {:.2}×; black-holed to down {ratio}, down to bare {:+.0} µs",
        up / paced,
        down - bare,
    ));
    together(&stack, runs).await?;
    set(&mut stack, "TRASTIENDA_DURABILITY", "process").await?;
    line(&stack, &NATIVE, "… durability = process", runs, 0).await?;
    drain(&mut stack, &hub).await?;
    stack.stop().await
}

/// Calls while nothing listens where the hub should be, and while connections are made there and nobody ever answers, in
/// turns. The first one's p50, and what the second takes compared with it.
async fn away(stack: &mut Stack, hub: &str, runs: usize) -> anyhow::Result<(f64, String)> {
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let hole = format!("http://{}", silent.local_addr()?);
    let (mut down, mut black, mut ratios) = (Times::default(), Times::default(), Vec::new());
    for _ in 0..runs {
        set(stack, "TRASTIENDA_HUB_URL", hub).await?;
        let refused = down.add(run(&stack.shop_a, &NATIVE, &Pace::default()).await?);
        set(stack, "TRASTIENDA_HUB_URL", &hole).await?;
        ratios.push(black.add(run(&stack.shop_a, &NATIVE, &Pace::default()).await?) / refused);
    }
    let p50 = down.print("… hub down");
    black.print("… hub black-holed");
    let (least, median, most) = spread(&mut ratios);
    Ok((p50, format!("{median:.2}× ({least:.2} to {most:.2})")))
}

/// What an agent costs that nobody calls.
async fn idle(stack: &Stack) -> anyhow::Result<()> {
    let pid = stack.agent.pid().context("the agent does not run")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = cpu_ticks(pid)?;
    tokio::time::sleep(IDLE).await;
    // A hundred ticks are a second.
    #[expect(clippy::cast_precision_loss, reason = "few ticks")]
    let percent = (cpu_ticks(pid)? - before) as f64 / IDLE.as_secs_f64();
    say(&format!("  agent idle: {} KiB resident, {percent:.2} % CPU\n", resident_kib(pid)));
    Ok(())
}

/// Laravel's queue in a PostgreSQL that syncs, where PHP can speak to one.
async fn queue_on_postgres(stack: &Stack, runs: usize) -> anyhow::Result<()> {
    let name = "Laravel's database queue (PostgreSQL)";
    let modules = e2e::command("php").arg("-m").output().await?;
    if !String::from_utf8_lossy(&modules.stdout).contains("pdo_pgsql") {
        say(&format!("  {name}: not compared, PHP has no pdo_pgsql"));
        return Ok(());
    }
    let postgres = Postgres::start_durable(&stack.directory).await?;
    let way = Way { name, transport: Transport::Extension, kind: "pgqueue" };
    measure_line(stack, &way, name, runs, &Pace { port: postgres.port, ..Pace::default() }).await?;
    Ok(())
}

pub(crate) async fn set(stack: &mut Stack, name: &'static str, value: &str) -> anyhow::Result<()> {
    stack.agent.set(name, value);
    stack.agent.kill().await?;
    stack.agent.restart(&stack.directory).await
}

/// How the calls of a run are made.
struct Pace {
    calls: usize,
    /// Between two calls, in microseconds.
    pause: u32,
    /// When to begin, in seconds since 1970; at once if that is over.
    start: f64,
    /// Where the PostgreSQL listens that is compared, if one is.
    port: u16,
}

impl Default for Pace {
    fn default() -> Self {
        Self { calls: CALLS, pause: 0, start: 0.0, port: 0 }
    }
}

/// Measures one way and prints its line; gives its p50.
pub(crate) async fn line(
    stack: &Stack,
    way: &Way,
    name: &str,
    runs: usize,
    pause: u32,
) -> anyhow::Result<f64> {
    measure_line(stack, way, name, runs, &Pace { pause, ..Pace::default() }).await
}

async fn measure_line(stack: &Stack, way: &Way, name: &str, runs: usize, pace: &Pace) -> anyhow::Result<f64> {
    let mut times = Times::default();
    for _ in 0..runs {
        times.add(run(&stack.shop_a, way, pace).await?);
    }
    Ok(times.print(name))
}

/// The runs of one way.
#[derive(Default)]
struct Times {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Times {
    /// Adds a run; gives its p50.
    fn add(&mut self, mut times: Vec<f64>) -> f64 {
        let p50 = quantile(&mut times, 0.5);
        self.p50.push(p50);
        self.p99.push(quantile(&mut times, 0.99));
        p50
    }

    /// Prints the line of a way; gives its p50.
    fn print(&mut self, name: &str) -> f64 {
        let (least, p50, most) = spread(&mut self.p50);
        let p99 = quantile(&mut self.p99, 0.5);
        say(&format!("  {name:<44} p50 {p50:>8.0} ({least:.0} to {most:.0})   p99 {p99:>8.0}"));
        p50
    }
}

/// Many processes at once, and as many that commit into one file, in turns: the machine is not equally quick all the time.
async fn together(stack: &Stack, runs: usize) -> anyhow::Result<()> {
    let shared = Way { name: "into one SQLite file", transport: Transport::Extension, kind: "shared" };
    for calls in CALLS_TOGETHER {
        let (mut files, mut agents, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            let file = rate_together(stack, &shared, calls).await?;
            let agent = rate_together(stack, &NATIVE, calls).await?;
            files.push(file);
            agents.push(agent);
            ratios.push(agent / file);
        }
        for (way, rates) in [(&shared, &mut files), (&NATIVE, &mut agents)] {
            let (least, median, most) = spread(rates);
            say(&format!(
                "  {TOGETHER} processes at once, {calls} calls each, {:<34} {median:>8.0}/s ({least:.0} to {most:.0})",
                way.name,
            ));
        }
        let (least, median, most) = spread(&mut ratios);
        say(&format!("  … {median:.1}× ({least:.1} to {most:.1})"));
    }
    Ok(())
}

/// The least, the median, the most.
fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    let median = quantile(values, 0.5);
    (values.first().copied().unwrap_or_default(), median, values.last().copied().unwrap_or_default())
}

/// Calls a second of all processes.
async fn rate_together(stack: &Stack, way: &Way, calls: usize) -> anyhow::Result<f64> {
    #[expect(clippy::disallowed_methods, reason = "processes agree on when to begin")]
    let start = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() + 4.0;
    let pace = Pace { calls, start, ..Pace::default() };
    let running = (0..TOGETHER).map(|_| run(&stack.shop_a, way, &pace));
    let times = futures_all(running.collect()).await?;
    // The slowest process decides when all is done.
    let longest = times.iter().map(|times| times.iter().sum::<f64>()).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "few calls")]
    Ok((TOGETHER * calls) as f64 / longest * 1e6)
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

/// A backlog, into a hub that comes back; and one of a single order.
async fn drain(stack: &mut Stack, hub: &str) -> anyhow::Result<()> {
    for (count, kind, what) in [(BACKLOG, "native", "events"), (HOT, "hot", "events of one order")] {
        let script = root().join("tests/bench/calls.php");
        stack.shop_a.script(Transport::Extension, &script, &[&count.to_string(), kind]).await?;
        let waiting = buffered(stack).await?;
        stack.hub.restart(&stack.directory).await?;
        set(stack, "TRASTIENDA_HUB_URL", hub).await?;
        let since = Instant::now();
        let mut resident = 0;
        // Longer than the tests' patience, on a machine that does other things as well.
        while buffered(stack).await? != 0 {
            ensure!(since.elapsed() < DRAINED_WITHIN, "the backlog is not handed over");
            resident = resident.max(stack.agent.pid().map_or(0, resident_kib));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "few calls")]
        let rate = waiting as f64 / since.elapsed().as_secs_f64();
        say(&format!(
            "  draining {waiting} {what} into the hub: {rate:.0}/s, agent's resident memory at most {resident} KiB"
        ));
        stack.hub.kill().await?;
    }
    stack.hub.restart(&stack.directory).await
}

/// Calls that wait in the agent.
pub(crate) async fn buffered(stack: &Stack) -> anyhow::Result<u64> {
    stack.agent.status().await?["buffered"].as_u64().context("no number")
}

/// User and system time of a process, in hundredths of a second.
fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
    Ok(ticks(11).context("no user time")? + ticks(12).context("no system time")?)
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

async fn run(shop: &Shop, way: &Way, pace: &Pace) -> anyhow::Result<Vec<f64>> {
    let script = root().join("tests/bench/calls.php");
    let (calls, pause, port) = (pace.calls.to_string(), pace.pause.to_string(), pace.port.to_string());
    let arguments = [calls, way.kind.to_owned(), pause, format!("{:.3}", pace.start), port];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = shop.script(way.transport, &script, &arguments).await?;
    let line = output.lines().last().context("the script printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("{}: {output}", way.name))
}
