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
    door: Door,
    name: String,
    program: PathBuf,
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
        Self::start_with(directory, name, &hub.url, project, Vec::new()).await
    }

    /// Starts one that pulls webhooks for an application.
    pub async fn start_pulling(
        directory: &Directory,
        name: &str,
        hub: &Hub,
        project: &Project,
        application: &str,
    ) -> anyhow::Result<Self> {
        let application =
            vec![("TRASTIENDA_AGENT_APP_URL", application.to_owned()), ("TRASTIENDA_LOG", "info".to_owned())];
        Self::start_with(directory, name, &hub.url, project, application).await
    }

    /// Starts one that reaches the hub by another address, with more settings or others.
    pub async fn start_with(
        directory: &Directory,
        name: &str,
        hub_url: &str,
        project: &Project,
        more: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let mut agent = Self::new(directory, name, hub_url, project)?;
        agent.settings.extend(more);
        agent.restart(directory).await?;
        Ok(agent)
    }

    /// One that is not started yet.
    pub fn new(directory: &Directory, name: &str, hub_url: &str, project: &Project) -> anyhow::Result<Self> {
        let socket = directory.path(&format!("{name}.sock"));
        let settings = vec![
            ("TRASTIENDA_HUB_URL", hub_url.to_owned()),
            ("TRASTIENDA_API_KEY", project.key.clone()),
            ("TRASTIENDA_SOCKET", socket.display().to_string()),
            ("TRASTIENDA_AGENT_DATA_DIR", directory.path(&format!("{name}-buffer")).display().to_string()),
            // What is tried must not depend on how full the machine's disk is.
            ("TRASTIENDA_BUFFER_MIN_FREE", "0".to_owned()),
            ("TRASTIENDA_LOG", "debug,hyper=info,h2=info,reqwest=info,rustls=info".to_owned()),
        ];
        let (door, program) = (Door::new(&socket)?, program("trastienda-agent")?);
        Ok(Self { socket, door, name: format!("agent-{name}"), program, settings, process: None })
    }

    /// Is another build from the next start on.
    pub fn set_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// Changes a setting; it counts when the agent is started again.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }

    /// Starts it again on the same buffer.
    pub async fn restart(&mut self, directory: &Directory) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "the agent runs already");
        let mut command = command(&self.program);
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

    /// Kills it for good.
    pub async fn stop_at_once(mut self) -> anyhow::Result<()> {
        self.kill().await
    }

    /// Ends it gracefully.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.pause().await
    }

    /// Ends it gracefully; [`Self::restart`] starts it again.
    pub async fn pause(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Runs one of its commands beside it, with its settings, and gives what it said.
    pub async fn tell(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = command(&self.program);
        command.args(arguments).env_clear().envs(self.settings.iter().map(|(k, v)| (k, v)));
        let output = command.output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }

    /// What speaks to it; it outlives the agent.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// How it stands.
    pub async fn status(&self) -> anyhow::Result<Value> {
        self.door.get("/agent/status").await
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
        self.door.post(path, body).await
    }
}

/// An agent's socket, from outside. It keeps no connection: the agent may have been killed since.
#[derive(Debug, Clone)]
pub struct Door(reqwest::Client);

impl Door {
    /// The door at a socket.
    pub fn new(socket: &Path) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "the tests' own client, on a Unix socket")]
        let builder = reqwest::Client::builder();
        Ok(Self(builder.unix_socket(socket.to_owned()).pool_max_idle_per_host(0).build()?))
    }

    /// A POST; the answer's status and body.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let answer = self.0.post(format!("http://localhost{path}")).json(body).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.0.get(format!("http://localhost{path}")).send().await?.json().await?)
    }
}
