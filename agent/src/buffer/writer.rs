//! The one task that writes, on a thread that it shares with the doors.
//!
//! It takes whatever has arrived, applies it in one transaction, commits, and only then answers
//! everybody. While a commit blocks the thread, requests gather in the sockets; they are all read
//! before the next one (group commit). Nothing waits to gather more: under load the commit itself is
//! the gathering window.
//!
//! What only records the hub's answers is not synced by itself: the next call that is taken syncs it,
//! and if the power fails before, the rows are still there and the same ids are sent again.
//!
//! A sync that failed leaves a log that nobody may build upon: a kernel forgets the pages that it could not write and
//! says so once. What stands in the log then goes into the database before the next call is taken, and a new log begins.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use trastienda_protocol::batch::Kind;
use uuid::Uuid;

use super::call::{
    AcceptError, Accepted, Disk, Durability, Imported, Limits, NewCall, Settlement, StorageError,
};
use super::shared::Shared;
use super::store::salvage::Salvaged;
use super::store::{self, Ledger, accept, import, settle};

/// Commands in one transaction at most, and bytes of bodies after which it is not made larger.
const GROUP_MAX: usize = 512;
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Calls after which the ledger is saved even if nothing else changed: what a start has to count at most.
const SAVE_EVERY: i64 = 10_000;

type Reply<T> = oneshot::Sender<T>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Accept(NewCall, Reply<Result<Accepted, AcceptError>>),
    Settle(Vec<Settlement>, i64, Reply<Result<(), StorageError>>),
    Revive(Kind, Uuid, Reply<Result<bool, StorageError>>),
    /// What another version of the hub did not know the fields of.
    ReviveForVersion(String, Reply<Result<usize, StorageError>>),
    Discard(Kind, Uuid, Reply<Result<bool, StorageError>>),
    Prune(i64, Reply<Result<usize, StorageError>>),
    /// Calls out of a damaged database.
    Import(Vec<Salvaged>, Reply<Result<Imported, StorageError>>),
    SaveFact(&'static str, Vec<u8>, Reply<Result<(), StorageError>>),
    SetProject(String, Reply<Result<(), StorageError>>),
    /// A reader found the database of this generation damaged.
    Damaged(u64, StorageError),
}

/// Runs until every handle is gone.
pub(super) async fn run(connection: Connection, shared: Arc<Shared>, mut queue: mpsc::Receiver<Command>) {
    let mut database = Some(connection);
    let mut state = State::of(&shared);
    while let Some(first) = queue.recv().await {
        // Whoever else has something to say says it before the commit.
        tokio::task::yield_now().await;
        let group = gather(first, &mut queue);
        write(&mut database, &shared, &mut state, group);
    }
    if let Some(connection) = &database
        && let Err(error) = store::save_ledger(connection, shared.ledger())
    {
        tracing::debug!(error = %error, "the totals were not saved; they are counted at the next start");
    }
    shared.close_reader();
    if let Some(Err((_, error))) = database.map(Connection::close) {
        tracing::warn!(error = %error, "the buffer's database was not closed cleanly; nothing is lost");
    }
}

/// What the writer remembers between two commits.
struct State {
    /// The last number when the ledger was saved.
    saved_seq: i64,
    /// Whether commits are synced at present.
    synced: bool,
    /// Whether the log may hold what a failed sync lost.
    distrusted: bool,
}

impl State {
    fn of(shared: &Shared) -> Self {
        Self { saved_seq: shared.ledger().last_seq, synced: true, distrusted: false }
    }
}

fn write(database: &mut Option<Connection>, shared: &Shared, state: &mut State, mut group: Vec<Command>) {
    // Before the group is written: what is acknowledged next belongs into the new database.
    let mut damaged = reported_damage(&mut group, shared);
    if damaged || database.is_none() {
        *database = replace(database.take(), shared);
        *state = State::of(shared);
    }
    let Some(connection) = database.as_ref() else {
        for command in group {
            command.fail(&StorageError::no_database());
        }
        return;
    };
    if group.is_empty() {
        return;
    }
    if let Err(error) = commit(connection, shared, state, group) {
        damaged = error.is_damage();
        state.distrusted |= error.is_io();
        tracing::error!(error = %error, damaged, "the buffer could not write; what it holds is kept");
        if damaged {
            *database = replace(database.take(), shared);
            *state = State::of(shared);
        }
    }
}

