//! More callers than there is room for.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Directory, Hub, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::hub_memory::own_memory;

const CALLERS: usize = 5_000;
/// What the hub has room for by default.
const ROOM: usize = 4_096;

/// Asks without a key, and gives the answer's status and the connection, which stays open.
async fn ask(address: &str, path: &str) -> anyhow::Result<(u16, TcpStream)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: hub\r\n\r\n").as_bytes()).await?;
    let mut answer = [0; 12];
    let reading = stream.read_exact(&mut answer);
    tokio::time::timeout(Duration::from_mins(1), reading).await.context("no answer and no end")??;
    let status = std::str::from_utf8(&answer)?.strip_prefix("HTTP/1.1 ").context("no status")?.parse()?;
    Ok((status, stream))
}

#[tokio::test]
async fn five_thousand_connections_are_answered_or_told_and_the_hub_goes_on() -> anyhow::Result<()> {
    // Our own ends of them.
    let us = std::process::id().to_string();
    let raised = Command::new("/usr/bin/prlimit").args(["--pid", &us, "--nofile=6000:"]).status().await?;
    ensure!(raised.success(), "this test needs 6000 open files: raise the hard limit");
    let directory = Directory::new()?;
    let hub = Hub::start_alone(&directory).await?;
    let address = hub.url.trim_start_matches("http://").to_owned();
    let pid = hub.pid().context("the hub does not run")?;
    let before = own_memory(pid)?;

    let (mut open, mut told, mut unheard) = (Vec::new(), 0, 0);
    for _ in 0..CALLERS / 50 {
        let mut asking = JoinSet::new();
        for _ in 0..50 {
            let address = address.clone();
            asking.spawn(async move { ask(&address, "/v1/project").await });
        }
        while let Some(answer) = asking.join_next().await {
            match answer? {
                Ok((401, stream)) => open.push(stream),
                Ok((503, _)) => told += 1,
                Ok((status, _)) => anyhow::bail!("answered {status}"),
                Err(_) => unheard += 1,
            }
        }
    }
    let after = own_memory(pid)?;
    println!(
        "{} answered, {told} told, {unheard} unheard; {before} MiB before, {after} MiB after",
        open.len()
    );
    ensure!(open.len() == ROOM, "{} were answered", open.len());
    ensure!(told + unheard == CALLERS - ROOM && told > 0, "{told} told, {unheard} unheard");
    // A tenth of a MiB each, without optimisation: far from what a host would not have.
    ensure!(after < before + 400, "{before} MiB before, {after} MiB after");
    // Who watches the hub is answered while nobody else is.
    until("it says how it is", async || Ok((ask(&address, "/readyz").await?.0 == 200).then_some(()))).await?;
    // The connections that there are go on working.
    let mut first = open.swap_remove(0);
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: hub\r\n\r\n").await?;
    let mut rest = Vec::new();
    until("an open connection is answered", async || {
        let mut some = [0; 4_096];
        let read = first.read(&mut some).await?;
        ensure!(read > 0, "it was closed");
        rest.extend_from_slice(&some[..read]);
        Ok(String::from_utf8_lossy(&rest).contains("HTTP/1.1 200").then_some(()))
    })
    .await?;
    drop(open);
    until("there is room again", async || Ok((ask(&address, "/v1/project").await?.0 == 401).then_some(())))
        .await?;
    hub.stop().await
}
