//! The agent beside a shop.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{Directory, Hub, Process, Project, command, program, until};

/// An agent that can be killed and started again.
#[derive(Debug)]
pub struct Agent {
    /// Its socket.
    pub socket: PathBuf,
    name: String,
    settings: Vec<(&'static str, String)>,
    process: Option<Process>,
}

impl Agent {
    /// Starts an agent for a project.
    pub async fn start(
        directory: &Directory,
        name: &str,
        hub: &Hub,
        project: &Project,
    ) -> anyhow::Result<Self> {
        let socket = directory.path(&format!("{name}.sock"));
        let settings = vec![
            ("TRASTIENDA_HUB_URL", hub.url.clone()),
            ("TRASTIENDA_API_KEY", project.key.clone()),
            ("TRASTIENDA_SOCKET", socket.display().to_string()),
            ("TRASTIENDA_AGENT_DATA_DIR", directory.path(&format!("{name}-buffer")).display().to_string()),
            ("TRASTIENDA_LOG", "debug,hyper=info,h2=info,reqwest=info,rustls=info".to_owned()),
        ];
        let mut agent = Self { socket, name: format!("agent-{name}"), settings, process: None };
        agent.restart(directory).await?;
        Ok(agent)
    }

    /// Starts it again on the same buffer.
    pub async fn restart(&mut self, directory: &Directory) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "the agent runs already");
        let mut command = command(program("trastienda-agent")?);
        command.arg("run").env_clear().envs(self.settings.iter().map(|(k, v)| (k, v)));
        let mut process = Process::spawn(directory, &self.name, &mut command)?;
        until("the agent answers", async || {
            process.check_alive()?;
            self.status().await.map(Some)
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it without warning.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the agent does not run")?.kill().await
    }

    /// Ends it gracefully.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// How it stands.
    pub async fn status(&self) -> anyhow::Result<Value> {
        Ok(client(&self.socket)?.get("http://localhost/agent/status").send().await?.json().await?)
    }

    /// Waits until nothing is buffered any more.
    pub async fn until_drained(&self) -> anyhow::Result<()> {
        until("the agent has handed everything over", async || {
            Ok((self.status().await?["buffered"] == 0).then_some(()))
        })
        .await
    }

    /// A POST on its socket; the answer's status and body.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        post_to(&self.socket, path, body).await
    }
}

/// A POST on an agent's socket, for callers that are not told when it dies.
pub async fn post_to(socket: &Path, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
    let answer = client(socket)?.post(format!("http://localhost{path}")).json(body).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

fn client(socket: &Path) -> anyhow::Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the tests' own client, on a Unix socket")]
    Ok(reqwest::Client::builder().unix_socket(socket.to_owned()).build()?)
}
