//! Reading what can still be read of a database that was set aside, row by row.
//!
//! It works on a copy: the original stays as it was found. A first page that is no longer one is
//! replaced by that of a new buffer, which is the same, since every buffer is made by the same
//! statements. A table is walked from both ends up to the damage, and between the two ends every row
//! is asked for by its number; what no way leads to is looked for leaf by leaf ([`super::leaves`]). What is read must be a call: a body
//! that is no JSON, or is not the one that was acknowledged, is not sent. What cannot be read is named by the index of ids.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{Connection, Row};
use serde_json::Value;
use trastienda_protocol::batch::Kind;
use trastienda_protocol::fingerprint::fingerprint;
use uuid::Uuid;

use super::open::{self, files};
use super::{FINGERPRINT_KEY, PROJECT, find_fact, kind_of, load_saved_ledger};
use super::{leaves, log};
use crate::buffer::call::{Durability, NewCall, Reason, public_id};

pub(super) const PAGE: usize = 4_096;
/// Row numbers that are tried one by one at most.
const PROBES_MAX: i64 = 10_000_000;

/// A call out of a damaged database.
#[derive(Debug, Clone)]
pub(crate) struct Salvaged {
    pub(in crate::buffer) call: NewCall,
    /// Set when it was a dead letter there.
    pub(in crate::buffer) dead: Option<Buried>,
}

impl Salvaged {
    /// What it is, for whoever compares.
    pub(crate) fn name(&self) -> (Kind, Uuid) {
        (self.call.kind, self.call.id)
    }

    /// Bytes that its body takes.
    pub(crate) fn size(&self) -> usize {
        self.call.body.len()
    }
}

/// How a dead letter came to be one.
#[derive(Debug, Clone)]
pub(in crate::buffer) struct Buried {
    pub(in crate::buffer) failed_at: i64,
    pub(in crate::buffer) reason: Reason,
    pub(in crate::buffer) answer: Option<String>,
    pub(in crate::buffer) hub_version: Option<String>,
}

/// A damaged database, open as far as it opens.
pub(crate) struct Wreck {
    connection: Connection,
    fingerprint_key: Option<[u8; 32]>,
    /// The project that it belongs to, if that can be read.
    pub(crate) project: Option<String>,
    /// How many calls it should hold, if that can be read.
    pub(crate) calls: Option<u64>,
    /// Whether a table could not be walked from end to end.
    is_torn: Cell<bool>,
    copy: Scratch,
}

