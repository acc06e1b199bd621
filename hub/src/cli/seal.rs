//! `trastienda-hub seal …`: the master key.

use clap::{Args, Subcommand};

use super::{open, say};
use crate::config::StoreArgs;
use crate::seal::rotate;

#[derive(Subcommand)]
pub(super) enum SealCommand {
    /// Seal everything with the new master key, while hubs run. First give every hub `TRASTIENDA_MASTER_KEY` (the
    /// new) and `TRASTIENDA_MASTER_KEY_OLD`, one hub after the other. Cut off, it goes on the next time.
    Rotate(SealArgs),
    /// Say how many values each master key sealed: the old one may go when it has none.
    Status(SealArgs),
}

#[derive(Args)]
pub(super) struct SealArgs {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl SealCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (Self::Rotate(args) | Self::Status(args)) = &self;
        let store = open(&args.store).await?;
        let told = match &self {
            Self::Rotate(args) => rotate(&store, args.json).await,
            Self::Status(args) => status(&store, args.json).await,
        };
        store.close(false).await;
        say(&told?);
        Ok(())
    }
}

async fn rotate(store: &crate::db::Store, json: bool) -> anyhow::Result<String> {
    let report = rotate::run(&store.pool, &store.sealer).await?;
    let damaged: u64 = report.damaged.values().sum();
    anyhow::ensure!(
        damaged == 0,
        "{} values are sealed with the new key {}; {damaged} are damaged and were left: {:?}",
        report.count(),
        report.key,
        report.damaged
    );
    if json {
        return Ok(serde_json::to_string_pretty(&report)?);
    }
    let by_column = report.resealed.iter().map(|(column, values)| format!("\n  {values} of {column}"));
    Ok(format!(
        "{} values sealed again, with the key {}{}",
        report.count(),
        report.key,
        by_column.collect::<String>()
    ))
}

async fn status(store: &crate::db::Store, json: bool) -> anyhow::Result<String> {
    let counts = rotate::count(&store.pool).await?;
    if json {
        return Ok(serde_json::to_string_pretty(&counts)?);
    }
    let new = store.sealer.new_key().to_string();
    let old = store.sealer.old_key().map(|key| key.to_string());
    let mut lines = Vec::new();
    for (column, keys) in counts {
        for (key, values) in keys {
            let which = match &key {
                key if *key == new => "TRASTIENDA_MASTER_KEY",
                key if Some(key) == old.as_ref() => "TRASTIENDA_MASTER_KEY_OLD",
                _ => "a key that was not given",
            };
            lines.push(format!("{column}: {values} sealed with {key}, {which}"));
        }
    }
    Ok(if lines.is_empty() { "nothing is sealed yet".to_owned() } else { lines.join("\n") })
}
