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
mod fill;
mod inspect;
mod shared;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use trastienda_protocol::batch::Kind;
use trastienda_protocol::clock::Clock;
use uuid::Uuid;

pub use call::{
    AcceptError, Accepted, Claim, DeadLetter, Durability, FullReason, Imported, Lane, Limits, NewCall,
    Pending, Reason, Settled, Settlement, StorageError, Totals, Wanted, parse_id, public_id,
};
pub use inspect::{Findings, Inspector, Kept, Which};
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
///
/// It has a runtime of its own, on which the doors are served as well: a call is read, checked,
/// committed and answered without ever changing threads.
#[derive(Debug)]
pub struct Writer {
    thread: std::thread::JoinHandle<()>,
    runtime: Handle,
}

impl Writer {
    /// Where tasks go that are to share the writer's thread. They end with it.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Waits until all handles are gone and everything is written.
    pub async fn finished(self) {
        // A writer that panicked has been reported by its panic; there is nothing left to write.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
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
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OpenError::Io)?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name("buffer-writer".to_owned())
            .spawn(move || {
                // As a task, not as what is blocked on: waking a task of one's own thread costs nothing.
                let _ = runtime.block_on(runtime.spawn(writer::run(connection, writing, queue)));
            })
            .map_err(OpenError::Io)?;
        Ok((Self { shared, commands }, Writer { thread, runtime: handle }))
    }

    /// Takes a call: `Ok` means that it is on the disk.
    ///
    /// # Errors
    /// [`AcceptError`]: a repeat with another body, no room, or no way to write.
    pub async fn accept(&self, call: NewCall) -> Result<Accepted, AcceptError> {
        self.ask(|reply| Command::Accept(call, reply)).await.unwrap_or_else(|error| Err(error.into()))
    }

    /// What a lane sends next, in order. The rows stay until they are settled, and are in no other claim
    /// for as long as this one lives.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn claim(&self, wanted: Wanted) -> Result<Claim, StorageError> {
        self.reading(move |shared| {
            let (mut claim, hold) = shared.hold(|connection, in_flight| {
                let claim = store::claim::claim(connection, &wanted, in_flight)?;
                let sent = claim.operations.iter().map(|operation| operation.seq);
                let seqs = sent.chain(claim.expired.iter().copied()).collect();
                Ok((claim, seqs))
            })?;
            claim.hold = Some(hold);
            Ok(claim)
        })
        .await
    }

    /// The highest number of a call that waits, 0 when none does.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn newest(&self) -> Result<i64, StorageError> {
        self.read(store::read::newest).await
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
        self.ask(|reply| Command::SaveFact(store::FEATURES, note, reply)).await?
    }

    /// Keeps the hub's last answer about the project itself.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn save_project_answer(&self, answer: Vec<u8>) -> Result<(), StorageError> {
        self.ask(|reply| Command::SaveFact(store::PROJECT_ANSWER, answer, reply)).await?
    }

    /// What was kept of the hub's answer about the project.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn project_answer(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.read(|connection| store::find_fact(connection, store::PROJECT_ANSWER)).await
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
        self.shared.ledger().totals
    }

    /// When new calls are refused, from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.set_limits(limits);
    }

    /// How full it is, in hundredths of the limit that is nearest.
    pub fn percent(&self) -> u64 {
        self.shared.limits().percent(self.totals())
    }

    /// Looks at how much of the disk is free, and gives it; too little, and calls are refused.
    pub fn measure_disk(&self) -> u64 {
        self.shared.measure_disk();
        self.shared.disk().free
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

    /// Changes whenever there may be something more to send.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
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
        self.reading(move |shared| shared.read(query)).await
    }

    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Arc<Shared>) -> Result<T, (u64, StorageError)> + Send + 'static,
    ) -> Result<T, StorageError> {
        let shared = Arc::clone(&self.shared);
        let result = tokio::task::spawn_blocking(move || read(&shared)).await;
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
