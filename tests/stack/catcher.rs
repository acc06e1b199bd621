//! The SMTP server.

use serde::Deserialize;
use serde_json::Value;

use crate::{Directory, Process, command, root, until};

/// A real SMTP server that keeps what it is sent.
#[derive(Debug)]
pub struct Catcher {
    /// Where it takes mail.
    pub smtp: String,
    /// Its page.
    pub http: String,
    _process: Process,
}

#[derive(Deserialize)]
struct Ready {
    smtp: String,
    http: String,
}

impl Catcher {
    /// Starts it.
    pub async fn start(directory: &Directory) -> anyhow::Result<Self> {
        let mut command = command("/usr/bin/python3");
        command.arg(root().join("examples/mail-catcher/catcher.py")).args([
            "--smtp",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ]);
        let (process, line) = Process::spawn_announced(directory, "mail-catcher", &mut command).await?;
        let ready: Ready = serde_json::from_str(&line)?;
        Ok(Self { smtp: ready.smtp, http: ready.http, _process: process })
    }

    /// The mails that came, the newest first.
    pub async fn mails(&self) -> anyhow::Result<Vec<Value>> {
        let answer = crate::hub::client()?.get(format!("http://{}/messages", self.http)).send().await?;
        let mut document: Value = answer.json().await?;
        Ok(serde_json::from_value(document["data"].take())?)
    }

    /// The mail that went to an address, once it is there.
    pub async fn mail_to(&self, address: &str) -> anyhow::Result<Value> {
        until(&format!("a mail to {address}"), async || {
            let mails = self.mails().await?;
            Ok(mails.into_iter().find(|mail| mail["envelope_to"][0] == address))
        })
        .await
    }
}
