//! Mail: how fast it is accepted, how fast while a heap of it waits, and how fast it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{Ground, Project};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::report::{quantile, say};
use crate::webhooks::cost::Processes;

/// Callers at once, each with a connection of its own.
const CALLERS: usize = 32;
/// Mails whose acceptance is measured.
const ACCEPTED: usize = 20_000;
/// Mails that wait while acceptance is measured again.
const WAITING: usize = 50_000;
/// Calls that are measured then, and how many of them a second.
const PACED: u64 = 4_000;
const PACE: u64 = 200;
/// Mails whose leaving is measured, and over how many connections.
const SENT: usize = 10_000;
const CONNECTIONS: usize = 8;

/// `part`: how much less is measured, for a quick look.
pub(crate) async fn measure(part: usize) -> anyhow::Result<()> {
    let (accepted, waiting, sent) = (ACCEPTED / part, WAITING / part, SENT / part);
    let mut ground = Ground::start().await?;
    // Nothing of what the hub says is read, and nothing leaves yet.
    ground.hub.set("TRASTIENDA_LOG", "error");
    ground.hub.set("TRASTIENDA_SMTP_URL", "");
    ground.hub.kill().await?;
    ground.hub.restart(&ground.directory).await?;
    let project = ground.hub.create_project("Mate y Compañía", "mates.example.com").await?;
    ground.hub.lift_limits(&project).await?;
    say(&format!(
        "mails from a template, {CALLERS} callers, hub and PostgreSQL and callers on this machine\n"
    ));

    let caller = Caller { url: ground.hub.url.clone(), project: project.clone(), client: client()? };
    accept(&caller, 500 / part).await?;
    tell_paced(500 / part, &mut paced(&caller).await?);
    let processes = processes(&ground)?;
    let (begun, before) = (Instant::now(), processes.cpu_seconds()?);
    let mut times = accept(&caller, accepted).await?;
    tell("accepted", accepted, begun.elapsed(), &mut times);
    tell_cost(accepted, processes.cpu_seconds()? - before);

    accept(&caller, waiting - accepted - 500 / part).await?;
    tell_paced(waiting, &mut paced(&caller).await?);

    let sink = Sink::start().await?;
    ground
        .hub
        .set("TRASTIENDA_SMTP_URL", &format!("smtp://127.0.0.1:{}?connections={CONNECTIONS}", sink.port));
    ground.hub.kill().await?;
    ground.hub.restart(&ground.directory).await?;
    // Not the first: what the hub does once at its start is no mail's price.
    let (first, begun) = sink.until(200).await?;
    let processes = self::processes(&ground)?;
    let before = processes.cpu_seconds()?;
    let (last, ended) = sink.until(first + sent).await?;
    let seconds = (ended - begun).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = (last - first) as f64 / seconds;
    say(&format!(
        "  {:<34} {rate:>6.0} a second   {} connections",
        format!("sent, {} over SMTP", last - first),
        sink.connections.load(Ordering::Relaxed)
    ));
    tell_cost(last - first, processes.cpu_seconds()? - before);
    ground.hub.stop().await
}

fn processes(ground: &Ground) -> anyhow::Result<Processes> {
    let file = ground.directory.path("hub").join("postgresql/data/postmaster.pid");
    let postmaster = std::fs::read_to_string(file)?.lines().next().context("an empty file")?.parse()?;
    Ok(Processes { hub: ground.hub.pid().context("the hub does not run")?, postmaster })
}

#[derive(Clone)]
struct Caller {
    url: String,
    project: Project,
    client: reqwest::Client,
}

impl Caller {
    /// One call; its milliseconds.
    async fn call(&self, number: usize) -> anyhow::Result<f64> {
        let data = json!({
            "order_id": format!("A-{number}"), "customer_name": "Ana", "total": "31500.00", "currency": "ARS",
            "items": [{"name": "Mate imperial", "quantity": 1, "price": "28500.00"}, {"name": "Yerba", "quantity": 2, "price": "1500.00"}],
        });
        let to = format!("cliente{number}@example.com");
        let body = json!({"channel": "email", "to": to, "template": "order_confirmation", "locale": "es-AR", "data": data});
        let begun = Instant::now();
        let request =
            self.client.post(format!("{}/v1/notifications", self.url)).bearer_auth(&self.project.key);
        let answer =
            request.header("Idempotency-Key", format!("bench-{number}-{begun:?}")).json(&body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status == 202, "{status}: {text}");
        Ok(begun.elapsed().as_secs_f64() * 1_000.0)
    }
}

