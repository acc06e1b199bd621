//! Opening the database, and setting a damaged one aside.
//!
//! What counts as damage is decided here: a file that is no database, whose schema cannot be read,
//! or (while it is small enough to look at in no time) whose pages do not fit together, and a log with
//! acknowledged calls behind a damaged frame. Everything
//! else (no rights, no space, a newer agent's file) stops the start with its reason, since setting
//! such a file aside would help nobody.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use trastienda_protocol::ids::{IdSource as _, RandomIds};

use super::{
    AGENT_ID, FINGERPRINT_KEY, Ledger, PROJECT, failure, find_fact, load_ledger, log, save_fact, upgrade,
};
use crate::buffer::Options;
use crate::buffer::call::{Durability, StorageError};

pub(in crate::buffer) const FILE_NAME: &str = "buffer.db";
const DAMAGED: &str = "buffer.damaged-";
const RECOVERED: &str = "buffer.recovered-";
const LOCK_NAME: &str = "agent.lock";
const SCHEMA: &str = include_str!("../schema.sql");
const SCHEMA_VERSION: i64 = 2;
/// Up to this size all pages are looked at before the start.
const CHECK_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Pages in the log after which they go into the database, and the log starts over.
const LOG_PAGES: u32 = 2_000;

/// Why there is no buffer.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file cannot be used.
    #[error("the data directory cannot be used: {0}")]
    Io(#[from] io::Error),
    /// Another agent has it.
    #[error("another agent uses the data directory {}", .0.display())]
    InUse(PathBuf),
    /// A newer agent made it.
    #[error(
        "the buffer has schema version {0}, made by a newer agent; this one knows up to {SCHEMA_VERSION}"
    )]
    Newer(i64),
    /// An earlier agent made it, and only a start upgrades it.
    #[error("the buffer has schema version {0}, made by an earlier agent: start this one to upgrade it")]
    Older(i64),
    /// The database does not open.
    #[error("the buffer cannot be opened: {0}")]
    Storage(#[from] StorageError),
    /// The operating system gives no randomness.
    #[error("no random bytes from the operating system: {0}")]
    Random(#[from] getrandom::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl OpenError {
    fn is_damage(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_damage())
    }
}

/// What is kept about the buffer itself.
#[derive(Debug)]
pub(in crate::buffer) struct Facts {
    pub(in crate::buffer) agent_id: String,
    pub(in crate::buffer) fingerprint_key: [u8; 32],
    pub(in crate::buffer) project: Option<String>,
    pub(in crate::buffer) ledger: Ledger,
}

/// An open buffer.
pub(in crate::buffer) struct Opened {
    pub(in crate::buffer) writer: Connection,
    pub(in crate::buffer) reader: Connection,
    pub(in crate::buffer) lock: File,
    pub(in crate::buffer) path: PathBuf,
    pub(in crate::buffer) facts: Facts,
}

pub(in crate::buffer) fn open(options: &Options<'_>) -> Result<Opened, OpenError> {
    // What shops say of their customers is nobody else's on this host.
    DirBuilder::new().recursive(true).mode(0o700).create(options.directory)?;
    let lock = File::create(options.directory.join(LOCK_NAME))?;
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => OpenError::InUse(options.directory.to_owned()),
        fs::TryLockError::Error(error) => OpenError::Io(error),
    })?;
    let path = options.directory.join(FILE_NAME);
    let now = options.clock.now();
    let (writer, reader, facts) = open_or_set_aside(&path, options.durability, now)?;
    Ok(Opened { writer, reader, lock, path, facts })
}

/// Opens the database; a damaged one is set aside and a new one started.
pub(in crate::buffer) fn open_or_set_aside(
    path: &Path,
    durability: Durability,
    now: DateTime<Utc>,
) -> Result<(Connection, Connection, Facts), OpenError> {
    match open_files(path, durability, now) {
        Err(error) if error.is_damage() => {
            let aside = set_aside(path, now)?;
            tracing::error!(
                error = %error,
                file = %aside.display(),
                "the buffer's database is damaged: it was set aside and a new one started; \
                 what it held is not forwarded until it is recovered"
            );
            open_files(path, durability, now)
        }
        opened => opened,
    }
}

fn open_files(
    path: &Path,
    durability: Durability,
    now: DateTime<Utc>,
) -> Result<(Connection, Connection, Facts), OpenError> {
    if durability == Durability::Disk {
        // In the other tier, what several transactions wrote may be torn by a power cut.
        check_log(path)?;
    }
    // Made here for its rights, which SQLite gives to the files beside it as well.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let mut writer = Connection::open(path)?;
    configure(&writer, durability)?;
    match schema_version(&writer)? {
        0 => create(&writer)?,
        1 => {
            writer.close().map_err(|(_, error)| error)?;
            upgrade::from_1(path)?;
            writer = Connection::open(path)?;
            configure(&writer, durability)?;
        }
        SCHEMA_VERSION => {}
        newer => return Err(OpenError::Newer(newer)),
    }
    if fs::metadata(path)?.len() <= CHECK_MAX_BYTES {
        check(&writer)?;
    }
    let facts = load_facts(&writer, now)?;
    fill_log(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags)?;
    reader.busy_timeout(Duration::from_secs(5))?;
    Ok((writer, reader, facts))
}

pub(in crate::buffer) fn configure(connection: &Connection, durability: Durability) -> Result<(), OpenError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    if schema_version(connection)? == 0 {
        // Lets free pages be given back a few at a time. Counts only for a new file, and would write to an old one.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let synchronous = match durability {
        Durability::Disk => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    // The log is reused in place, which is cheaper to sync than growing it, and kept from staying huge.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 * 1024 * 1024, |_| Ok(()))?;
    Ok(())
}

