//! Looking into a buffer from outside, beside a running agent or without one: nothing is changed.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};
use serde::Serialize;
use trastienda_protocol::batch::Kind;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::time;
use uuid::Uuid;

use super::call::{StorageError, public_id};
use super::store::{self, kind_number, kind_of, open};

/// Which calls are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// Those that wait for the hub.
    Waiting,
    /// Those that a person must decide about.
    Dead,
}

/// A call that is kept.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// Its place in the order of acceptance.
    #[serde(skip)]
    pub seq: i64,
    /// Its id, as callers and the hub write it.
    pub id: String,
    /// What it creates.
    pub kind: Kind,
    /// `waiting`, or why it is dead: `refused`, `parked`, `expired`.
    pub state: String,
    /// The order that it is about.
    pub order_id: Option<String>,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// When it was acknowledged.
    pub accepted_at: String,
    /// How often it failed while others did not.
    pub attempts: i64,
    /// Bytes of its body.
    pub bytes: i64,
    /// The hub's last answer, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<serde_json::Value>,
}

/// A buffer, open for reading.
#[derive(Debug)]
pub struct Inspector(Connection);

/// What was found when everything was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Calls that are kept.
    pub calls: u64,
    /// What SQLite says is wrong with the file.
    pub damage: Vec<String>,
    /// Calls whose body is not the one that was acknowledged.
    pub changed: Vec<String>,
}

impl Inspector {
    /// Opens the buffer in a directory. `None`: there is none.
    ///
    /// # Errors
    /// It cannot be read, or another version of the agent made it.
    pub fn open(directory: &Path) -> Result<Option<Self>, open::OpenError> {
        let path = directory.join(open::FILE_NAME);
        if !path.try_exists()? {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        open::check_version(&connection)?;
        Ok(Some(Self(connection)))
    }

    /// Calls of one sort, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn list(&self, which: Which, limit: u32) -> Result<Vec<Kept>, StorageError> {
        let sql = format!("{} ORDER BY seq LIMIT ?1", select(which));
        let mut statement = self.0.prepare(&sql)?;
        let rows = statement.query_map([limit], kept)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One call and its body.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn find(&self, kind: Kind, id: Uuid) -> Result<Option<(Kept, Vec<u8>)>, StorageError> {
        for which in [Which::Waiting, Which::Dead] {
            let sql = format!("{} WHERE id = ?1 AND kind = ?2", select(which));
            let found = self
                .0
                .prepare(&sql)?
                .query_row((id.as_bytes(), kind_number(kind)), |row| Ok((kept(row)?, row.get(10)?)))
                .optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Hands over every call of one sort with its body, oldest first, until told to stop.
    ///
    /// # Errors
    /// The database cannot be read, or whoever takes them cannot.
    pub fn export(
        &self,
        which: Which,
        mut take: impl FnMut(Kept, Vec<u8>) -> std::io::Result<()>,
    ) -> Result<u64, open::OpenError> {
        let mut statement = self.0.prepare(&format!("{} ORDER BY seq", select(which)))?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            take(kept(row)?, row.get(10)?)?;
            count += 1;
        }
        Ok(count)
    }

    /// Looks at every page, and whether every body is the one that was acknowledged.
    ///
    /// # Errors
    /// The database cannot be read at all.
    pub fn verify(&self) -> Result<Findings, StorageError> {
        let mut findings = Findings::default();
        let mut statement = self.0.prepare("PRAGMA integrity_check(20)")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        for line in lines {
            match line {
                Ok(line) if line == "ok" => {}
                Ok(line) => findings.damage.push(line),
                Err(error) => findings.damage.push(error.to_string()),
            }
        }
        let key = store::find_fact(&self.0, store::FINGERPRINT_KEY)?;
        for which in [Which::Waiting, Which::Dead] {
            let sql = select(which).replace(", body FROM", ", body, fingerprint FROM");
            let mut statement = self.0.prepare(&sql)?;
            let mut rows = statement.query([])?;
            loop {
                let row = match rows.next() {
                    Ok(Some(row)) => row,
                    Ok(None) => break,
                    Err(error) => {
                        findings.damage.push(error.to_string());
                        break;
                    }
                };
                findings.calls += 1;
                let (body, expected): (Vec<u8>, Vec<u8>) = (row.get(10)?, row.get(11)?);
                let same = match (&key, serde_json::from_slice(&body)) {
                    (_, Err(_)) => false,
                    (Some(key), Ok(value)) => {
                        expected.iter().all(|byte| *byte == 0) || fingerprint(key, &value)[..] == expected[..]
                    }
                    (None, Ok(_)) => true,
                };
                if !same {
                    findings.changed.push(kept(row)?.id);
                }
            }
        }
        Ok(findings)
    }
}

fn select(which: Which) -> &'static str {
    match which {
        Which::Waiting => {
            "SELECT seq, kind, id, 'waiting', order_id, idempotency_key, accepted_at, attempts, length(body), NULL, body FROM operations"
        }
        Which::Dead => {
            "SELECT seq, kind, id, reason, order_id, idempotency_key, accepted_at, attempts, length(body), answer, body FROM dead_letters"
        }
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let kind = kind_of(row.get(1)?, 1)?;
    let accepted_at = chrono::DateTime::from_timestamp_millis(row.get(6)?).unwrap_or_default();
    let answer: Option<String> = row.get(9)?;
    Ok(Kept {
        seq: row.get(0)?,
        id: public_id(kind, Uuid::from_bytes(row.get(2)?)),
        kind,
        state: row.get(3)?,
        order_id: row.get(4)?,
        idempotency_key: row.get(5)?,
        accepted_at: time::format(accepted_at),
        attempts: row.get(7)?,
        bytes: row.get(8)?,
        problem: answer.and_then(|text| serde_json::from_str(&text).ok()),
    })
}