/// As fast as it goes; sorted milliseconds.
async fn accept(caller: &Caller, count: usize) -> anyhow::Result<Vec<f64>> {
    let next = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (caller, next) = (caller.clone(), next.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(times);
                    }
                    times.push(caller.call(number).await?);
                }
            })
        })
        .collect();
    let mut times = Vec::with_capacity(count);
    for caller in callers {
        times.extend(caller.await??);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// At an even pace, whether or not the answers keep up; sorted milliseconds.
async fn paced(caller: &Caller) -> anyhow::Result<Vec<f64>> {
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / PACE));
    let mut calls = Vec::new();
    for number in 0..PACED {
        ticks.tick().await;
        let caller = caller.clone();
        calls.push(tokio::spawn(async move { caller.call(usize::try_from(number)?).await }));
    }
    let mut times = Vec::new();
    for call in calls {
        times.push(call.await??);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn tell_paced(waiting: usize, times: &mut [f64]) {
    say(&format!(
        "  {:<34} p50 {:>6.1} ms   p99 {:>6.1} ms   most {:>6.1} ms",
        format!("accepted at {PACE}/s, {waiting} waiting"),
        quantile(times, 0.5),
        quantile(times, 0.99),
        quantile(times, 1.0)
    ));
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn tell_cost(count: usize, seconds: f64) {
    let cost = seconds * 10_000.0 / count as f64;
    say(&format!("  {:<34} {cost:>6.1} CPU seconds per 10,000, hub and database", ""));
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn tell(what: &str, count: usize, time: Duration, times: &mut [f64]) {
    say(&format!(
        "  {:<34} {:>6.0} a second   p50 {:>6.1} ms   p99 {:>6.1} ms",
        format!("{what}, {count}"),
        count as f64 / time.as_secs_f64(),
        quantile(times, 0.5),
        quantile(times, 0.99)
    ));
}

/// A client that keeps its connections, as a shop's agent does.
fn client() -> anyhow::Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the benchmark's own client, not the hub's")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().pool_max_idle_per_host(CALLERS).build().context("no client")
}

/// An SMTP server that takes everything and keeps nothing.
struct Sink {
    port: u16,
    mails: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Sink {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (mails, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, open) = (mails.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                open.fetch_add(1, Ordering::Relaxed);
                let counted = counted.clone();
                tokio::spawn(async move { swallow(stream, &counted).await });
            }
        });
        Ok(Self { port, mails, connections })
    }

    /// The number of mails once there are so many, and when that was.
    async fn until(&self, count: usize) -> anyhow::Result<(usize, Instant)> {
        let deadline = Instant::now() + Duration::from_mins(5);
        loop {
            let mails = self.mails.load(Ordering::Relaxed);
            if mails >= count {
                return Ok((mails, Instant::now()));
            }
            ensure!(Instant::now() < deadline, "only {mails} of {count} mails left in five minutes");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn swallow(stream: TcpStream, mails: &AtomicUsize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::with_capacity(64 * 1024, read);
    write.write_all(b"220 sink\r\n").await.ok()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        let answer: &[u8] = match line.get(..4) {
            Some(b"DATA") => {
                write.write_all(b"354 go on\r\n").await.ok()?;
                loop {
                    line.clear();
                    if lines.read_until(b'\n', &mut line).await.ok()? == 0 {
                        return None;
                    }
                    if line == b".\r\n" {
                        break;
                    }
                }
                mails.fetch_add(1, Ordering::Relaxed);
                b"250 taken\r\n"
            }
            Some(b"QUIT") => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        write.write_all(answer).await.ok()?;
    }
}
