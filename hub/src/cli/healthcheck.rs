//! `trastienda-hub healthcheck`: for containers and supervisors.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::say;

#[derive(Args)]
pub(super) struct HealthcheckArgs {
    /// The hub's address.
    #[arg(long, env = "TRASTIENDA_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
}

impl HealthcheckArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut address: SocketAddr =
            self.listen.parse().context("TRASTIENDA_LISTEN: must be an address and a port")?;
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        let answer = tokio::time::timeout(Duration::from_secs(5), ask(address))
            .await
            .context("no answer within 5 seconds")??;
        let ready = answer.starts_with("HTTP/1.1 200");
        say(answer.rsplit("\r\n\r\n").next().unwrap_or_default());
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

// One request on loopback: no client, no pool, no TLS.
async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream =
        TcpStream::connect(address).await.with_context(|| format!("nothing listens on {address}"))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