/// Whether this version can read a database that it did not open for itself.
pub(in crate::buffer) fn check_version(connection: &Connection) -> Result<(), OpenError> {
    match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
        SCHEMA_VERSION => Ok(()),
        older if older < SCHEMA_VERSION => Err(OpenError::Older(older)),
        newer => Err(OpenError::Newer(newer)),
    }
}

/// Makes the log as long as it becomes before it starts over: overwriting is cheaper to sync than
/// growing, which changes the file system's own books as well. What SQLite finds after its last frame
/// it does not look at, and zeros are no frame.
fn fill_log(path: &Path) {
    let [_, log, _] = files(path);
    let fill = || -> io::Result<()> {
        let length = 32 + u64::from(LOG_PAGES + LOG_PAGES / 8) * (4_096 + 24);
        let mut file = OpenOptions::new().append(true).open(log)?;
        let missing = length.saturating_sub(file.metadata()?.len());
        let disk = rustix::fs::statvfs(path).map_err(io::Error::from)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < missing * 16 {
            // A small or full disk has better uses for its room.
            return Ok(());
        }
        io::copy(&mut io::repeat(0).take(missing), &mut file)?;
        file.sync_all()
    };
    if let Err(error) = fill() {
        tracing::debug!(error = %error, "the buffer's log could not be made its full length; it grows instead");
    }
}

/// 0: there is nothing yet.
fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(in crate::buffer) fn create(connection: &Connection) -> Result<(), OpenError> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;\n{SCHEMA}\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;"
    ))?;
    Ok(())
}

fn check(connection: &Connection) -> Result<(), OpenError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(damage(verdict))
}

fn damage(verdict: String) -> OpenError {
    failure(rusqlite::ffi::SQLITE_CORRUPT, verdict).into()
}

/// Looks whether acknowledged calls lie in the log where SQLite would not read them, and would write over them.
fn check_log(path: &Path) -> Result<(), OpenError> {
    let [_, log_path, _] = files(path);
    let behind = log::calls_behind_damage(&log_path)?;
    if behind.len() < 2 || !fs::exists(path)? {
        return Ok(());
    }
    let connection = Connection::open(path)?;
    // Nothing is changed by looking: a connection that ends would take the log along.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let known = match schema_version(&connection)? {
        0 => 0,
        SCHEMA_VERSION => load_ledger(&connection)?.last_seq,
        // Its numbers are read by who knows them.
        _ => i64::MAX,
    };
    let mut highest = known;
    let mut newer = 0;
    for call in behind {
        newer += u32::from(call > highest);
        highest = highest.max(call);
    }
    if newer >= 2 {
        return Err(damage(format!(
            "the log is damaged behind call number {known}; the last one is {highest}"
        )));
    }
    Ok(())
}

fn load_facts(connection: &Connection, now: DateTime<Utc>) -> Result<Facts, OpenError> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let project = find_fact(connection, PROJECT)?.map(text);
    let agent_id = find_fact(connection, AGENT_ID)?.map(text);
    let key = find_fact(connection, FINGERPRINT_KEY)?.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let (agent_id, fingerprint_key) = if let (Some(agent_id), Some(key)) = (agent_id, key) {
        // Nothing is written: an agent must start on a full disk, to hand over what it holds.
        (agent_id, key)
    } else {
        let mut key = [0u8; 32];
        getrandom::fill(&mut key)?;
        let agent_id = format!("agent-{}", RandomIds.uuid(now).as_simple());
        keep_facts(connection, &agent_id, &key, project.as_deref())?;
        (agent_id, key)
    };
    Ok(Facts { agent_id, fingerprint_key, project, ledger: load_ledger(connection)? })
}

pub(in crate::buffer) fn keep_facts(
    connection: &Connection,
    agent_id: &str,
    fingerprint_key: &[u8; 32],
    project: Option<&str>,
) -> Result<(), OpenError> {
    save_fact(connection, AGENT_ID, agent_id.as_bytes())?;
    save_fact(connection, FINGERPRINT_KEY, fingerprint_key)?;
    if let Some(project) = project {
        save_fact(connection, PROJECT, project.as_bytes())?;
    }
    Ok(())
}

/// The database and the files that SQLite keeps beside it.
pub(in crate::buffer) fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = OsString::from(path.as_os_str());
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Renames the database with its log, so that everything readable in it can still be recovered.
pub(in crate::buffer) fn set_aside(path: &Path, now: DateTime<Utc>) -> io::Result<PathBuf> {
    let stamp = now.format("%Y%m%dT%H%M%S%3fZ");
    let mut aside = path.with_file_name(format!("{DAMAGED}{stamp}.db"));
    // A clock that was set back must not write over what was set aside before.
    for copy in 2.. {
        if !fs::exists(&aside)? {
            break;
        }
        aside = path.with_file_name(format!("{DAMAGED}{stamp}-{copy}.db"));
    }
    move_files(path, &aside)?;
    Ok(aside)
}

/// Gives a database that was set aside the name of one that has been looked at.
pub(in crate::buffer) fn mark_recovered(damaged: &Path) -> io::Result<PathBuf> {
    let name = damaged.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let recovered = damaged.with_file_name(name.replacen(DAMAGED, RECOVERED, 1));
    move_files(damaged, &recovered)?;
    Ok(recovered)
}

fn move_files(from: &Path, to: &Path) -> io::Result<()> {
    for (from, to) in files(from).iter().zip(files(to)) {
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(in crate::buffer) fn damaged_files(path: &Path) -> Vec<PathBuf> {
    let entries = path.parent().and_then(|directory| fs::read_dir(directory).ok());
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    names
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(DAMAGED) && path.extension().is_some_and(|extension| extension == "db")
        })
        .collect()
}
