//! A Redis that several hubs share, which can be killed and started again.

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Directory, Process, command, free_port, until};

/// The server. It keeps nothing on disk: who starts it again has an empty one.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    process: Option<Process>,
}

impl Redis {
    /// Starts one.
    pub async fn start(directory: &Directory) -> anyhow::Result<Self> {
        let mut this = Self { port: free_port()?, process: None };
        this.restart(directory).await?;
        Ok(this)
    }

    /// Its address, as hubs are told.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Starts it again at the same address.
    pub async fn restart(&mut self, directory: &Directory) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "Redis runs already");
        let mut server = command("/usr/bin/redis-server");
        server.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        server.current_dir(directory.path("."));
        let mut process = Process::spawn(directory, "redis", &mut server)?;
        until("Redis answers", async || {
            process.check_alive()?;
            Ok(Some(self.ask("PING").await?).filter(|answer| answer.contains("PONG")))
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it without warning.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("Redis does not run")?.kill().await
    }

    /// What it answers to a command, as it stands on the wire.
    pub async fn ask(&self, question: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        // It answers in the order of asking, and ends the connection after the last.
        stream.write_all(format!("{question}\r\nQUIT\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}
