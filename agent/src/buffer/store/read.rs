//! Reading what is dead and how old what waits is, on the reading connection.

use rusqlite::{Connection, OptionalExtension as _, Row};
use trastienda_protocol::batch::Kind;
use uuid::Uuid;

use super::{kind_number, kind_of};
use crate::buffer::call::{DeadLetter, Reason};

pub(in crate::buffer) fn oldest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT accepted_at FROM operations ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()
}

/// The highest number of a call that waits.
pub(in crate::buffer) fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM operations")?.query_row([], |row| row.get(0))
}

const DEAD_LETTER: &str = "SELECT
        seq, kind, id, idempotency_key, order_id, accepted_at, failed_at, attempts, reason, answer, body
    FROM dead_letters";

pub(in crate::buffer) fn list_dead_letters(
    connection: &Connection,
    limit: u32,
    before: Option<i64>,
) -> rusqlite::Result<Vec<DeadLetter>> {
    let sql = format!("{DEAD_LETTER} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
    connection.prepare_cached(&sql)?.query_map((before.unwrap_or(i64::MAX), limit), dead_letter)?.collect()
}

pub(in crate::buffer) fn find_dead_letter(
    connection: &Connection,
    kind: Kind,
    id: Uuid,
) -> rusqlite::Result<Option<(DeadLetter, Vec<u8>)>> {
    connection
        .prepare_cached(&format!("{DEAD_LETTER} WHERE id = ?1 AND kind = ?2"))?
        .query_row((id.as_bytes(), kind_number(kind)), |row| Ok((dead_letter(row)?, row.get(10)?)))
        .optional()
}

fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let reason: String = row.get(8)?;
    let answer: Option<String> = row.get(9)?;
    Ok(DeadLetter {
        seq: row.get(0)?,
        kind: kind_of(row.get(1)?, 1)?,
        id: Uuid::from_bytes(row.get(2)?),
        idempotency_key: row.get(3)?,
        order_id: row.get(4)?,
        accepted_at: row.get(5)?,
        failed_at: row.get(6)?,
        attempts: row.get(7)?,
        reason: Reason::parse(&reason).unwrap_or(Reason::Refused),
        answer: answer.and_then(|text| serde_json::from_str(&text).ok()),
    })
}
