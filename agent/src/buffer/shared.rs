//! What the writer and the handles share: the reading connection and the numbers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::watch;
use trastienda_protocol::clock::Clock;

use super::call::{Disk, Durability, Limits, StorageError};
use super::fill::Fill;
use super::store::open::{self, Opened};
use super::store::{Ledger, save_ledger};
use super::{OpenError, Options};
use crate::metrics::Metrics;

#[derive(Debug)]
pub(super) struct Shared {
    directory: PathBuf,
    path: PathBuf,
    pub(super) durability: Durability,
    clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// Counts what may let another call go: calls taken, calls settled.
    changes: watch::Sender<u64>,
    pub(super) recovering: tokio::sync::Mutex<()>,
    facts: Mutex<Facts>,
    reader: Mutex<Reader>,
    // Keeps other agents out of the directory for as long as this one lives.
    _lock: std::fs::File,
}

/// The reading connection, and how many databases came before it.
#[derive(Debug)]
struct Reader {
    generation: u64,
    connection: Option<Connection>,
    /// Rows in batches on their way.
    in_flight: HashSet<i64>,
}

/// Keeps rows out of other claims until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    shared: Arc<Shared>,
    seqs: Vec<i64>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.seqs.is_empty() {
            // A claim that found nothing has kept nothing from anybody: whoever woke for it would claim, and wake the others.
            return;
        }
        // Under the reader's lock: no claim is looking at a state from before what became of them.
        let mut reader = self.shared.reader();
        for seq in &self.seqs {
            reader.in_flight.remove(seq);
        }
        drop(reader);
        self.shared.changes.send_modify(|count| *count += 1);
    }
}

#[derive(Debug)]
struct Facts {
    agent_id: String,
    fingerprint_key: [u8; 32],
    project: Option<String>,
    ledger: Ledger,
    limits: Limits,
    disk: Disk,
    fill: Fill,
}

impl Shared {
    /// The shared part, and the connection for the writer.
    pub(super) fn new(options: &Options<'_>, opened: Opened, metrics: Arc<Metrics>) -> (Self, Connection) {
        let Opened { writer, reader, lock, path, facts } = opened;
        let facts = Facts {
            agent_id: facts.agent_id,
            fingerprint_key: facts.fingerprint_key,
            project: facts.project,
            ledger: facts.ledger,
            limits: options.limits,
            disk: measure(options.directory),
            fill: Fill::default(),
        };
        let shared = Self {
            directory: options.directory.to_owned(),
            path,
            durability: options.durability,
            clock: Arc::clone(options.clock),
            metrics,
            changes: watch::Sender::new(0),
            recovering: tokio::sync::Mutex::default(),
            facts: Mutex::new(facts),
            reader: Mutex::new(Reader { generation: 0, connection: Some(reader), in_flight: HashSet::new() }),
            _lock: lock,
        };
        (shared, writer)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn agent_id(&self) -> String {
        self.facts().agent_id.clone()
    }

    pub(super) fn fingerprint_key(&self) -> [u8; 32] {
        self.facts().fingerprint_key
    }

    pub(super) fn project(&self) -> Option<String> {
        self.facts().project.clone()
    }

    pub(super) fn set_project(&self, project: String) {
        self.facts().project = Some(project);
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.facts().ledger
    }

    pub(super) fn limits(&self) -> Limits {
        self.facts().limits
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        self.facts().limits = limits;
    }

    pub(super) fn disk(&self) -> Disk {
        self.facts().disk
    }

    /// Looks at how much of the file system is free.
    pub(super) fn measure_disk(&self) {
        let disk = measure(&self.directory);
        self.facts().disk = disk;
    }

    /// Publishes the ledger after a commit, and warns of a buffer that fills.
    pub(super) fn committed(&self, ledger: Ledger) {
        let mut facts = self.facts();
        facts.ledger = ledger;
        let percent = facts.limits.percent(ledger.totals);
        if let Some(step) = facts.fill.crossed(percent) {
            tracing::warn!(
                percent,
                rows = ledger.totals.rows,
                bytes = ledger.totals.bytes,
                dead_letters = ledger.totals.dead_letters,
                "the buffer is more than {step} % full; at its limit new calls are refused"
            );
        }
    }

    /// Wakes whoever waits for something to send.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Reads what can be sent and holds it; with an error comes the generation of the database that gave it.
    pub(super) fn hold<T>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection, &HashSet<i64>) -> rusqlite::Result<(T, Vec<i64>)>,
    ) -> Result<(T, Hold), (u64, StorageError)> {
        let mut reader = self.reader();
        let generation = reader.generation;
        let connection = reader.connection.as_ref().ok_or((generation, StorageError::stopped()))?;
        let (value, seqs) =
            query(connection, &reader.in_flight).map_err(|error| (generation, error.into()))?;
        reader.in_flight.extend(&seqs);
        Ok((value, Hold { shared: Arc::clone(self), seqs }))
    }

    /// Reads; with an error comes the generation of the database that gave it.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, (u64, StorageError)> {
        let reader = self.reader();
        let connection = reader.connection.as_ref().ok_or((reader.generation, StorageError::stopped()))?;
        query(connection).map_err(|error| (reader.generation, error.into()))
    }

    /// How many databases came before the present one.
    pub(super) fn generation(&self) -> u64 {
        self.reader().generation
    }

    /// Sets the damaged database aside and starts a new one, which keeps the agent's name, its
    /// project and the key of its fingerprints.
    ///
    /// Without a damaged one: an earlier replacement failed, and is tried again.
    pub(super) fn replace(&self, damaged: Option<Connection>) -> Result<Connection, OpenError> {
        let mut reader = self.reader();
        reader.connection = None;
        if damaged.is_some() {
            drop(damaged);
            open::set_aside(&self.path, self.clock.now())?;
        }
        let (writer, new_reader, new_facts) =
            open::open_or_set_aside(&self.path, self.durability, self.clock.now())?;
        let mut facts = self.facts();
        open::keep_facts(&writer, &facts.agent_id, &facts.fingerprint_key, facts.project.as_deref())?;
        // Numbers go on: an answer to what was on its way must not be taken for one to a new call.
        let last_seq = facts.ledger.last_seq.max(new_facts.ledger.last_seq);
        facts.ledger = Ledger { last_seq, ..new_facts.ledger };
        save_ledger(&writer, facts.ledger).map_err(StorageError::from)?;
        reader.generation += 1;
        reader.connection = Some(new_reader);
        self.metrics.databases_set_aside.add(1);
        tracing::error!(
            directory = %self.directory.display(),
            "the buffer's database was found damaged and was set aside; what it held is not forwarded until it is recovered"
        );
        Ok(writer)
    }

    /// Closes the reading connection, so that the writer's is the last and cleans up.
    pub(super) fn close_reader(&self) {
        self.reader().connection = None;
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file system that cannot be asked is taken for an empty one of no limits.
fn measure(directory: &Path) -> Disk {
    rustix::fs::statvfs(directory).map_or(Disk { size: 0, free: u64::MAX }, |found| Disk {
        size: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
    })
}
