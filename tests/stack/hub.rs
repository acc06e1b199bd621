//! The hub, with its own PostgreSQL.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::signal;
use crate::{Catcher, Directory, Process, Simulator, command, free_port, program, until};

/// What opens `/admin`; long enough, and easy to find in a log if it ever got there.
const ADMIN_TOKEN: &str = "admin-token-of-the-demonstration-0123456789";

/// What seals secrets where several hubs share a database.
pub const MASTER_KEY: &str = "bWFzdGVyLWtleS1vZi0zMi1ieXRlcy1mb3ItdGVzdHM=";

/// A hub that can be killed and started again.
#[derive(Debug)]
pub struct Hub {
    /// Its address.
    pub url: String,
    name: String,
    program: PathBuf,
    settings: Vec<(&'static str, String)>,
    process: Option<Process>,
}

/// A project and its key.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Its API key.
    pub key: String,
}

impl Project {
    /// The part of its key that nobody may ever see again: `tk_test_`, a key id of 12 and `_` come before it, a checksum
    /// of 6 after it.
    pub fn secret(&self) -> &str {
        self.key.get(21..self.key.len() - 6).unwrap_or(&self.key)
    }
}

/// The settings of a hub on a database that is others' too.
fn sharing(database_url: String) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", database_url),
        ("TRASTIENDA_MASTER_KEY", MASTER_KEY.to_owned()),
        ("TRASTIENDA_LOG", "info,sqlx=error".to_owned()),
    ]
}

impl Hub {
    /// Starts it.
    pub async fn start(
        directory: &Directory,
        catcher: &Catcher,
        simulator: &Simulator,
    ) -> anyhow::Result<Self> {
        let settings = vec![
            ("TRASTIENDA_SMTP_URL", format!("smtp://{}", catcher.smtp)),
            ("TRASTIENDA_MAIL_FROM", "Mate y Compañía <hola@mates.example.com>".to_owned()),
            ("TRASTIENDA_MERCADOPAGO_URL", simulator.url.clone()),
            ("TRASTIENDA_LOG", "debug,sqlx=warn,hyper=info,h2=info,reqwest=info,rustls=info".to_owned()),
        ];
        Self::start_with(directory, "hub", settings).await
    }

    /// Starts it without anybody to talk to but receivers of webhooks, and with the logs that it has by default.
    pub async fn start_alone(directory: &Directory) -> anyhow::Result<Self> {
        Self::start_with(directory, "hub", Vec::new()).await
    }

    /// Starts it as a service manager does that wants to hear from it.
    pub async fn start_watched(
        directory: &Directory,
        notify_socket: &Path,
        watchdog: Duration,
    ) -> anyhow::Result<Self> {
        let settings = vec![
            ("NOTIFY_SOCKET", notify_socket.display().to_string()),
            ("WATCHDOG_USEC", watchdog.as_micros().to_string()),
        ];
        Self::start_with(directory, "hub", settings).await
    }

    /// Starts one of several on a database that they share.
    pub async fn start_sharing(
        directory: &Directory,
        name: &str,
        database_url: String,
    ) -> anyhow::Result<Self> {
        Self::start_sharing_with(directory, name, database_url, &[]).await
    }

    /// The same with more settings.
    pub async fn start_sharing_with(
        directory: &Directory,
        name: &str,
        database_url: String,
        more: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let settings = sharing(database_url).into_iter().chain(more.iter().cloned()).collect();
        Self::start_with(directory, name, settings).await
    }

    /// The same, of another build.
    pub async fn start_sharing_of(
        directory: &Directory,
        name: &str,
        database_url: String,
        program: PathBuf,
    ) -> anyhow::Result<Self> {
        Self::start_of(directory, name, sharing(database_url), program).await
    }

    /// Starts it beside the provider, with the logs that it has by default.
    pub async fn start_beside(directory: &Directory, simulator: &Simulator) -> anyhow::Result<Self> {
        Self::start_with(directory, "hub", vec![("TRASTIENDA_MERCADOPAGO_URL", simulator.url.clone())]).await
    }

    /// Starts it with a database, a mail server and a provider that are all elsewhere, and with little to log.
    pub async fn start_apart(
        directory: &Directory,
        database_url: String,
        catcher: &Catcher,
        simulator: &Simulator,
    ) -> anyhow::Result<Self> {
        let settings = vec![
            ("DATABASE_URL", database_url),
            ("TRASTIENDA_MASTER_KEY", MASTER_KEY.to_owned()),
            ("TRASTIENDA_SMTP_URL", format!("smtp://{}", catcher.smtp)),
            ("TRASTIENDA_MERCADOPAGO_URL", simulator.url.clone()),
            ("TRASTIENDA_LOG", "info,sqlx=error".to_owned()),
        ];
        Self::start_with(directory, "hub", settings).await
    }

    async fn start_with(
        directory: &Directory,
        name: &str,
        settings: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        Self::start_of(directory, name, settings, program("trastienda-hub")?).await
    }

    async fn start_of(
        directory: &Directory,
        name: &str,
        mut settings: Vec<(&'static str, String)>,
        program: PathBuf,
    ) -> anyhow::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        settings.extend([
            ("TRASTIENDA_DATA_DIR", directory.path(name).display().to_string()),
            ("TRASTIENDA_LISTEN", address.to_string()),
            ("TRASTIENDA_PUBLIC_URL", format!("http://{address}")),
            ("TRASTIENDA_ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
            ("TRASTIENDA_OUTBOUND_ALLOW", "127.0.0.0/8".to_owned()),
        ]);
        let mut hub = Self {
            url: format!("http://{address}"),
            name: name.to_owned(),
            program,
            settings,
            process: None,
        };
        hub.restart(directory).await?;
        Ok(hub)
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }

    /// Changes a setting; it counts when the hub is started again.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
    }

