//! The buffer: what the agent has acknowledged and the hub does not have yet, in SQLite.
//!
//! Promises, each with a test of its name:
//! - **An acknowledged call is on the disk.** [`Buffer::accept`] returns after the commit, with
//!   `synchronous=FULL` in the tier [`Durability::Disk`].
//! - **Calls that arrive together share one commit** ([`writer`]).
//! - **A repeat is the same call**: same id or same idempotency key and the same body give the first
//!   answer again; another body is refused. Receipts answer for seven days after forwarding.
//! - **Nothing acknowledged is dropped.** At its [`Limits`] the buffer refuses new calls. A row leaves
//!   only by [`Settled::Delivered`], or into the dead letters, where a person decides.
//! - **A damaged database never blocks**: it is set aside, whole, and a new one starts ([`store::open`]).
//!
//! The caller's bytes are kept as they came. One thread writes, one connection reads; this module
//! knows nothing of HTTP. Start reading at `schema.sql`, then [`writer`].

mod call;
mod shared;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};
use trastienda_protocol::batch::Kind;
use trastienda_protocol::clock::Clock;
use uuid::Uuid;

pub use call::{
    AcceptError, Accepted, Claim, DeadLetter, Durability, FullReason, Imported, Limits, NewCall, Pending,
    Reason, Settled, Settlement, StorageError, Totals, public_id,
};
pub use store::open::OpenError;
pub(crate) use store::salvage::{Salvaged, Wreck};

use crate::metrics::Metrics;
use shared::Shared;
use writer::Command;

/// Commands that may wait for the writer before callers wait to hand over theirs.
const QUEUE: usize = 4_096;

/// How to open a buffer.
#[derive(Debug)]
pub struct Options<'a> {
    /// Where its files are.
    pub directory: &'a Path,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// When new calls are refused.
    pub limits: Limits,
    /// Names a damaged database that is set aside, and dates the agent's name.
    pub clock: &'a Arc<dyn Clock>,
}

/// A handle on the buffer. Clones are the same buffer.
#[derive(Debug, Clone)]
pub struct Buffer {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// The writing thread, to be waited for at the end.
#[derive(Debug)]
pub struct Writer(std::thread::JoinHandle<()>);

impl Writer {
    /// Waits until all handles are gone and everything is written.
    pub async fn finished(self) {
        // A writer that panicked has been reported by its panic; there is nothing left to write.
        let _ = tokio::task::spawn_blocking(move || self.0.join()).await;
    }
}

impl Buffer {
    /// Opens the buffer in a directory, or makes one there.
    ///
    /// # Errors
    /// The directory is not writable, another agent uses it, or a newer agent made the buffer. A
    /// damaged database is no error: it is set aside.
    pub fn open(options: &Options<'_>, metrics: Arc<Metrics>) -> Result<(Self, Writer), OpenError> {
        let opened = store::open::open(options)?;
        let (commands, queue) = mpsc::channel(QUEUE);
        let (shared, connection) = Shared::new(options, opened, metrics);
        let shared = Arc::new(shared);
        let writing = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("buffer-writer".to_owned())
            .spawn(move || writer::run(connection, &writing, queue))
            .map_err(OpenError::Io)?;
        Ok((Self { shared, commands }, Writer(thread)))
    }

    /// Takes a call: `Ok` means that it is on the disk.
    ///
    /// # Errors
    /// [`AcceptError`]: a repeat with another body, no room, or no way to write.
    pub async fn accept(&self, call: NewCall) -> Result<Accepted, AcceptError> {
        self.ask(|reply| Command::Accept(call, reply)).await.unwrap_or_else(|error| Err(error.into()))
    }

    /// What to send next, in order. The rows stay until they are settled.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn claim(
        &self,
        now: DateTime<Utc>,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Claim, StorageError> {
        let now = now.timestamp_millis();
        self.read(move |connection| store::read::claim(connection, now, max_rows, max_bytes)).await
    }

    /// Records what became of claimed rows.
    ///
    /// # Errors
    /// Nothing was recorded; the rows are still there.
    pub async fn settle(&self, settlements: Vec<Settlement>, now: DateTime<Utc>) -> Result<(), StorageError> {
        let now = now.timestamp_millis();
        self.ask(|reply| Command::Settle(settlements, now, reply)).await?
    }

