//! The whole, with real processes: what the end-to-end tests and the demonstration stand on.
//!
//! [`Stack::start`] brings up, under one temporary directory and on free ports, the hub with its own PostgreSQL, the
//! Mercado Pago simulator, a real SMTP server, an agent and two Laravel shops, and waits for each on a condition.
//! Everything that was started ends with the stack: processes by their pid, PostgreSQL with the hub.
//!
//! The programs are those of the profile that the running binary was built in; `scripts/build.sh` builds them.

mod agent;
mod catcher;
mod hub;
mod process;
mod shop;
mod simulator;
mod wait;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

pub use agent::Agent;
pub use catcher::Catcher;
pub use hub::{Hub, Project};
pub use process::Process;
pub use shop::{Shop, Transport};
pub use simulator::Simulator;
pub use wait::{free_port, until};

/// Everything that one story needs.
#[derive(Debug)]
pub struct Stack {
    /// Shop A, which sells mate; its orders go to its project.
    pub shop_a: Shop,
    /// Shop B, which hears of shop A's orders.
    pub shop_b: Shop,
    /// The agent beside shop A.
    pub agent: Agent,
    /// The hub.
    pub hub: Hub,
    /// Mercado Pago.
    pub simulator: Simulator,
    /// The SMTP server.
    pub catcher: Catcher,
    /// Shop A's project.
    pub project_a: Project,
    /// Shop B's project.
    pub project_b: Project,
    /// Where everything is kept; last, so that it is deleted after all have ended.
    pub directory: Directory,
}

/// The temporary directory of a stack.
#[derive(Debug)]
pub struct Directory(TempDir);

impl Directory {
    /// A directory that the embedded PostgreSQL's unprivileged user can pass through.
    pub fn new() -> anyhow::Result<Self> {
        // Short: a Unix socket's path must fit into 107 bytes.
        let directory = tempfile::Builder::new().prefix("tt-").tempdir_in("/tmp")?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(Self(directory))
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What all processes wrote, by file, for whoever looks for a cause or for a secret.
    pub fn logs(&self) -> anyhow::Result<Vec<(PathBuf, String)>> {
        let mut logs = Vec::new();
        let mut directories = vec![self.0.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.ends_with("postgresql/data/base") {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "log") {
                    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
                    logs.push((path, String::from_utf8_lossy(&text).into_owned()));
                }
            }
        }
        Ok(logs)
    }
}

impl Stack {
    /// Starts everything.
    pub async fn start() -> anyhow::Result<Self> {
        let directory = Directory::new()?;
        let catcher = Catcher::start(&directory).await?;
        let simulator = Simulator::start(&directory).await?;
        let hub = Hub::start(&directory, &catcher, &simulator).await?;
        let project_a = hub.create_project("Mate y Compañía", "mates.example.com").await?;
        let project_b = hub.create_project("Librería del Sur", "libros.example.com").await?;
        let agent = Agent::start(&directory, "mate", &hub, &project_a).await?;
        let mut shop_a = Shop::new(&directory, "shop-a", &project_a, &hub, Some(&agent))?;
        let mut shop_b = Shop::new(&directory, "shop-b", &project_b, &hub, None)?;
        // Shop B hears of shop A's orders, and so does shop A itself, each with a secret of its own.
        for shop in [&mut shop_a, &mut shop_b] {
            let secret = hub.create_endpoint(&project_a, &shop.webhook_url(), &["order.*"]).await?;
            shop.serve(&secret).await?;
        }
        Ok(Self { shop_a, shop_b, agent, hub, simulator, catcher, project_a, project_b, directory })
    }

    /// Ends everything, gracefully, the hub last but one: it stops its PostgreSQL.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { shop_a, shop_b, agent, hub, simulator, catcher, directory, .. } = self;
        drop((shop_a, shop_b));
        agent.stop().await?;
        hub.stop().await?;
        drop((simulator, catcher, directory));
        Ok(())
    }
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// One of our programs, of the profile that the running binary was built in.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut candidates = own.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    let found = candidates.find(|path| path.exists());
    found.with_context(|| format!("{name} is not built: run scripts/build.sh"))
}

/// The extension, built beside the programs.
pub fn extension() -> anyhow::Result<PathBuf> {
    program("libtrastienda.so")
}