    /// Starts it again on the same data.
    pub async fn restart(&mut self, directory: &Directory) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "the hub runs already");
        let mut command = command(&self.program);
        command
            .arg("serve")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(self.settings.iter().map(|(k, v)| (k, v)));
        let mut process = Process::spawn(directory, &self.name, &mut command)?;
        let ready = format!("{}/readyz", self.url);
        until("the hub is ready", async || {
            process.check_alive()?;
            let answer = client()?.get(&ready).send().await;
            Ok(answer.ok().filter(|answer| answer.status() == StatusCode::OK).map(|_| ()))
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Waits until it is ready, after something that it needs was away.
    pub async fn until_ready(&self) -> anyhow::Result<()> {
        until("the hub is ready again", async || {
            let answer = client()?.get(format!("{}/readyz", self.url)).send().await?;
            Ok((answer.status() == StatusCode::OK).then_some(()))
        })
        .await
    }

    /// Kills it without warning.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the hub does not run")?.kill().await
    }

    /// Stops it in the middle of everything, as a machine does that hangs: its connections stay open.
    pub fn freeze(&self) {
        if let Some(pid) = self.process.as_ref().and_then(Process::pid) {
            signal("STOP", &pid.to_string());
        }
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) {
        if let Some(pid) = self.process.as_ref().and_then(Process::pid) {
            signal("CONT", &pid.to_string());
        }
    }

    /// Ends it gracefully; its PostgreSQL ends with it.
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
        command.args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        let output = command.envs(self.settings.iter().map(|(k, v)| (k, v))).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }

    /// What opens `/admin`.
    pub fn admin_token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// Makes a project.
    pub async fn create_project(&self, name: &str, domain: &str) -> anyhow::Result<Project> {
        let body = json!({"name": name, "domain": domain, "plan": "pro", "mode": "test"});
        let made = self.call(Method::POST, "/admin/v1/projects", ADMIN_TOKEN, Some(body)).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no project in the answer");
        Ok(Project { id: text(&made["project"]["id"])?, key: text(&made["api_key"])? })
    }

    /// Sets a project's limits.
    pub async fn set_limits(&self, project: &Project, limits: Value) -> anyhow::Result<()> {
        let path = format!("/admin/v1/projects/{}/limits", project.id);
        self.call(Method::PUT, &path, ADMIN_TOKEN, Some(limits)).await?;
        Ok(())
    }

    /// Lifts a project's limits, for measurements.
    pub async fn lift_limits(&self, project: &Project) -> anyhow::Result<()> {
        let most = 1_000_000_000;
        let body = json!({"requests_per_minute": most, "events_per_day": most, "emails_per_day": most, "payments_per_day": most});
        self.set_limits(project, body).await
    }

    /// Registers an endpoint and gives its secret.
    pub async fn create_endpoint(
        &self,
        project: &Project,
        url: &str,
        events: &[&str],
    ) -> anyhow::Result<String> {
        let made = self.post(project, "/v1/webhook-endpoints", json!({"url": url, "events": events})).await?;
        made["secret"].as_str().map(str::to_owned).context("no secret in the answer")
    }

    /// Gives a project its Mercado Pago credentials.
    pub async fn set_credentials(&self, project: &Project, simulator: &Simulator) -> anyhow::Result<()> {
        let body =
            json!({"access_token": simulator.access_token, "webhook_secret": simulator.webhook_secret});
        self.call(Method::PUT, "/v1/payment-providers/mercadopago", &project.key, Some(body)).await?;
        Ok(())
    }

    /// The sum of a counter over its labels, as `/metrics` tells it.
    pub async fn counter(&self, name: &str) -> anyhow::Result<f64> {
        let answer = client()?.get(format!("{}/metrics", self.url)).bearer_auth(ADMIN_TOKEN).send().await?;
        let text = answer.error_for_status()?.text().await?;
        let values = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        values.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?)).sum()
    }

    /// A GET as the operator.
    pub async fn admin(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, ADMIN_TOKEN, None).await
    }

    /// A GET as a project.
    pub async fn get(&self, project: &Project, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, &project.key, None).await
    }

    /// A POST as a project.
    pub async fn post(&self, project: &Project, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, &project.key, Some(body)).await
    }

    /// Starts a payment and waits for the provider's answer.
    pub async fn create_payment(
        &self,
        project: &Project,
        idempotency_key: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let request = client()?.post(format!("{}/v1/payments", self.url)).bearer_auth(&project.key);
        let answer = request.header("Idempotency-Key", idempotency_key).json(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "POST /v1/payments answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = client()?.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{method} {path} answered {status}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // A hub that was stopped has stopped its PostgreSQL; one that was killed has not.
        drop(self.process.take());
        let data =
            self.settings.iter().find(|(name, _)| *name == "TRASTIENDA_DATA_DIR").map(|(_, value)| value);
        let pid = data
            .and_then(|data| std::fs::read_to_string(format!("{data}/postgresql/data/postmaster.pid")).ok());
        let Some(pid) = pid.as_deref().and_then(|text| text.lines().next()) else { return };
        signal("QUIT", pid);
        // Not for ever, and not before it has gone: it writes into the directory that is deleted next.
        let running = PathBuf::from(format!("/proc/{pid}/cmdline"));
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::fs::read(&running).is_ok_and(|line| !line.is_empty()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A client for calls to this machine. It keeps no connection: who answers may have been killed since.
pub fn client() -> anyhow::Result<reqwest::Client> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    // The first caller installs it; the others find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the tests' own client, not the hub's")]
    let builder = reqwest::Client::builder();
    let builder = builder.no_proxy().redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0);
    let client = builder.build()?;
    Ok(CLIENT.get_or_init(|| client).clone())
}
