//! Making a backup.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::Manifest;
use super::manifest::LENGTH;
use super::programs::{Complaints, Programs};
use super::store::{self, Snapshot};
use crate::config::StoreConfig;
use crate::db::Store;
use crate::seal::{KeyId, Sealer};

/// Writes the database, as it is now, into a new file, or into one named by the time in a directory. Hubs run on
/// meanwhile. Only its owner may read it.
pub async fn run(
    store: &Store,
    config: &StoreConfig,
    target: &Path,
    now: DateTime<Utc>,
) -> anyhow::Result<(PathBuf, Manifest)> {
    let target = if target.is_dir() {
        target.join(format!("trastienda-{}.backup", now.format("%Y%m%dT%H%M%SZ")))
    } else {
        target.to_owned()
    };
    ensure!(!target.exists(), "{} is there already", target.display());
    let programs = Programs::find(store, config)?;
    let partial = Partial::beside(&target)?;
    // Open until the dump is over: it shares what this transaction sees.
    let mut transaction = store.pool.begin().await?;
    let snapshot = store::export_snapshot(&mut transaction).await?;
    let keys = keys_in_use(&snapshot, &store.sealer)?;
    let schema =
        snapshot.schema.context("there is nothing to back up: the database has no tables of a hub")?;
    let mut manifest = Manifest::new(schema, snapshot.postgresql.clone(), now);
    let mut file = partial.create().await?;
    (manifest.bytes, manifest.sha256) = dump(&programs, &snapshot.id, &mut file).await?;
    transaction.rollback().await?;
    manifest.seal(&store.sealer, &keys)?;
    file.flush().await?;
    file.rewind().await?;
    file.write_all(&manifest.to_head()?).await?;
    file.flush().await?;
    file.sync_all().await?;
    partial.publish(&target)?;
    Ok((target, manifest))
}

/// The keys that the backup needs. One that was not given cannot be vouched for.
fn keys_in_use(snapshot: &Snapshot, sealer: &Sealer) -> anyhow::Result<Vec<KeyId>> {
    let known = sealer.key_ids();
    for (key, column) in &snapshot.keys {
        ensure!(
            known.iter().any(|id| id.to_string() == *key),
            "{column} holds values that another master key ({key}) sealed: give it as TRASTIENDA_MASTER_KEY, or while it is \
             changed as TRASTIENDA_MASTER_KEY_OLD; `trastienda-hub doctor` says more"
        );
    }
    let is_used = |id: &KeyId| snapshot.keys.iter().any(|(key, _)| *key == id.to_string());
    let used: Vec<KeyId> = known.into_iter().filter(is_used).collect();
    // A database in which nothing is sealed yet.
    Ok(if used.is_empty() { vec![sealer.new_key()] } else { used })
}

async fn dump(programs: &Programs, snapshot: &str, file: &mut File) -> anyhow::Result<(u64, String)> {
    let mut command = programs.connected("pg_dump");
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--no-comments", "--no-tablespaces"]);
    command.args(["--no-security-labels", "--no-publications", "--no-subscriptions"]);
    command.args(["--lock-wait-timeout=60000", &format!("--snapshot={snapshot}")]);
    let complaints = Complaints::of(&mut command)?;
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run pg_dump")?;
    let mut output = child.stdout.take().context("pg_dump has no output")?;
    file.write_all(&vec![b' '; LENGTH]).await?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0; 1 << 16]);
    loop {
        let read = output.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).await?;
        bytes += u64::try_from(read)?;
    }
    let status = child.wait().await?;
    if !status.success() {
        bail!("pg_dump failed ({status}): {}", complaints.read());
    }
    Ok((bytes, hex::encode(hash.finalize())))
}

/// A file that is gone again unless it is published.
struct Partial(PathBuf);

impl Partial {
    fn beside(target: &Path) -> anyhow::Result<Self> {
        let name = target.file_name().context("a backup needs a file's or a directory's name")?;
        Ok(Self(target.with_file_name(format!(".{}.partial", name.to_string_lossy()))))
    }

    async fn create(&self) -> anyhow::Result<File> {
        let mut options = tokio::fs::OpenOptions::new();
        // What a killed backup left behind is written over.
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&self.0).await;
        file.with_context(|| format!("cannot write {}", self.0.display()))
    }

    /// Gives it its name, on the disk too.
    fn publish(&self, target: &Path) -> anyhow::Result<()> {
        // Unlike a renaming, a link takes no other file's place.
        std::fs::hard_link(&self.0, target).with_context(|| format!("cannot make {}", target.display()))?;
        let directory = target.parent().filter(|path| !path.as_os_str().is_empty());
        std::fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Its other name stays, if it got one.
        let _ = std::fs::remove_file(&self.0);
    }
}
