//! A Laravel shop: served by PHP, with the extension loaded.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::hub::client;
use crate::{Agent, Directory, Hub, Process, Project, command, extension, free_port, root, until};

/// PHP's server leaves its workers behind when it is told to end, so whoever is told ends the whole group.
const WITH_WORKERS: &str = r#"trap 'kill -s KILL 0' TERM; "$@" & wait"#;

/// How a shop's calls travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The native extension, to the agent.
    Extension,
    /// Pure PHP on the agent's socket.
    Socket,
    /// Straight to the hub.
    Http,
}

impl Transport {
    /// As the package's configuration names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::Socket => "socket",
            Self::Http => "http",
        }
    }
}

/// One of the example shops.
#[derive(Debug)]
pub struct Shop {
    /// Its address, once it is served.
    pub url: String,
    name: &'static str,
    code: PathBuf,
    extension: PathBuf,
    environment: Vec<(&'static str, String)>,
    log_directory: PathBuf,
    process: Option<Process>,
}

impl Shop {
    /// A shop that is not served yet. Without an agent it calls the hub.
    pub fn new(
        directory: &Directory,
        name: &'static str,
        project: &Project,
        hub: &Hub,
        agent: Option<&Agent>,
    ) -> anyhow::Result<Self> {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let storage = directory.path(name);
        let mut environment = vec![
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("APP_KEY", "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
            ("APP_URL", url.clone()),
            ("SHOP_STORAGE", storage.display().to_string()),
            ("TRASTIENDA_API_KEY", project.key.clone()),
            ("TRASTIENDA_URL", hub.url.clone()),
            ("PHP_CLI_SERVER_WORKERS", "4".to_owned()),
        ];
        match agent {
            Some(agent) => {
                environment.push(("TRASTIENDA_SOCKET", agent.socket.display().to_string()));
                environment.push(("TRASTIENDA_TRANSPORT", Transport::Extension.as_str().to_owned()));
            }
            None => environment.push(("TRASTIENDA_TRANSPORT", Transport::Http.as_str().to_owned())),
        }
        let code = root().join("examples").join(name);
        Ok(Self {
            url,
            name,
            code,
            extension: extension()?,
            environment,
            log_directory: storage,
            process: None,
        })
    }

    /// Loads another build of the extension.
    pub fn set_extension(&mut self, extension: PathBuf) {
        self.extension = extension;
    }

    /// Where its webhooks arrive.
    pub fn webhook_url(&self) -> String {
        format!("{}/webhooks/trastienda", self.url)
    }

    /// Whether nothing but this machine can connect to it: every socket that listens on its port is on the loopback.
    pub fn has_no_open_port(&self) -> anyhow::Result<bool> {
        let port: u16 = self.url.rsplit(':').next().unwrap_or_default().parse()?;
        let mut listening = Vec::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            // A machine without IPv6 has no second one.
            let text = std::fs::read_to_string(table).unwrap_or_default();
            let of_port = text.lines().filter_map(|line| {
                // sl local_address rem_address st …, in proc(5): 0A is LISTEN.
                let mut fields = line.split_whitespace().skip(1);
                let (address, state) = (fields.next()?, fields.nth(1)?);
                let (address, of) = address.split_once(':')?;
                (state == "0A" && u16::from_str_radix(of, 16) == Ok(port)).then(|| address.to_owned())
            });
            listening.extend(of_port);
        }
        ensure!(!listening.is_empty(), "nothing listens on the shop's port {port}");
        Ok(listening.iter().all(|address| address == "0100007F"))
    }

