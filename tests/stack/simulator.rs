//! Mercado Pago, simulated.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::hub::client;
use crate::{Directory, Process, command, program};

/// The provider's simulator and its first seller.
#[derive(Debug)]
pub struct Simulator {
    /// Its address.
    pub url: String,
    /// The seller's access token.
    pub access_token: String,
    /// The seller's webhook secret.
    pub webhook_secret: String,
    _process: Process,
}

impl Simulator {
    /// Starts it.
    pub async fn start(directory: &Directory) -> anyhow::Result<Self> {
        let mut command = command(program("trastienda-mercadopago-sim")?);
        command.args(["--listen", "127.0.0.1:0", "--seed", "1", "--http-back-urls"]);
        let (process, line) = Process::spawn_announced(directory, "simulator", &mut command).await?;
        let url = line
            .strip_prefix("listening on ")
            .context("the simulator said something else")?
            .trim()
            .to_owned();
        let sellers: Value = client()?.get(format!("{url}/control/sellers")).send().await?.json().await?;
        let seller = find_seller(&sellers, "MLA").context("the simulator has no Argentine seller")?;
        let text = |name: &str| {
            seller[name].as_str().map(str::to_owned).with_context(|| format!("the seller has no {name}"))
        };
        Ok(Self {
            access_token: text("access_token")?,
            webhook_secret: text("webhook_secret")?,
            url,
            _process: process,
        })
    }

    /// The buyer pays what a checkout page offers.
    pub async fn pay(&self, preference: &str) -> anyhow::Result<Value> {
        self.control(&format!("preferences/{preference}/pay"), json!({})).await
    }

    /// Nothing goes wrong any more.
    pub async fn clear_faults(&self) -> anyhow::Result<()> {
        client()?.delete(format!("{}/control/faults", self.url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// A call of the control interface.
    pub async fn control(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = client()?.post(format!("{}/control/{path}", self.url)).json(&body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

fn find_seller<'a>(sellers: &'a Value, site: &str) -> Option<&'a Value> {
    let list = sellers.as_array().or_else(|| sellers.as_object()?.values().find_map(Value::as_array))?;
    list.iter().find(|seller| seller["site"] == site || seller["site_id"] == site)
}
