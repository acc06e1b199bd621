//! `trastienda-hub webhooks replay`: the same as the API's, without a key.

use clap::Args;
use serde_json::{Value, json};
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::RandomIds;

use super::super::{open, refusal, say};
use super::{parse_endpoint, parse_project};
use crate::config::StoreArgs;
use crate::db::Store;
use crate::webhooks::recovery::{self, Replay};

#[derive(Args)]
pub(in crate::cli) struct ReplayArgs {
    /// The project.
    #[arg(long)]
    project: String,
    /// The endpoint.
    #[arg(long)]
    endpoint: String,
    /// Deliveries written since this time, as `2026-11-24T10:00:00-03:00`.
    #[arg(long)]
    since: String,
    /// And before this one. Left out: until now.
    #[arg(long)]
    until: Option<String>,
    /// Only of this event type.
    #[arg(long)]
    event_type: Option<String>,
    /// `failed`, or `all` that are over.
    #[arg(long, default_value = "failed")]
    status: String,
    /// Only say how many it would be.
    #[arg(long)]
    dry_run: bool,
    /// At most so many a second.
    #[arg(long)]
    rate_per_second: Option<u32>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl ReplayArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let store = open(&self.store).await?;
        let queued = self.replay(&store).await;
        store.close(false).await;
        let queued = queued?;
        let text = match (self.json, self.dry_run) {
            (true, _) => serde_json::to_string_pretty(&json!({"queued": queued, "dry_run": self.dry_run}))?,
            (false, true) => format!("{queued} deliveries would be sent again"),
            (false, false) => format!("{queued} deliveries are sent again"),
        };
        say(&text);
        Ok(())
    }

    async fn replay(&self, store: &Store) -> anyhow::Result<i64> {
        let (project, endpoint) = (parse_project(&self.project)?, parse_endpoint(&self.endpoint)?);
        let now = SystemClock.now();
        let replay = Replay::parse(&self.body(), now).map_err(|errors| refusal(errors.into()))?;
        let queued = recovery::start(&store.pool, &RandomIds, (project, endpoint), &replay, now)
            .await
            .map_err(refusal)?;
        if !replay.dry_run {
            recovery::wake_hubs(&store.pool).await?;
        }
        Ok(queued)
    }

    /// The body that the API would be sent.
    fn body(&self) -> Value {
        let mut body = json!({"since": self.since, "status": self.status, "dry_run": self.dry_run});
        for (name, value) in [
            ("until", self.until.clone().map(Value::from)),
            ("event_type", self.event_type.clone().map(Value::from)),
            ("rate_per_second", self.rate_per_second.map(Value::from)),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        body
    }
}