    /// Serves it, with the secret of the endpoint that points to it.
    pub async fn serve(&mut self, webhook_secret: &str) -> anyhow::Result<()> {
        self.environment.push(("TRASTIENDA_WEBHOOK_SECRET", webhook_secret.to_owned()));
        self.artisan(None, &["migrate", "--force"]).await?;
        let address = self.url.trim_start_matches("http://").to_owned();
        let mut server = command("/bin/sh");
        server.args(["-c", WITH_WORKERS, "sh", "php"]);
        self.prepare(&mut server, None);
        server.args(["-S", &address, "-t", "public", "public/index.php"]);
        let directory = self.log_directory.parent().context("the shop's storage has no parent")?;
        let log = directory.join(format!("{}.log", self.name));
        let mut process = Process::spawn_at(self.name, &mut server, log)?;
        until(&format!("{} is served", self.name), async || {
            process.check_alive()?;
            Ok(client()?
                .get(format!("{}/received", self.url))
                .send()
                .await?
                .status()
                .is_success()
                .then_some(()))
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Sells something from the shell, as the shop's own command does, and gives its answer.
    pub async fn order(
        &self,
        transport: Option<Transport>,
        product: &str,
        email: &str,
        phone: Option<&str>,
    ) -> anyhow::Result<Value> {
        let phone = phone.map(|phone| format!("--phone={phone}"));
        let mut arguments = vec!["shop:order", product, email, "--name=Ana"];
        arguments.extend(phone.as_deref());
        let output = self.artisan(transport, &arguments).await?;
        let line =
            output.lines().rev().find(|line| line.starts_with('{')).context("the shop printed no JSON")?;
        let answer: Value = serde_json::from_str(line)?;
        ensure!(answer["problems"] == json!([]), "the shop had problems: {answer}");
        Ok(answer)
    }

    /// Starts an order's payment over HTTP.
    pub async fn checkout(&self, order_id: &str) -> anyhow::Result<Value> {
        let answer = client()?.post(format!("{}/orders/{order_id}/checkout", self.url)).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(
            status.is_success(),
            "the checkout answered {status}: {}",
            text.chars().take(2_000).collect::<String>()
        );
        Ok(serde_json::from_str(&text)?)
    }

    /// An order as the shop shows it.
    pub async fn show(&self, order_id: &str) -> anyhow::Result<Value> {
        Ok(client()?.get(format!("{}/orders/{order_id}", self.url)).send().await?.json().await?)
    }

    /// The webhooks that it received, verified and kept.
    pub async fn received(&self) -> anyhow::Result<Vec<Value>> {
        let document: Value = client()?.get(format!("{}/received", self.url)).send().await?.json().await?;
        let list = document.as_array().or_else(|| document["data"].as_array()).cloned();
        list.with_context(|| format!("no list of webhooks: {document}"))
    }

    /// What it answers to a webhook that somebody else signed.
    pub async fn receive_forged(&self, event_type: &str, order_id: &str) -> anyhow::Result<u16> {
        let id = "evt_019cafe00000700080000000000000ff";
        #[expect(clippy::disallowed_methods, reason = "the shop compares with its own clock")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let body = json!({"id": id, "type": event_type, "timestamp": "2026-01-01T00:00:00.000Z", "project": "prj_0", "data": {"order_id": order_id}});
        let call = client()?.post(self.webhook_url()).json(&body);
        let call = call.header("webhook-id", id).header("webhook-timestamp", now.to_string());
        let signature = "v1,Zm9yZ2VkIGJ5IHNvbWVib2R5IGVsc2UsIDMyIGJ5dGU=";
        Ok(call.header("webhook-signature", signature).send().await?.status().as_u16())
    }

    /// How often it handled an event type for an order.
    pub async fn count_received(&self, event_type: &str, order_id: &str) -> anyhow::Result<usize> {
        let received = self.received().await?;
        let matches = |webhook: &&Value| webhook["type"] == event_type && order_of(webhook) == Some(order_id);
        Ok(received.iter().filter(matches).count())
    }

    /// Runs an artisan command with the extension loaded and gives what it printed.
    pub async fn artisan(&self, transport: Option<Transport>, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.php(transport).arg("artisan").args(arguments).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "artisan {} failed: {text}{errors}", arguments.join(" "));
        Ok(text)
    }

    /// Runs a PHP script that is given the shop's directory, with the extension loaded, and gives what it printed.
    pub async fn script(
        &self,
        transport: Transport,
        script: &Path,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        let output = self.php(Some(transport)).arg(script).arg(&self.code).args(arguments).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{} failed: {text}{}",
            script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }

    fn php(&self, transport: Option<Transport>) -> Command {
        let mut php = command("php");
        self.prepare(&mut php, transport);
        php
    }

    fn prepare(&self, php: &mut Command, transport: Option<Transport>) {
        php.arg("-d").arg(format!("extension={}", self.extension.display())).current_dir(&self.code);
        php.env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        if let Some(transport) = transport {
            php.env("TRASTIENDA_TRANSPORT", transport.as_str());
        }
    }
}

fn order_of(webhook: &Value) -> Option<&str> {
    webhook["order_id"].as_str().or_else(|| webhook["data"]["order_id"].as_str())
}
