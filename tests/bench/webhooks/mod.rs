//! Events in, webhooks out, receiver and database on the same machine.

pub(crate) mod cost;
mod large;
pub(crate) mod load;
mod pull;
mod receiver;
mod rows;

use std::net::SocketAddr;

use anyhow::Context as _;
use e2e::{Directory, Hub, Project};
use serde_json::json;

use crate::report::say;
use cost::Processes;
use load::Callers;

/// A hub alone, measured from outside.
struct Bench {
    hub: Hub,
    directory: Directory,
    address: SocketAddr,
}

/// Measures the rows whose name holds `wanted`.
pub(crate) async fn measure(runs: usize, wanted: &str) -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let hub = Hub::start_alone(&directory).await?;
    let address = hub.url.trim_start_matches("http://").parse()?;
    let mut bench = Bench { hub, directory, address };
    say(&format!("\nWebhooks: orders of 1 KB, {runs} runs: median (least to most)\n"));
    rows::measure(&mut bench, runs, wanted).await?;
    bench.hub.stop().await
}

impl Bench {
    /// A project without limits.
    async fn project(&self) -> anyhow::Result<(Project, Callers)> {
        let project = self.hub.create_project("Mate y Compañía", "mates.example.com").await?;
        self.hub.lift_limits(&project).await?;
        let callers = Callers { hub: self.address, key: project.key.clone() };
        Ok((project, callers))
    }

    async fn endpoint(&self, project: &Project, url: &str, max_in_flight: u32) -> anyhow::Result<()> {
        let body = json!({"url": url, "events": ["*"], "max_in_flight": max_in_flight});
        self.hub.post(project, "/v1/webhook-endpoints", body).await?;
        Ok(())
    }

    fn processes(&self) -> anyhow::Result<Processes> {
        let hub = self.hub.pid().context("the hub does not run")?;
        let file = self.directory.path("hub/postgresql/data/postmaster.pid");
        let postmaster = std::fs::read_to_string(file)?.lines().next().context("no pid")?.parse()?;
        Ok(Processes { hub, postmaster })
    }
}
