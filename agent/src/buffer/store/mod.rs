//! All SQL of the buffer. Functions on a connection; transactions are begun and ended elsewhere.

pub(super) mod accept;
pub(super) mod import;
mod leaves;
pub(super) mod open;
pub(super) mod read;
pub(super) mod salvage;
pub(super) mod settle;

use rusqlite::{Connection, OptionalExtension as _};
use trastienda_protocol::batch::Kind;

use super::call::Totals;

pub(super) const AGENT_ID: &str = "agent_id";
pub(super) const PROJECT: &str = "project_id";
pub(super) const FINGERPRINT_KEY: &str = "fingerprint_key";
pub(super) const FEATURES: &str = "features";
const TOTALS: &str = "totals";

/// What a row costs besides its body, as counted against the limit: ids, times, index entries.
pub(super) const ROW_OVERHEAD: u64 = 256;

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

pub(super) fn save_totals(connection: &Connection, totals: Totals) -> rusqlite::Result<()> {
    let numbers = [totals.rows, totals.bytes, totals.dead_letters];
    save_fact(connection, TOTALS, &numbers.map(u64::to_be_bytes).concat())
}

pub(super) fn load_saved_totals(connection: &Connection) -> rusqlite::Result<Option<Totals>> {
    let saved = find_fact(connection, TOTALS)?.unwrap_or_default();
    let ([rows, bytes, dead_letters], []) = saved.as_chunks::<8>() else { return Ok(None) };
    let [rows, bytes, dead_letters] = [rows, bytes, dead_letters].map(|number| u64::from_be_bytes(*number));
    Ok(Some(Totals { rows, bytes, dead_letters }))
}

/// The totals as saved; counted anew when they are not there.
pub(super) fn load_totals(connection: &Connection) -> rusqlite::Result<Totals> {
    if let Some(saved) = load_saved_totals(connection)? {
        return Ok(saved);
    }
    let count = |table: &str| {
        connection.query_row(
            &format!("SELECT count(*), coalesce(sum(length(body)), 0) FROM {table}"),
            [],
            |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs())),
        )
    };
    let (rows, row_bytes) = count("operations")?;
    let (dead_letters, dead_bytes) = count("dead_letters")?;
    Ok(Totals { rows, bytes: row_bytes + dead_bytes + (rows + dead_letters) * ROW_OVERHEAD, dead_letters })
}
