//! The one thread that writes.
//!
//! It takes whatever has arrived, applies it in one transaction, commits, and only then answers
//! everybody: calls that arrive while a commit runs share the next one (group commit). There is no
//! waiting to gather more: under load the commit itself is the gathering window.

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use trastienda_protocol::batch::Kind;
use uuid::Uuid;

use super::call::{AcceptError, Accepted, Imported, NewCall, Settlement, StorageError, Totals};
use super::shared::Shared;
use super::store::salvage::Salvaged;
use super::store::{self, accept, import, settle};

/// Commands in one transaction at most, and bytes of bodies after which it is not made larger.
const GROUP_MAX: usize = 512;
const GROUP_BYTES: usize = 8 * 1024 * 1024;

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
    SaveFeatures(Vec<u8>, Reply<Result<(), StorageError>>),
    SetProject(String, Reply<Result<(), StorageError>>),
    /// A reader found the database of this generation damaged.
    Damaged(u64, StorageError),
}

/// Runs until every handle is gone.
pub(super) fn run(connection: Connection, shared: &Shared, mut queue: mpsc::Receiver<Command>) {
    let mut database = Some(connection);
    while let Some(first) = queue.blocking_recv() {
        let mut group = gather(first, &mut queue);
        // Before the group is written: what is acknowledged next belongs into the new database.
        let mut damaged = reported_damage(&mut group, shared);
        if damaged || database.is_none() {
            database = replace(database, shared);
        }
        let Some(connection) = database.as_mut() else {
            for command in group {
                command.fail(&StorageError::no_database());
            }
            continue;
        };
        if let Err(error) = commit(connection, shared, group) {
            damaged = error.is_damage();
            tracing::error!(error = %error, damaged, "the buffer could not write; what it holds is kept");
            if damaged {
                database = replace(database, shared);
            }
        }
    }
    shared.close_reader();
    if let Some(Err((_, error))) = database.map(Connection::close) {
        tracing::warn!(error = %error, "the buffer's database was not closed cleanly; nothing is lost");
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
fn commit(connection: &mut Connection, shared: &Shared, group: Vec<Command>) -> Result<(), StorageError> {
    let before = shared.totals();
    let changes = connection.total_changes();
    let mut work = Work { totals: before, limits: shared.limits, added: false };
    let mut answers: Vec<Answer<'_>> = Vec::with_capacity(group.len());
    let mut commands = group.into_iter();
    let written = (|| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for command in commands.by_ref() {
            let (answer, applied) = command.apply(&transaction, &mut work, shared);
            answers.push(answer);
            applied?;
        }
        if work.totals != before {
            store::save_totals(&transaction, work.totals)?;
        }
        transaction.commit()?;
        Ok::<(), rusqlite::Error>(())
    })()
    .map_err(StorageError::from);
    if let Err(error) = written {
        shared.metrics.write_errors.add(1);
        for answer in answers {
            answer(Some(&error));
        }
        for command in commands {
            command.fail(&error);
        }
        return Err(error);
    }
    // `save_totals` itself is part of the count; a group of mere repeats writes nothing.
    if connection.total_changes() != changes {
        shared.metrics.commits.add(1);
    }
    shared.committed(work.totals, work.added);
    for answer in answers {
        answer(None);
    }
    Ok(())
}

/// What the commands of one transaction build up.
pub(super) struct Work {
    pub(super) totals: Totals,
    pub(super) limits: super::Limits,
    pub(super) added: bool,
}

/// Tells the caller, after the commit (or with what prevented it).
type Answer<'a> = Box<dyn FnOnce(Option<&StorageError>) + 'a>;

impl Command {
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
                settled(reply, settle::settle(connection, &settlements, now, &mut work.totals))
            }
            Self::Revive(kind, id, reply) => {
                let revived = settle::revive(connection, (kind, id), &mut work.totals);
                work.added |= matches!(revived, Ok(true));
                settled(reply, revived)
            }
            Self::ReviveForVersion(version, reply) => {
                let revived = settle::revive_for_version(connection, &version, &mut work.totals);
                work.added |= revived.as_ref().is_ok_and(|revived| *revived > 0);
                settled(reply, revived)
            }
            Self::Discard(kind, id, reply) => {
                settled(reply, settle::discard(connection, (kind, id), &mut work.totals))
            }
            Self::Prune(before, reply) => settled(reply, settle::prune(connection, before)),
            Self::Import(salvaged, reply) => settled(reply, import::import(connection, salvaged, work)),
            Self::SaveFeatures(note, reply) => {
                settled(reply, store::save_fact(connection, store::FEATURES, &note))
            }
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
            Self::Settle(_, _, reply) | Self::SetProject(_, reply) | Self::SaveFeatures(_, reply) => {
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
