//! What the writer and the handles share: the reading connection and the numbers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Notify;
use trastienda_protocol::clock::Clock;

use super::call::{Durability, Limits, StorageError, Totals};
use super::store::open::{self, Opened};
use super::{OpenError, Options};
use crate::metrics::Metrics;

#[derive(Debug)]
pub(super) struct Shared {
    directory: PathBuf,
    path: PathBuf,
    durability: Durability,
    pub(super) limits: Limits,
    clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    added: Notify,
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
}

#[derive(Debug)]
struct Facts {
    agent_id: String,
    fingerprint_key: [u8; 32],
    project: Option<String>,
    totals: Totals,
}

impl Shared {
    /// The shared part, and the connection for the writer.
    pub(super) fn new(options: &Options<'_>, opened: Opened, metrics: Arc<Metrics>) -> (Self, Connection) {
        let Opened { writer, reader, lock, path, facts } = opened;
        let facts = Facts {
            agent_id: facts.agent_id,
            fingerprint_key: facts.fingerprint_key,
            project: facts.project,
            totals: facts.totals,
        };
        let shared = Self {
            directory: options.directory.to_owned(),
            path,
            durability: options.durability,
            limits: options.limits,
            clock: Arc::clone(options.clock),
            metrics,
            added: Notify::new(),
            recovering: tokio::sync::Mutex::default(),
            facts: Mutex::new(facts),
            reader: Mutex::new(Reader { generation: 0, connection: Some(reader) }),
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

    pub(super) fn totals(&self) -> Totals {
        self.facts().totals
    }

    /// Publishes the totals after a commit, and wakes whoever waits for something to send.
    pub(super) fn committed(&self, totals: Totals, added: bool) {
        self.facts().totals = totals;
        if added {
            self.added.notify_one();
        }
    }

    pub(super) async fn added(&self) {
        self.added.notified().await;
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
        facts.totals = new_facts.totals;
        *reader = Reader { generation: reader.generation + 1, connection: Some(new_reader) };
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
