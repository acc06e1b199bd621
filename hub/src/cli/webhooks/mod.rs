//! `trastienda-hub webhooks …`.

mod listen;
mod replay;

use clap::Subcommand;
use trastienda_protocol::ids::{EndpointId, Id as _, ProjectId};

#[derive(Subcommand)]
pub(super) enum WebhooksCommand {
    /// Send deliveries of a time range again.
    Replay(replay::ReplayArgs),
    /// Show a project's events as they come, and forward them, signed, to an address of this machine's choice.
    ///
    /// Nothing is written: it reads what the hub has stored, so there is nothing to take away at the end, and a restart
    /// of the hub, of the database or of itself (with `--since`) loses nothing. No public address is needed.
    Listen(listen::ListenArgs),
}

impl WebhooksCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Replay(args) => args.run().await,
            Self::Listen(args) => args.run().await,
        }
    }
}

fn parse_project(text: &str) -> anyhow::Result<ProjectId> {
    ProjectId::parse(text).map_err(|error| anyhow::anyhow!("--project: the project's id {error}"))
}

fn parse_endpoint(text: &str) -> anyhow::Result<EndpointId> {
    EndpointId::parse(text).map_err(|error| anyhow::anyhow!("--endpoint: the endpoint's id {error}"))
}