/// Whether a reader found the present database damaged. A report about one that has been replaced
/// already is old news.
fn reported_damage(group: &mut Vec<Command>, shared: &Shared) -> bool {
    let mut damaged = false;
    group.retain(|command| {
        let Command::Damaged(generation, error) = command else { return true };
        if *generation == shared.generation() {
            tracing::error!(error = %error, "the buffer's database is damaged");
            damaged = true;
        }
        false
    });
    damaged
}

/// A new database in the damaged one's place. When there can be none, calls are refused until there can.
fn replace(damaged: Option<Connection>, shared: &Shared) -> Option<Connection> {
    shared
        .replace(damaged)
        .inspect_err(|error| {
            tracing::error!(error = %error, "no new buffer could be started; the agent refuses calls until one can");
        })
        .ok()
}

fn gather(first: Command, queue: &mut mpsc::Receiver<Command>) -> Vec<Command> {
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while group.len() < GROUP_MAX && bytes < GROUP_BYTES {
        let Ok(command) = queue.try_recv() else { break };
        bytes += command.bytes();
        group.push(command);
    }
    group
}

/// Applies a group in one transaction and answers it.
fn commit(
    connection: &Connection,
    shared: &Shared,
    state: &mut State,
    group: Vec<Command>,
) -> Result<(), StorageError> {
    let since = Instant::now();
    let before = shared.ledger();
    let changes = connection.total_changes();
    let mut work = Work { ledger: before, limits: shared.limits(), free_disk: shared.disk(), added: false };
    let promises = group.iter().any(Command::promises);
    let mut answers: Vec<Answer<'_>> = Vec::with_capacity(group.len());
    let mut commands = group.into_iter();
    let mut saved = false;
    let written = (|| {
        let synced = promises && shared.durability == Durability::Disk;
        if synced != state.synced {
            connection.pragma_update(None, "synchronous", if synced { "FULL" } else { "NORMAL" })?;
            state.synced = synced;
        }
        if promises && state.distrusted {
            store::begin_log_anew(connection)?;
            state.distrusted = false;
        }
        store::begin(connection)?;
        for command in commands.by_ref() {
            let (answer, applied) = command.apply(connection, &mut work, shared);
            answers.push(answer);
            applied?;
        }
        // What was only added has higher numbers than what is saved, and is counted at a start.
        let only_added = work.ledger.totals.rows.checked_sub(before.totals.rows)
            == u64::try_from(work.ledger.last_seq - before.last_seq).ok()
            && work.ledger.totals.dead_letters == before.totals.dead_letters;
        if !only_added || work.ledger.last_seq - state.saved_seq >= SAVE_EVERY {
            store::save_ledger(connection, work.ledger)?;
            saved = true;
        }
        store::commit(connection)?;
        Ok::<(), rusqlite::Error>(())
    })()
    .map_err(StorageError::from);
    if let Err(error) = written {
        store::roll_back(connection);
        shared.metrics.write_errors.add(1);
        for answer in answers {
            answer(Some(&error));
        }
        for command in commands {
            command.fail(&error);
        }
        return Err(error);
    }
    if saved {
        state.saved_seq = work.ledger.last_seq;
    }
    // A group of mere repeats writes nothing.
    if connection.total_changes() != changes {
        shared.metrics.commits.add(1);
        shared.metrics.commit_micros.add(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    shared.committed(work.ledger);
    for answer in answers {
        answer(None);
    }
    if work.added {
        shared.changed();
    }
    Ok(())
}

/// What the commands of one transaction build up.
pub(super) struct Work {
    pub(super) ledger: Ledger,
    pub(super) limits: Limits,
    pub(super) free_disk: Disk,
    pub(super) added: bool,
}

/// Tells the caller, after the commit (or with what prevented it).
type Answer<'a> = Box<dyn FnOnce(Option<&StorageError>) + 'a>;

impl Command {
    /// Whether its answer promises something that must outlive a power cut.
    fn promises(&self) -> bool {
        !matches!(self, Self::Settle(..) | Self::Prune(..) | Self::SaveFact(..) | Self::Damaged(..))
    }

    fn bytes(&self) -> usize {
        if let Self::Accept(call, _) = self { call.body.len() } else { 0 }
    }

    fn apply<'a>(
        self,
        connection: &Connection,
        work: &mut Work,
        shared: &'a Shared,
    ) -> (Answer<'a>, rusqlite::Result<()>) {
        match self {
            Self::Accept(call, reply) => match accept::accept(connection, &call, work) {
                Ok(result) => (answer(reply, result), Ok(())),
                Err(error) => (answer::<Accepted, AcceptError>(reply, Err(AcceptError::Reused)), Err(error)),
            },
            Self::Settle(settlements, now, reply) => {
                settled(reply, settle::settle(connection, &settlements, now, &mut work.ledger.totals))
            }
            Self::Revive(kind, id, reply) => {
                let revived = settle::revive(connection, (kind, id), &mut work.ledger.totals);
                work.added |= matches!(revived, Ok(true));
                settled(reply, revived)
            }
            Self::ReviveForVersion(version, reply) => {
                let revived = settle::revive_for_version(connection, &version, &mut work.ledger.totals);
                work.added |= revived.as_ref().is_ok_and(|revived| *revived > 0);
                settled(reply, revived)
            }
            Self::Discard(kind, id, reply) => {
                settled(reply, settle::discard(connection, (kind, id), &mut work.ledger.totals))
            }
            Self::Prune(before, reply) => settled(reply, settle::prune(connection, before)),
            Self::Import(salvaged, reply) => settled(reply, import::import(connection, salvaged, work)),
            Self::SaveFact(name, value, reply) => settled(reply, store::save_fact(connection, name, &value)),
            Self::SetProject(project, reply) => {
                let saved = store::save_fact(connection, store::PROJECT, project.as_bytes());
                let publish = move |error: Option<&StorageError>| {
                    if error.is_none() {
                        shared.set_project(project);
                    }
                    let _ = reply.send(error.map_or(Ok(()), |error| Err(error.clone())));
                };
                (Box::new(publish), saved)
            }
            Self::Damaged(..) => (Box::new(|_| ()), Ok(())),
        }
    }

    fn fail(self, error: &StorageError) {
        let error = error.clone();
        // Who no longer waits needs no answer.
        match self {
            Self::Accept(_, reply) => drop(reply.send(Err(error.into()))),
            Self::Settle(_, _, reply) | Self::SetProject(_, reply) | Self::SaveFact(_, _, reply) => {
                drop(reply.send(Err(error)));
            }
            Self::Revive(_, _, reply) | Self::Discard(_, _, reply) => drop(reply.send(Err(error))),
            Self::Prune(_, reply) | Self::ReviveForVersion(_, reply) => drop(reply.send(Err(error))),
            Self::Import(_, reply) => drop(reply.send(Err(error))),
            Self::Damaged(..) => {}
        }
    }
}

fn answer<'a, T: 'a, E: From<StorageError> + 'a>(
    reply: Reply<Result<T, E>>,
    result: Result<T, E>,
) -> Answer<'a> {
    Box::new(move |error| {
        let _ = reply.send(error.map_or(result, |error| Err(error.clone().into())));
    })
}

fn settled<'a, T: Default + 'a>(
    reply: Reply<Result<T, StorageError>>,
    result: rusqlite::Result<T>,
) -> (Answer<'a>, rusqlite::Result<()>) {
    match result {
        Ok(value) => (answer(reply, Ok(value)), Ok(())),
        // The error itself reaches the caller when the group is rolled back.
        Err(error) => (answer(reply, Ok(T::default())), Err(error)),
    }
}
