//! Callers of the hub that cost as little as they can: a socket each, no HTTP library.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::{self, EventId, RandomIds};
use trastienda_protocol::time;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since this program began; events carry it, so that a receiver can tell their age.
pub(crate) fn now() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// An order of about 1 KB.
fn event(number: usize) -> String {
    let items: Vec<String> = (0..6)
        .map(|line| {
            format!(
                r#"{{"sku":"MATE-{line:04}","name":"Mate imperial de calabaza forrado en cuero","quantity":{},"price":"15400.00"}}"#,
                line + 1
            )
        })
        .collect();
    format!(
        r#"{{"type":"order.created","data":{{"sent_at":{},"order_id":"B-{number}","amount":"323400.00","currency":"ARS","customer":{{"name":"Ana Pérez","email":"ana@example.com","phone":"+54 9 11 5555 1234"}},"shipping":{{"street":"Av. Corrientes 1234","city":"Buenos Aires","postcode":"C1043"}},"items":[{}]}}}}"#,
        now(),
        items.join(","),
    )
}

/// A project's callers.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    pub(crate) hub: SocketAddr,
    pub(crate) key: String,
}

impl Callers {
    /// Sends events from so many callers at once, each waiting for its answer; how long each call took, in
    /// milliseconds, and all of them in seconds.
    pub(crate) async fn send(&self, callers: usize, total: usize) -> anyhow::Result<(Vec<f64>, f64)> {
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (caller, next) = (self.clone(), next.clone());
            tasks.spawn(async move {
                let mut connection = Connection::open(caller.hub).await?;
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        return anyhow::Ok(times);
                    }
                    let began = Instant::now();
                    connection.call(&caller.key, "/v1/events", &event(number), 202).await?;
                    times.push(began.elapsed().as_secs_f64() * 1e3);
                }
            });
        }
        let mut times = Vec::new();
        while let Some(task) = tasks.join_next().await {
            times.extend(task??);
        }
        Ok((times, started.elapsed().as_secs_f64()))
    }

    /// Sends events in batches of 500, as an agent does.
    pub(crate) async fn send_batches(&self, callers: usize, total: usize) -> anyhow::Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (caller, next) = (self.clone(), next.clone());
            tasks.spawn(async move {
                let mut connection = Connection::open(caller.hub).await?;
                loop {
                    let first = next.fetch_add(500, Ordering::Relaxed);
                    if first >= total {
                        return anyhow::Ok(());
                    }
                    let operations: Vec<String> = (first..(first + 500).min(total)).map(operation).collect();
                    let body = format!(r#"{{"operations":[{}]}}"#, operations.join(","));
                    connection.call(&caller.key, "/v1/batch", &body, 200).await?;
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    }

    /// Sends events at a pace, each on its time whether or not the one before was answered.
    pub(crate) async fn send_paced(&self, per_second: u32, total: usize) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        let mut tasks = JoinSet::new();
        let mut idle: Vec<Connection> = Vec::new();
        for number in 0..total {
            ticks.tick().await;
            while let Some(done) = tasks.try_join_next() {
                idle.push(done??);
            }
            let (caller, connection) = (self.clone(), idle.pop());
            tasks.spawn(async move {
                let mut connection = match connection {
                    Some(connection) => connection,
                    None => Connection::open(caller.hub).await?,
                };
                connection.call(&caller.key, "/v1/events", &event(number), 202).await?;
                anyhow::Ok(connection)
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Sends events and hangs up after a time, answered or not.
    pub(crate) async fn hang_up(&self, total: usize, after: Duration) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        for number in 0..total {
            let caller = self.clone();
            tasks.spawn(async move {
                let mut connection = Connection::open(caller.hub).await?;
                let body = event(number);
                let call = connection.call(&caller.key, "/v1/events", &body, 202);
                // Out of time is what is meant to happen.
                let _ = tokio::time::timeout(after, call).await;
                anyhow::Ok(())
            });
            if tasks.len() >= 32 {
                tasks.join_next().await.context("no caller")???;
            }
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    }
}

fn operation(number: usize) -> String {
    let id: EventId = ids::new(&RandomIds, &SystemClock);
    let accepted_at = time::format(SystemClock.now());
    format!(r#"{{"kind":"event","id":"{id}","accepted_at":"{accepted_at}","body":{}}}"#, event(number))
}

/// A connection to the hub.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens it.
    pub(crate) async fn open(hub: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(hub).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    async fn call(&mut self, key: &str, path: &str, body: &str, status: u16) -> anyhow::Result<()> {
        self.post(path, &format!("x-api-key: {key}\r\n"), body, status).await?;
        Ok(())
    }

    /// A POST with more headers, each with its line's end. Gives the whole answer.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &str,
        body: &str,
        status: u16,
    ) -> anyhow::Result<&[u8]> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: hub\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the hub hung up");
            if let Some(end) = message_end(&self.buffer)
                && self.buffer.len() >= end
            {
                break;
            }
        }
        let answered = self.buffer.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        if answered != Some(status) {
            bail!("{path}: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(&self.buffer)
    }
}

/// Where a message with a `Content-Length` ends, once its head is there.
pub(crate) fn message_end(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(head + length.unwrap_or(0))
}
