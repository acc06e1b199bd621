//! What the hub uses once, it gives back.

use anyhow::{Context as _, ensure};
use e2e::{Directory, Hub};

/// Memory of the process's own, in MiB (proc(5): `RssAnon`).
pub(crate) fn own_memory(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1_024)
}

/// Checking a key takes 19 MiB for a moment. Kept by the allocator, that would be most of an idle hub.
#[tokio::test]
async fn what_checking_keys_takes_is_given_back() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let hub = Hub::start_alone(&directory).await?;
    let pid = hub.pid().context("the hub does not run")?;
    let mut projects = Vec::new();
    for name in ["Mates", "Yerbas", "Bombillas", "Termos"] {
        projects.push(hub.create_project(name, "shop.example.com").await?);
    }
    let before = own_memory(pid)?;
    for project in &projects {
        hub.get(project, "/v1/project").await?;
    }
    let after = own_memory(pid)?;
    ensure!(after < before + 15, "{before} MiB before four keys were checked, {after} MiB after");
    hub.stop().await
}

/// The routes' documentation, the dashboard's pages and other people's time zones are not an idle hub's business.
#[tokio::test]
async fn an_idle_hub_needs_little() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let hub = Hub::start_alone(&directory).await?;
    let own = own_memory(hub.pid().context("the hub does not run")?)?;
    ensure!(own < 10, "{own} MiB of its own before anybody called");
    hub.stop().await
}