    /// The dead letters, newest first, older than `before`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn list_dead_letters(
        &self,
        limit: u32,
        before: Option<i64>,
    ) -> Result<Vec<DeadLetter>, StorageError> {
        self.read(move |connection| store::read::list_dead_letters(connection, limit, before)).await
    }

    /// One dead letter and the bytes that it would have sent.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn find_dead_letter(
        &self,
        kind: Kind,
        id: Uuid,
    ) -> Result<Option<(DeadLetter, Vec<u8>)>, StorageError> {
        self.read(move |connection| store::read::find_dead_letter(connection, kind, id)).await
    }

    /// Puts a dead letter back among what is sent. `false`: there is none of this id whose time is not over.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn revive(&self, kind: Kind, id: Uuid) -> Result<bool, StorageError> {
        self.ask(|reply| Command::Revive(kind, id, reply)).await?
    }

    /// Puts back what another version of the hub refused for nothing but fields that it did not know.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn revive_for_version(&self, hub_version: String) -> Result<usize, StorageError> {
        self.ask(|reply| Command::ReviveForVersion(hub_version, reply)).await?
    }

    /// Forgets a dead letter for good. `false`: there is none of this id.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn discard(&self, kind: Kind, id: Uuid) -> Result<bool, StorageError> {
        self.ask(|reply| Command::Discard(kind, id, reply)).await?
    }

    /// Forgets the receipts of what was forwarded before `before`; gives back free pages.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<usize, StorageError> {
        let before = before.timestamp_millis();
        self.ask(|reply| Command::Prune(before, reply)).await?
    }

    /// The project that the buffer belongs to, once known.
    pub fn project(&self) -> Option<String> {
        self.shared.project()
    }

    /// Makes the buffer a project's.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn set_project(&self, project: String) -> Result<(), StorageError> {
        self.ask(|reply| Command::SetProject(project, reply)).await?
    }

    /// Keeps what is known of the project's feature flags.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn save_features(&self, note: Vec<u8>) -> Result<(), StorageError> {
        self.ask(|reply| Command::SaveFeatures(note, reply)).await?
    }

    /// What was kept of the project's feature flags.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn features(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.read(|connection| store::find_fact(connection, store::FEATURES)).await
    }

    /// The agent's name for itself, made with the buffer.
    pub fn agent_id(&self) -> String {
        self.shared.agent_id()
    }

    /// The key of the fingerprints, made with the buffer.
    pub fn fingerprint_key(&self) -> [u8; 32] {
        self.shared.fingerprint_key()
    }

    /// How much is kept.
    pub fn totals(&self) -> Totals {
        self.shared.totals()
    }

    /// When the oldest call that waits was acknowledged.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn oldest(&self) -> Result<Option<DateTime<Utc>>, StorageError> {
        let oldest = self.read(store::read::oldest).await?;
        Ok(oldest.and_then(DateTime::from_timestamp_millis))
    }

    /// Bytes that the buffer takes on the disk, write-ahead log included.
    pub fn disk_bytes(&self) -> u64 {
        store::open::files(self.shared.path())
            .iter()
            .filter_map(|file| std::fs::metadata(file).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Databases that were set aside as damaged and still lie in the directory.
    pub fn damaged_files(&self) -> Vec<PathBuf> {
        store::open::damaged_files(self.shared.path())
    }

    /// Takes back calls out of a damaged database, whatever the limits say.
    ///
    /// # Errors
    /// None of them was taken.
    pub(crate) async fn import(&self, salvaged: Vec<Salvaged>) -> Result<Imported, StorageError> {
        self.ask(|reply| Command::Import(salvaged, reply)).await?
    }

    /// Held by whoever recovers: one at a time.
    pub(crate) async fn recovering(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.recovering.lock().await
    }

    /// Gives a database that was set aside the name of one that has been looked at.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub(crate) fn mark_recovered(file: &Path) -> std::io::Result<PathBuf> {
        store::open::mark_recovered(file)
    }

    /// Returns once something was added since the last call.
    pub async fn added(&self) {
        self.shared.added().await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| StorageError::stopped())?;
        answer.await.map_err(|_| StorageError::stopped())
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        let result = tokio::task::spawn_blocking(move || shared.read(query)).await;
        match result.map_err(|_| StorageError::stopped())? {
            Ok(value) => Ok(value),
            Err((generation, error)) => {
                if error.is_damage() {
                    // The writer decides what to do about it; who reads gets the error.
                    let _ = self.commands.send(Command::Damaged(generation, error.clone())).await;
                }
                Err(error)
            }
        }
    }
}
