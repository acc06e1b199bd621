//! The whole, with real processes: what the end-to-end tests and the demonstration stand on.
//!
//! [`Stack::start`] brings up, under one temporary directory and on free ports, the hub with its own PostgreSQL, the
//! Mercado Pago simulator, a real SMTP server, an agent and two Laravel shops, and waits for each on a condition.
//! Everything that was started ends with the stack: processes by their pid, PostgreSQL with the hub. [`Stack::stop`] looks
//! whether that is so, and what is killed before it gets there takes its processes along.
//!
//! The programs are those of the profile that the running binary was built in; `scripts/build.sh` builds them.

mod agent;
mod caller;
mod catcher;
mod dice;
mod directory;
mod fleet;
mod hub;
mod layer;
mod mail_story;
mod postgres;
mod process;
mod proxy;
mod pulled_story;
mod redis;
mod shop;
mod simulator;
mod sink;
mod verifier;
mod wait;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

pub use agent::{Agent, Door};
pub use caller::Caller;
pub use catcher::Catcher;
pub use dice::Dice;
pub use directory::{Directory, processes_of};
pub use fleet::{Fleet, post_events};
pub use hub::{Hub, MASTER_KEY, Project, client};
pub use layer::{DiskFault, Layer, Loss, PowerCut};
pub use mail_story::{Mails, mails_through_kills};
pub use postgres::Postgres;
pub use process::{Process, command};
pub use proxy::{Proxy, Wire};
pub use pulled_story::{PulledAccount, pulled_through_kills};
pub use redis::Redis;
pub use shop::{Shop, Transport};
pub use simulator::Simulator;
pub use sink::{Arrival, Sink};
pub use verifier::{Verified, Verifier};
pub use wait::{free_port, until};

/// Everything that one story needs.
#[derive(Debug)]
pub struct Stack {
    /// Shop A, which sells mate; its orders go to its project.
    pub shop_a: Shop,
    /// Shop B, which hears of shop A's orders; nothing calls it but the agent beside it.
    pub shop_b: Shop,
    /// The agent beside shop A.
    pub agent: Agent,
    /// The agent beside shop B: it pulls shop B's webhooks.
    pub agent_b: Agent,
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

impl Stack {
    /// Starts everything.
    pub async fn start() -> anyhow::Result<Self> {
        let ground = Ground::start().await?;
        let project_a = ground.hub.create_project("Mate y Compañía", "mates.example.com").await?;
        let project_b = ground.hub.create_project("Librería del Sur", "libros.example.com").await?;
        ground.open_shops(project_a, project_b).await
    }

    /// Ends everything, gracefully, the hub last but one: it stops its PostgreSQL. Fails if anything is left running.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { shop_a, shop_b, agent, agent_b, hub, simulator, catcher, directory, .. } = self;
        drop((shop_a, shop_b));
        agent.stop().await?;
        agent_b.stop().await?;
        hub.stop().await?;
        drop((simulator, catcher));
        until("nothing is left running", async || match directory.processes()?.as_slice() {
            [] => Ok(Some(())),
            left => bail!("still there: {}", left.join(", ")),
        })
        .await
    }
}

/// What is there before the first shop: the hub, and what it talks to.
#[derive(Debug)]
pub struct Ground {
    /// The hub.
    pub hub: Hub,
    /// Mercado Pago.
    pub simulator: Simulator,
    /// The SMTP server.
    pub catcher: Catcher,
    /// Where everything is kept; last, so that it is deleted after all have ended.
    pub directory: Directory,
}

impl Ground {
    /// Starts it.
    pub async fn start() -> anyhow::Result<Self> {
        let directory = Directory::new()?;
        let catcher = Catcher::start(&directory).await?;
        let simulator = Simulator::start(&directory).await?;
        let hub = Hub::start(&directory, &catcher, &simulator).await?;
        Ok(Self { hub, simulator, catcher, directory })
    }

    /// Opens both shops, each with an agent beside it. Shop B hears of shop A's orders, and so does shop A itself, each with
    /// a secret of its own. Shop A is called by the hub; shop B has no open port: its agent pulls.
    pub async fn open_shops(self, project_a: Project, project_b: Project) -> anyhow::Result<Stack> {
        let Self { hub, simulator, catcher, directory } = self;
        let agent = Agent::start(&directory, "mate", &hub, &project_a).await?;
        let mut shop_a = Shop::new(&directory, "shop-a", &project_a, &hub, Some(&agent))?;
        let mut shop_b = Shop::new(&directory, "shop-b", &project_b, &hub, None)?;
        let addresses = [shop_a.webhook_url(), PULLED.to_owned()];
        for (shop, url) in [&mut shop_a, &mut shop_b].into_iter().zip(addresses) {
            let secret = hub.create_endpoint(&project_a, &url, &["order.*"]).await?;
            shop.serve(&secret).await?;
        }
        let agent_b = Agent::start_pulling(&directory, "libros", &hub, &project_a, &shop_b.url).await?;
        Ok(Stack { shop_a, shop_b, agent, agent_b, hub, simulator, catcher, project_a, project_b, directory })
    }
}

/// The address of an endpoint whose deliveries an agent pulls, at the shops' route.
pub const PULLED: &str = "agent:///webhooks/trastienda";

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