impl Wreck {
    /// `None`: nothing in it can be read.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let copy = Scratch::beside(path, "salvage.db");
        for (from, to) in files(path).iter().zip(files(&copy.0)).take(2) {
            match fs::copy(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // What lies behind a damaged frame of the log is read as well. Where a frame is missing, ways may lead past rows.
        let is_mended = log::mend(&files(&copy.0)[1])?;
        let connection = match open_copy(&copy.0) {
            Ok(connection) => connection,
            Err(_) => match replace_first_page(&copy.0).map(|()| open_copy(&copy.0)) {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    tracing::debug!(error = %error, "the damaged database does not open");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
        };
        let fact = |name| find_fact(&connection, name).ok().flatten();
        let project = fact(PROJECT).and_then(|bytes| String::from_utf8(bytes).ok());
        let fingerprint_key = fact(FINGERPRINT_KEY).and_then(|bytes| bytes.try_into().ok());
        let calls = held(&connection);
        Ok(Some(Self { connection, fingerprint_key, project, calls, is_torn: Cell::new(is_mended), copy }))
    }

    /// Hands over every call that can be read, until told to stop. Gives how many could not be,
    /// among those of which there is a trace.
    pub(crate) fn read(&self, key: &[u8; 32], mut take: impl FnMut(Salvaged) -> ControlFlow<()>) -> u64 {
        let mut unreadable = 0;
        let mut seen = HashSet::new();
        let mut visit = |row: &Row<'_>| {
            if let (Ok(kind), Ok(id)) = (row.get::<_, i64>(1), row.get::<_, [u8; 16]>(2))
                && !seen.insert((kind, id))
            {
                return ControlFlow::Continue(());
            }
            if let Ok(Some(salvaged)) = self.call(row, key) {
                return take(salvaged);
            }
            unreadable += 1;
            ControlFlow::Continue(())
        };
        let waiting =
            format!("SELECT {}, NULL, NULL, NULL, NULL FROM operations", self.columns("operations"));
        let dead = format!(
            "SELECT {}, failed_at, reason, answer, hub_version FROM dead_letters",
            self.columns("dead_letters")
        );
        let selects = [waiting, dead];
        for select in &selects {
            if self.walk(select, &mut visit).is_break() {
                return unreadable;
            }
        }
        if self.is_torn.get() {
            // What comes of it is told by what has been read, and by nothing else.
            let _ = self.walk_leaves(&selects, &mut visit);
        }
        unreadable
    }

    /// In the first version of the schema, fingerprints were among the receipts.
    fn columns(&self, table: &str) -> String {
        let own = self.connection.prepare(&format!("SELECT fingerprint FROM {table}")).is_ok();
        let fingerprint = if own {
            "fingerprint".to_owned()
        } else {
            format!(
                "coalesce((SELECT r.fingerprint FROM receipts AS r WHERE r.seq = {table}.seq), zeroblob(32))"
            )
        };
        format!("seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, body, {fingerprint}")
    }

    fn walk(&self, select: &str, visit: &mut impl FnMut(&Row<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let up = self.walk_from(&format!("{select} ORDER BY seq"), visit)?;
        let Some(low) = up else { return ControlFlow::Continue(()) };
        self.is_torn.set(true);
        let down = self.walk_from(&format!("{select} WHERE seq > {low} ORDER BY seq DESC"), visit)?;
        let Some(high) = down else { return ControlFlow::Continue(()) };
        let high = if high > 0 { high } else { self.last_seq().saturating_add(1) };
        for seq in (low + 1)..high.min(low.saturating_add(PROBES_MAX)) {
            let asked = self.connection.prepare_cached(&format!("{select} WHERE seq = ?1"));
            let Ok(mut statement) = asked else { continue };
            let Ok(mut rows) = statement.query([seq]) else { continue };
            if let Ok(Some(row)) = rows.next() {
                visit(row)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Visits the rows of all leaves, also of those that no way leads to.
    fn walk_leaves(
        &self,
        selects: &[String],
        visit: &mut impl FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let scratch = Scratch::beside(&self.copy.0, "salvage-leaves.db");
        let found = Connection::open(&scratch.0)?;
        leaves::gather(&self.connection, &self.copy.0, &found)?;
        for select in selects {
            let mut statement = found.prepare(select)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if !self.is_forwarded(row) && visit(row).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the hub has it: pages that are free without our knowing it hold rows that were deleted.
    fn is_forwarded(&self, row: &Row<'_>) -> bool {
        let sql = "SELECT 1 FROM receipts WHERE kind = ?1 AND id = ?2 AND forwarded_at IS NOT NULL";
        let (Ok(kind), Ok(id)) = (row.get::<_, i64>(1), row.get::<_, [u8; 16]>(2)) else { return false };
        self.connection.prepare_cached(sql).and_then(|mut found| found.exists((kind, id))).unwrap_or(false)
    }

    /// Walks until the end or the damage. After the damage: the last number that was read, or 0.
    fn walk_from(
        &self,
        select: &str,
        visit: &mut impl FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<(), Option<i64>> {
        let mut last = 0;
        let Ok(mut statement) = self.connection.prepare(select) else {
            return ControlFlow::Continue(Some(last));
        };
        let Ok(mut rows) = statement.query([]) else { return ControlFlow::Continue(Some(last)) };
        loop {
            match rows.next() {
                Ok(None) => return ControlFlow::Continue(None),
                Err(_) => return ControlFlow::Continue(Some(last)),
                Ok(Some(row)) => {
                    last = row.get(0).unwrap_or(last);
                    visit(row)?;
                }
            }
        }
    }

    fn last_seq(&self) -> i64 {
        let number = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).ok();
        number("SELECT max(seq) FROM operations INDEXED BY operations_by_id WHERE id IS NOT NULL")
            .or_else(|| load_saved_ledger(&self.connection).ok().flatten().map(|ledger| ledger.last_seq))
            .unwrap_or(PROBES_MAX)
    }

    /// `None`: a row that is no call, or not the one that was acknowledged.
    fn call(&self, row: &Row<'_>, key: &[u8; 32]) -> rusqlite::Result<Option<Salvaged>> {
        let body: Vec<u8> = row.get(7)?;
        let Ok(value) = serde_json::from_slice::<Value>(&body) else { return Ok(None) };
        if !self.is_acknowledged(&row.get::<_, Vec<u8>>(8)?, &value) {
            return Ok(None);
        }
        let reason: Option<String> = row.get(10)?;
        let dead = match reason.as_deref().and_then(Reason::parse) {
            Some(reason) => Some(Buried {
                failed_at: row.get(9)?,
                reason,
                answer: row.get(11)?,
                hub_version: row.get(12)?,
            }),
            None => None,
        };
        let call = NewCall {
            kind: kind_of(row.get(1)?, 1)?,
            id: Uuid::from_bytes(row.get(2)?),
            idempotency_key: row.get(3)?,
            order_id: row.get(4)?,
            accepted_at: row.get(5)?,
            expires_at: row.get(6)?,
            fingerprint: fingerprint(key, &value),
            body: Bytes::from(body),
        };
        Ok(Some(Salvaged { call, dead }))
    }

    /// Whether the body is the one that was acknowledged, as far as that can be told.
    fn is_acknowledged(&self, acknowledged: &[u8], body: &Value) -> bool {
        // All zeros: an upgrade found none.
        acknowledged.iter().all(|byte| *byte == 0)
            || self.fingerprint_key.is_none_or(|key| acknowledged == fingerprint(&key, body))
    }

    /// The ids of calls that were not among those read, as far as the index of ids can be read; at most so many.
    pub(crate) fn missing(&self, read: &HashSet<(Kind, Uuid)>, max: usize) -> Vec<String> {
        let mut names = Vec::new();
        for table in ["operations", "dead_letters"] {
            let entries =
                format!("SELECT kind, id FROM {table} INDEXED BY {table}_by_id WHERE id IS NOT NULL");
            let Ok(mut statement) = self.connection.prepare(&entries) else { continue };
            let Ok(mut rows) = statement.query([]) else { continue };
            while let Ok(Some(row)) = rows.next() {
                let (Ok(number), Ok(bytes)) = (row.get(0), row.get(1)) else { continue };
                let Ok(kind) = kind_of(number, 0) else { continue };
                let id = Uuid::from_bytes(bytes);
                if !read.contains(&(kind, id)) && names.len() < max {
                    names.push(public_id(kind, id));
                }
            }
        }
        names
    }
}

/// How many calls a database should hold: as last saved, and those that its index of ids knows of since.
fn held(connection: &Connection) -> Option<u64> {
    let ledger = load_saved_ledger(connection).ok()??;
    let since = connection.query_row(
        "SELECT count(*) FROM operations INDEXED BY operations_by_id WHERE id IS NOT NULL AND seq > ?1",
        [ledger.last_seq],
        |row| row.get::<_, i64>(0),
    );
    Some(ledger.totals.rows + ledger.totals.dead_letters + since.map_or(0, i64::unsigned_abs))
}

fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))?;
    connection.prepare("SELECT seq FROM operations")?;
    Ok(connection)
}

/// Gives a damaged copy the first page of a new buffer, with its own number of pages in it.
fn replace_first_page(path: &Path) -> io::Result<()> {
    let new = Scratch::beside(path, "salvage-new.db");
    let connection = Connection::open(&new.0).map_err(io::Error::other)?;
    open::configure(&connection, Durability::Process).map_err(io::Error::other)?;
    open::create(&connection).map_err(io::Error::other)?;
    connection.close().map_err(|(_, error)| io::Error::other(error))?;
    let mut page = [0; PAGE];
    File::open(&new.0)?.read_exact(&mut page)?;
    let pages = u32::try_from(fs::metadata(path)?.len() / PAGE as u64).unwrap_or(u32::MAX);
    page[28..32].copy_from_slice(&pages.to_be_bytes());
    // Which pages were free is not known, and only writing would need it.
    page[32..40].fill(0);
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(io::SeekFrom::Start(0))?;
    file.write_all(&page)
}

/// A database file that is deleted in the end, with what SQLite keeps beside it.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(path: &Path, name: &str) -> Self {
        let scratch = Self(path.with_file_name(name));
        scratch.remove();
        scratch
    }

    fn remove(&self) {
        for file in files(&self.0) {
            // Not there, mostly.
            let _ = fs::remove_file(file);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}
