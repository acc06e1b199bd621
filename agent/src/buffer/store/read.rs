//! Reading what waits and what is dead, on the reading connection.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, Row};
use trastienda_protocol::batch::Kind;
use uuid::Uuid;

use super::{kind_number, kind_of};
use crate::buffer::call::{Claim, DeadLetter, Pending, Reason};

/// Postponed rows looked past in one claim. More than this many at once means that the hub is in
/// trouble as a whole, and the next claim goes on when they are due.
const SCAN_MAX: usize = 50_000;

/// No row is postponed for longer, in milliseconds. One that seems to be was postponed by a clock that has been set back
/// since, and is due: nothing acknowledged waits for days because somebody mended the time.
const PAUSE_MAX: i64 = 15 * 60 * 1_000;

/// What can be sent now, oldest first.
///
/// Order is kept per `order_id`: behind a postponed row, the rows of the same order wait as well,
/// and only those.
pub(in crate::buffer) fn claim(
    connection: &Connection,
    now: i64,
    max_rows: usize,
    max_bytes: usize,
) -> rusqlite::Result<Claim> {
    let mut claim = Claim::default();
    let mut held_orders: HashSet<String> = HashSet::new();
    let mut bytes = 0;
    let mut statement = connection.prepare_cached(
        "SELECT seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, run_at, length(body), body
         FROM operations
         ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    let mut scanned = 0;
    while let Some(row) = rows.next()? {
        scanned += 1;
        if scanned > SCAN_MAX || claim.operations.len() == max_rows {
            break;
        }
        let seq = row.get(0)?;
        if row.get::<_, Option<i64>>(6)?.is_some_and(|expires_at| expires_at <= now) {
            claim.expired.push(seq);
            continue;
        }
        let order_id: Option<String> = row.get(4)?;
        let run_at: i64 = row.get(7)?;
        if run_at > now && run_at <= now.saturating_add(PAUSE_MAX) {
            claim.next_run_at = Some(claim.next_run_at.map_or(run_at, |earlier| earlier.min(run_at)));
            held_orders.extend(order_id);
            continue;
        }
        if order_id.is_some_and(|order_id| held_orders.contains(&order_id)) {
            continue;
        }
        let length = usize::try_from(row.get::<_, i64>(8)?).unwrap_or(usize::MAX);
        if length.saturating_add(bytes) > max_bytes && !claim.operations.is_empty() {
            break;
        }
        bytes += length;
        claim.operations.push(Pending {
            seq,
            kind: kind_of(row.get(1)?, 1)?,
            id: Uuid::from_bytes(row.get(2)?),
            idempotency_key: row.get(3)?,
            accepted_at: row.get(5)?,
            body: row.get(9)?,
        });
    }
    Ok(claim)
}

pub(in crate::buffer) fn oldest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT accepted_at FROM operations ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()
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
