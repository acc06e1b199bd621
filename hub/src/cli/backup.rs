//! `trastienda-hub backup` and `trastienda-hub restore`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use trastienda_protocol::clock::{Clock as _, SystemClock};

use super::say;
use crate::backup::{self, Manifest};
use crate::config::StoreArgs;
use crate::db::Store;

#[derive(Args)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// The file to write, or a directory in which it is named by the time.
    target: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Say whether a backup is whole and which is its time, and whether the master key fits it.
    Verify {
        /// The backup.
        file: PathBuf,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    file: PathBuf,
    /// Drop what the database holds, in the same transaction.
    #[arg(long)]
    replace: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl BackupArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if let Some(BackupCommand::Verify { file, json, store }) = self.command {
            let manifest = backup::restore::verify(&store.check()?, &file).await?;
            return tell("whole, and the master key fits", &file, &manifest, json);
        }
        let target = self.target.context("name the file to write, or a directory")?;
        let config = self.store.check()?;
        let store = Store::open(&config).await?;
        let written = backup::write::run(&store, &config, &target, SystemClock.now()).await;
        store.close(false).await;
        let (file, manifest) = written?;
        tell("written", &file, &manifest, self.json)
    }
}

impl RestoreArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let manifest = backup::restore::run(&self.store.check()?, &self.file, self.replace).await?;
        tell("restored; `serve` or `migrate` brings its schema up to date", &self.file, &manifest, self.json)
    }
}

fn tell(what: &str, file: &std::path::Path, manifest: &Manifest, json: bool) -> anyhow::Result<()> {
    if json {
        let mut told = serde_json::to_value(manifest)?;
        told["file"] = file.to_string_lossy().into();
        say(&serde_json::to_string_pretty(&told)?);
        return Ok(());
    }
    let keys: Vec<&str> = manifest.keys.keys().map(String::as_str).collect();
    say(&format!(
        "{}: {what}\n  made {} by trastienda-hub {} (schema {}) from PostgreSQL {}\n  {} bytes, master key {}",
        file.display(),
        manifest.made_at.format("%Y-%m-%d %H:%M:%S UTC"),
        manifest.program,
        manifest.schema,
        manifest.postgresql,
        manifest.bytes,
        keys.join(" and ")
    ));
    Ok(())
}
