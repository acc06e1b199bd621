//! Receivers that are not ours: they verify webhooks with the public packages of other languages.

use anyhow::{Context as _, ensure};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::hub::client;
use crate::{Directory, Process, command, root};

/// A process that receives webhooks and verifies them.
#[derive(Debug)]
pub struct Verifier {
    /// Its language.
    pub name: &'static str,
    address: String,
    _process: Process,
}

/// What it made of one webhook.
#[derive(Debug, Clone, Deserialize)]
pub struct Verified {
    /// `webhook-id`.
    pub id: String,
    /// How many signatures it carried.
    pub signatures: usize,
    /// `trastienda-replay`.
    pub replay: Option<String>,
    /// Which of its secrets verify it, by number.
    pub verified_by: Vec<usize>,
    /// Why the last of the others does not.
    pub error: Option<String>,
    /// What the event says.
    pub data: Value,
}

impl Verifier {
    /// One in Python and one in Node, with the packages that `scripts/setup.sh` has installed.
    pub async fn start_all(directory: &Directory) -> anyhow::Result<Vec<Self>> {
        let installed = root().join(".verifiers");
        ensure!(
            installed.join("pins").exists(),
            "the public verifiers are not installed: run scripts/setup.sh"
        );
        let sources = root().join("tests/verifiers");
        let mut python = command(installed.join("python/bin/python"));
        python.arg(sources.join("receiver.py"));
        let mut node = command("node");
        node.arg(sources.join("receiver.js")).arg(installed.join("node"));
        let mut verifiers = Vec::new();
        for (name, mut command) in [("python", python), ("node", node)] {
            let (process, port) = Process::spawn_announced(directory, name, &mut command).await?;
            verifiers.push(Self {
                name,
                address: format!("http://127.0.0.1:{}", port.trim()),
                _process: process,
            });
        }
        Ok(verifiers)
    }

    /// Where webhooks go.
    pub fn url(&self) -> String {
        format!("{}/webhooks", self.address)
    }

    /// Tells it one more secret.
    pub async fn trust(&self, secret: &str) -> anyhow::Result<()> {
        let answer =
            client()?.post(format!("{}/secrets", self.address)).body(secret.to_owned()).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// What came, in this order.
    pub async fn seen(&self) -> anyhow::Result<Vec<Verified>> {
        Ok(client()?.get(&self.address).send().await?.json().await?)
    }

    /// Sends it a webhook by hand; its answer, and why it refuses.
    pub async fn send(
        &self,
        headers: [(&'static str, String); 3],
        body: &str,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = client()?.post(self.url()).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let document: Value = answer.json().await.context("an odd answer")?;
        Ok((status, document["error"].as_str().unwrap_or_default().to_owned()))
    }
}
