//! Putting a backup back.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::process::{Child, ChildStdin};

use super::Manifest;
use super::programs::{Complaints, Programs};
use super::store;
use crate::config::StoreConfig;
use crate::db::{Store, known_master_key};
use crate::queue::members;
use crate::seal::{self, Sealer};

/// Checks a backup as far as that can be done without a database: whole, unchanged, of a program that is not newer, for
/// the master key that is configured.
pub async fn verify(config: &StoreConfig, path: &Path) -> anyhow::Result<Manifest> {
    let key = known_master_key(config)?.context(
        "there is no master key: set TRASTIENDA_MASTER_KEY to the one that the backup needs, or put it into `master.key` in the data directory",
    )?;
    let sealer = Sealer::changing(&key, config.old_master_key.as_ref())?;
    let manifest = Manifest::verified(path).await.with_context(|| path.display().to_string())?;
    manifest.check_versions()?;
    manifest.check_keys(&sealer)?;
    Ok(manifest)
}

/// Puts a backup into the database that is configured, all of it or nothing. The database must be empty unless
/// `replaces`, and no hub may run on it.
pub async fn run(config: &StoreConfig, path: &Path, replaces: bool) -> anyhow::Result<Manifest> {
    let manifest = verify(config, path).await?;
    let store = Store::open(config).await?;
    let restored = restore(&store, config, path, replaces).await;
    store.close(false).await;
    restored.map(|()| manifest)
}

async fn restore(store: &Store, config: &StoreConfig, path: &Path, replaces: bool) -> anyhow::Result<()> {
    let hubs = members::list_alive(&store.pool).await?.len();
    ensure!(hubs == 0, "{hubs} hubs run on this database: stop them first");
    let tables = store::count_tables(&store.pool).await?;
    ensure!(
        tables == 0 || replaces,
        "the database is not empty ({tables} tables and the like): restore into an empty one, or give --replace to drop what is there"
    );
    let programs = Programs::find(store, config)?;
    let (mut reading, mut writing) = (programs.plain("pg_restore"), programs.connected("psql"));
    reading.args(["--no-owner", "--no-privileges", "--exit-on-error", "--file=-"]);
    writing.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
    let complaints = [Complaints::of(&mut reading)?, Complaints::of(&mut writing)?];
    let mut reading =
        reading.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot run pg_restore")?;
    let mut writing =
        writing.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot run psql")?;
    let is_whole = feed(path, &mut reading, &mut writing, replaces).await;
    let (read, written) = (reading.wait().await?, writing.wait().await?);
    let [of_reading, of_writing] = complaints.map(Complaints::read);
    if !written.success() {
        bail!("nothing was restored: psql failed ({written}): {of_writing}");
    }
    if !read.success() {
        bail!("nothing was restored: pg_restore failed ({read}): {of_reading}");
    }
    ensure!(is_whole?, "nothing was restored: the backup could not be sent to its end");
    let own = seal::store::find_own_secret(&store.pool).await?;
    let fits =
        own.is_none_or(|own| seal::key_of(&own).is_some_and(|key| store.sealer.key_ids().contains(&key)));
    ensure!(fits, "the backup was restored, and its own secrets do not open with the master key");
    Ok(())
}

/// Sends the dump through `pg_restore` to `psql`, and the commit last. False if a program ended before its time: it
/// says why.
async fn feed(path: &Path, reading: &mut Child, writing: &mut Child, replaces: bool) -> anyhow::Result<bool> {
    let mut dump = File::open(path).await?;
    Manifest::read_from(&mut dump).await?;
    let mut to_reading = reading.stdin.take().context("pg_restore takes nothing")?;
    let mut script = reading.stdout.take().context("pg_restore says nothing")?;
    let mut to_writing = writing.stdin.take().context("psql takes nothing")?;
    let sending = async {
        // A program that has read all it needs, or failed, closes its input.
        let sent = sent(copy(&mut dump, &mut to_reading).await.map(|_| ()))?;
        drop(to_reading);
        anyhow::Ok(sent)
    };
    let script = async {
        let mut begin = "begin;\n".to_owned();
        if replaces {
            begin.push_str(store::DROP_ALL);
        }
        let sent_all = sent(to_writing.write_all(begin.as_bytes()).await)?
            && sent(copy(&mut script, &mut to_writing).await.map(|_| ()))?;
        drop(script);
        anyhow::Ok((sent_all, to_writing))
    };
    let (sending, script) = tokio::join!(sending, script);
    sending?;
    let (is_sent, to_writing) = script?;
    // Until here everything would be rolled back.
    if is_sent && reading.wait().await?.success() { commit(to_writing).await } else { Ok(false) }
}

async fn commit(mut to_writing: ChildStdin) -> anyhow::Result<bool> {
    sent(to_writing.write_all(b"\ncommit;\n").await)
}

fn sent(result: std::io::Result<()>) -> anyhow::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}
