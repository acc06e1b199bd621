//! What a backup says about itself, and how that is held to be true.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::db::MIGRATOR;
use crate::seal::{KeyId, SealError, Sealer};

/// Bytes that it takes, padded with spaces and ended by a line end; the dump begins after them.
pub const LENGTH: usize = 4_096;
/// The form of the file that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
const PURPOSE: &str = "backup.manifest";

/// The head of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the file.
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// The newest migration in it.
    pub schema: i64,
    /// The version of the PostgreSQL that it is of.
    pub postgresql: String,
    /// When it was made: the database as it was then.
    pub made_at: DateTime<Utc>,
    /// Bytes of the dump.
    pub bytes: u64,
    /// The dump's SHA-256, in hex.
    pub sha256: String,
    /// By master key that sealed anything in it: the digest of all above, sealed with that key.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
}

impl Manifest {
    /// What is said of a dump of this database, by this program.
    pub(super) fn new(schema: i64, postgresql: String, made_at: DateTime<Utc>) -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let (sha256, keys) = (String::new(), BTreeMap::new());
        Self { format: FORMAT, program, schema, postgresql, made_at, bytes: 0, sha256, keys }
    }

    /// Binds it to the master keys.
    pub(super) fn seal(&mut self, sealer: &Sealer, keys: &[KeyId]) -> anyhow::Result<()> {
        let digest = self.digest()?;
        for key in keys {
            let sealed = sealer.seal_with(*key, PURPOSE, &digest)?;
            self.keys.insert(key.to_string(), STANDARD.encode(sealed));
        }
        Ok(())
    }

    /// Refuses a master key that could not open what is in the backup, and a manifest that was changed.
    pub fn check_keys(&self, sealer: &Sealer) -> anyhow::Result<()> {
        ensure!(!self.keys.is_empty(), "the backup does not say which master key it needs: it was changed");
        let digest = self.digest()?;
        for (key, sealed) in &self.keys {
            let sealed = STANDARD.decode(sealed).context("the backup's manifest is damaged")?;
            match sealer.open(PURPOSE, &sealed) {
                Ok(opened) if opened == digest => {}
                Err(SealError::OtherKey) => bail!(
                    "the secrets in this backup were sealed with another master key ({key}): give the one that was in use then \
                     as TRASTIENDA_MASTER_KEY, or as TRASTIENDA_MASTER_KEY_OLD if it was changed since; without it they \
                     open with nothing"
                ),
                _ => bail!("the backup's manifest is damaged or was changed"),
            }
        }
        Ok(())
    }

    /// Refuses what a newer program made.
    pub fn check_versions(&self) -> anyhow::Result<()> {
        let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
        ensure!(
            self.format <= FORMAT && self.schema <= known,
            "the backup was made by a newer trastienda-hub ({}, schema {}); this one is {} and knows the schema up to {known}: restore it with that version or a newer one",
            self.program,
            self.schema,
            env!("CARGO_PKG_VERSION")
        );
        Ok(())
    }

    /// The head as it stands in the file.
    pub(super) fn to_head(&self) -> anyhow::Result<Vec<u8>> {
        let mut head = serde_json::to_vec(self)?;
        ensure!(head.len() < LENGTH, "the manifest needs {} bytes, more than {LENGTH}", head.len());
        head.resize(LENGTH - 1, b' ');
        head.push(b'\n');
        Ok(head)
    }

    /// Reads the head of a file, and leaves the rest of it to be read.
    pub async fn read_from(file: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Self> {
        let mut head = vec![0; LENGTH];
        file.read_exact(&mut head).await.context("it is too short to be a backup")?;
        serde_json::from_slice(&head).context("it is no backup that `trastienda-hub backup` made")
    }

    /// Reads a backup and checks its dump against what the manifest says of it.
    pub async fn verified(path: &Path) -> anyhow::Result<Self> {
        let mut file = tokio::fs::File::open(path).await?;
        let manifest = Self::read_from(&mut file).await?;
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0; 1 << 16]);
        loop {
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            bytes += u64::try_from(read)?;
        }
        ensure!(
            bytes == manifest.bytes && hex::encode(hash.finalize()) == manifest.sha256,
            "the backup is damaged: its dump has {bytes} bytes, or others than the {} that were written",
            manifest.bytes
        );
        Ok(manifest)
    }

    fn digest(&self) -> anyhow::Result<Vec<u8>> {
        // Field by field: one that a later program adds is not in the backups of this one.
        let told = (
            self.format,
            &self.program,
            self.schema,
            &self.postgresql,
            self.made_at,
            self.bytes,
            &self.sha256,
        );
        Ok(Sha256::digest(serde_json::to_vec(&told)?).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(sealer: &Sealer) -> Manifest {
        let mut manifest = Manifest::new(1, "15.18".to_owned(), DateTime::UNIX_EPOCH);
        manifest.seal(sealer, &[sealer.new_key()]).unwrap();
        manifest
    }

    fn sealer() -> Sealer {
        Sealer::new(&Sealer::generate_master_key().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn it_is_read_as_it_was_written() {
        let manifest = made(&sealer());
        let head = manifest.to_head().unwrap();
        assert_eq!((head.len(), head.last()), (LENGTH, Some(&b'\n')));
        assert_eq!(Manifest::read_from(&mut head.as_slice()).await.unwrap(), manifest);
        assert!(Manifest::read_from(&mut &head[..100]).await.is_err());
    }

    #[test]
    fn another_key_and_a_changed_word_are_refused() {
        let sealer_then = sealer();
        let manifest = made(&sealer_then);
        manifest.check_keys(&sealer_then).unwrap();
        let refused = manifest.check_keys(&sealer()).unwrap_err().to_string();
        assert!(refused.contains("another master key"), "{refused}");
        let changed = Manifest { bytes: 7, ..manifest.clone() };
        assert!(changed.check_keys(&sealer_then).unwrap_err().to_string().contains("changed"));
        let bare = Manifest { keys: BTreeMap::new(), ..manifest };
        assert!(bare.check_keys(&sealer_then).is_err());
    }

    #[test]
    fn a_newer_program_s_is_refused() {
        let manifest = made(&sealer());
        manifest.check_versions().unwrap();
        for newer in [
            Manifest { schema: i64::MAX, ..manifest.clone() },
            Manifest { format: FORMAT + 1, ..manifest.clone() },
        ] {
            assert!(newer.check_versions().unwrap_err().to_string().contains("newer"));
        }
    }
}
