//! All SQL of the buffer. Functions on a connection; transactions are begun and ended elsewhere.

pub(super) mod accept;
pub(super) mod claim;
pub(super) mod import;
mod leaves;
mod log;
pub(super) mod open;
pub(super) mod read;
pub(super) mod salvage;
pub(super) mod settle;
pub(super) mod upgrade;

use rusqlite::{Connection, OptionalExtension as _};
use trastienda_protocol::batch::Kind;

use super::call::Totals;

pub(super) const AGENT_ID: &str = "agent_id";
pub(super) const PROJECT: &str = "project_id";
pub(super) const FINGERPRINT_KEY: &str = "fingerprint_key";
pub(super) const FEATURES: &str = "features";
pub(super) const PROJECT_ANSWER: &str = "project_answer";
const TOTALS: &str = "totals";

/// What a row costs besides its body, as counted against the limit: ids, times, index entries.
pub(super) const ROW_OVERHEAD: u64 = 256;

/// How much is kept, and the highest number that was given to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::buffer) struct Ledger {
    pub(in crate::buffer) totals: Totals,
    pub(in crate::buffer) last_seq: i64,
}

pub(super) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Event => 1,
        Kind::Notification => 2,
        Kind::Payment => 3,
    }
}

pub(super) fn kind_of(number: i64, column: usize) -> rusqlite::Result<Kind> {
    match number {
        1 => Ok(Kind::Event),
        2 => Ok(Kind::Notification),
        3 => Ok(Kind::Payment),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(column, other)),
    }
}

pub(super) fn save_fact(connection: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute((name, value))?;
    Ok(())
}

pub(super) fn find_fact(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Begins a transaction that writes. Prepared, since every call has one.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

/// Ends it. With an error, it has still to be undone.
pub(super) fn commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// Undoes what is open. Some errors have undone it already.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(error = %error, "a transaction could not be undone");
    }
}

/// Brings what stands in the log into the database, synced, and lets the log start over.
///
/// # Errors
/// Somebody else is reading from it, or the disk does not take it.
pub(super) fn begin_log_anew(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0))?;
    if busy {
        return Err(failure(rusqlite::ffi::SQLITE_BUSY, "the log is being read"));
    }
    Ok(())
}

/// What SQLite would have said with this code, had it seen what we see.
fn failure(code: std::ffi::c_int, message: impl Into<String>) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(message.into()))
}

pub(super) fn save_ledger(connection: &Connection, ledger: Ledger) -> rusqlite::Result<()> {
    let Ledger { totals: Totals { rows, bytes, dead_letters }, last_seq } = ledger;
    let numbers = [rows, bytes, dead_letters, last_seq.unsigned_abs()];
    save_fact(connection, TOTALS, &numbers.map(u64::to_be_bytes).concat())
}

/// As last saved: without the calls that were taken since, whose numbers are higher.
pub(super) fn load_saved_ledger(connection: &Connection) -> rusqlite::Result<Option<Ledger>> {
    let saved = find_fact(connection, TOTALS)?.unwrap_or_default();
    let ([rows, bytes, dead_letters, last_seq], []) = saved.as_chunks::<8>() else { return Ok(None) };
    let [rows, bytes, dead_letters, last_seq] =
        [rows, bytes, dead_letters, last_seq].map(|number| u64::from_be_bytes(*number));
    let totals = Totals { rows, bytes, dead_letters };
    Ok(Some(Ledger { totals, last_seq: i64::try_from(last_seq).unwrap_or(i64::MAX) }))
}

/// The ledger as saved, and what was taken since; counted anew when it was not saved.
pub(super) fn load_ledger(connection: &Connection) -> rusqlite::Result<Ledger> {
    let count = |table: &str, after: i64| {
        connection.query_row(
            &format!(
                "SELECT count(*), coalesce(sum(length(body)), 0), coalesce(max(seq), 0)
                 FROM {table}
                 WHERE seq > ?1"
            ),
            [after],
            |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?))
            },
        )
    };
    let mut ledger = load_saved_ledger(connection)?.unwrap_or_default();
    if ledger.last_seq == 0 {
        let (dead_letters, bytes, last): (u64, u64, i64) = count("dead_letters", 0)?;
        let totals = Totals { rows: 0, bytes: bytes + dead_letters * ROW_OVERHEAD, dead_letters };
        let (rows, bytes, last_row): (u64, u64, i64) = count("operations", 0)?;
        let totals = Totals { rows, bytes: totals.bytes + bytes + rows * ROW_OVERHEAD, ..totals };
        return Ok(Ledger { totals, last_seq: last.max(last_row) });
    }
    let (rows, bytes, last) = count("operations", ledger.last_seq)?;
    ledger.totals.rows += rows;
    ledger.totals.bytes += bytes + rows * ROW_OVERHEAD;
    ledger.last_seq = ledger.last_seq.max(last);
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of its own for each row costs as much as the row's indexes.
    #[test]
    fn a_call_comes_and_goes_without_a_table_made_for_it() {
        let connection = Connection::open_in_memory().unwrap();
        open::create(&connection).unwrap();
        for statement in [accept::INSERT, accept::IS_SETTLED, settle::DELETE] {
            let mut explained = connection.prepare(&format!("EXPLAIN {statement}")).unwrap();
            let opcodes: Vec<String> =
                explained.raw_query().mapped(|row| row.get(1)).map(Result::unwrap).collect();
            assert!(opcodes.iter().any(|opcode| opcode == "Halt"), "{opcodes:?}");
            assert!(!opcodes.iter().any(|opcode| opcode == "OpenEphemeral"), "{statement}: {opcodes:?}");
        }
    }
}
