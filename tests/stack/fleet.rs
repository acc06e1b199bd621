//! Several hubs on one PostgreSQL, and nothing else.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Directory, Hub, Postgres, Project, until};

/// How many events are posted at once.
const CALLERS: usize = 16;

/// The hubs and what they share.
#[derive(Debug)]
pub struct Fleet {
    /// The hubs, in the order of their numbers.
    pub hubs: Vec<Arc<Hub>>,
    /// The database.
    pub postgres: Postgres,
    /// Where everything is kept; last, so that it is deleted after all have ended.
    pub directory: Directory,
}

impl Fleet {
    /// Starts so many hubs, one after the other.
    pub async fn start(hubs: usize) -> anyhow::Result<Self> {
        Self::start_in(Directory::new()?, hubs, &[]).await
    }

    /// The same in this directory, each with more settings.
    pub async fn start_in(
        directory: Directory,
        hubs: usize,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let postgres = Postgres::start(&directory).await?;
        let mut fleet = Self { hubs: Vec::new(), postgres, directory };
        for number in 1..=hubs {
            let (name, url) = (format!("hub-{number}"), fleet.postgres.url(None));
            fleet.hubs.push(Arc::new(Hub::start_sharing_with(&fleet.directory, &name, url, settings).await?));
        }
        Ok(fleet)
    }

    /// Makes a project without limits.
    pub async fn create_project(&self) -> anyhow::Result<Project> {
        let hub = self.hubs.first().context("no hub")?;
        let project = hub.create_project("Remojo", "remojo.example.com").await?;
        hub.lift_limits(&project).await?;
        Ok(project)
    }

    /// Ends the hubs gracefully, then PostgreSQL. Fails if anything is left running.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { hubs, postgres, directory } = self;
        for hub in hubs {
            Arc::into_inner(hub).context("a hub is still in use")?.stop().await?;
        }
        drop(postgres);
        until("nothing is left running", async || match directory.processes()?.as_slice() {
            [] => Ok(Some(())),
            left => bail!("still there: {}", left.join(", ")),
        })
        .await
    }
}

/// Posts so many events at a hub, several at once, and gives their ids once all are acknowledged.
pub async fn post_events(
    hub: &Arc<Hub>,
    project: &Project,
    event_type: &str,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let places = Arc::new(Semaphore::new(CALLERS));
    let mut calls: JoinSet<anyhow::Result<Value>> = JoinSet::new();
    for number in 0..count {
        let (hub, project, places) = (hub.clone(), project.clone(), places.clone());
        let body = json!({"type": event_type, "data": {"number": number}});
        calls.spawn(async move {
            let _place = places.acquire().await?;
            hub.post(&project, "/v1/events", body).await
        });
    }
    let mut ids = Vec::new();
    while let Some(answer) = calls.join_next().await {
        ids.push(answer??["id"].as_str().context("no id")?.to_owned());
    }
    Ok(ids)
}
