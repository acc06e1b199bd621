//! Recording what became of rows: delivered, postponed, dead, or back from the dead.

use rusqlite::{Connection, OptionalExtension as _};
use trastienda_protocol::batch::Kind;
use uuid::Uuid;

use super::{ROW_OVERHEAD, kind_number};
use crate::buffer::call::{Reason, Settled, Settlement, Totals};

/// Failures alone after which a row is parked.
const ATTEMPTS_MAX: i64 = 10;
/// Receipts forgotten in one transaction, and pages given back.
const PRUNE_MAX: i64 = 2_000;

/// Lets a call go. Not with RETURNING, for which SQLite makes a table of what it gives back.
pub(super) const DELETE: &str = "DELETE FROM operations WHERE seq = ?1";

pub(in crate::buffer) fn settle(
    connection: &Connection,
    settlements: &[Settlement],
    now: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    for Settlement { seq, settled } in settlements {
        match settled {
            Settled::Delivered => deliver(connection, *seq, now, totals)?,
            Settled::Dead { reason, answer, hub_version } => {
                let why =
                    Why { reason: *reason, answer: answer.as_deref(), hub_version: hub_version.as_deref() };
                bury(connection, *seq, now, why, totals)?;
            }
            Settled::Deferred { run_at, failed_alone, answer } => {
                let attempts = defer(connection, *seq, *run_at, *failed_alone)?;
                if attempts.is_some_and(|attempts| *failed_alone && attempts >= ATTEMPTS_MAX) {
                    let why = Why { reason: Reason::Parked, answer: answer.as_deref(), hub_version: None };
                    bury(connection, *seq, now, why, totals)?;
                }
            }
        }
    }
    Ok(())
}

fn deliver(connection: &Connection, seq: i64, now: i64, totals: &mut Totals) -> rusqlite::Result<()> {
    // Replacing: whatever a receipt of this id or key says, the hub has answered to this row now.
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO receipts (kind, id, idempotency_key, fingerprint, accepted_at, forwarded_at)
             SELECT kind, id, idempotency_key, fingerprint, accepted_at, ?2
             FROM operations
             WHERE seq = ?1",
        )?
        .execute((seq, now))?;
    let Some(bytes) = remove(connection, seq)? else { return Ok(()) };
    totals.rows = totals.rows.saturating_sub(1);
    totals.bytes = totals.bytes.saturating_sub(bytes);
    Ok(())
}

/// Deletes a row; what it weighed, or `None` if it was gone already.
fn remove(connection: &Connection, seq: i64) -> rusqlite::Result<Option<u64>> {
    let length: Option<i64> = connection
        .prepare_cached("SELECT length(body) FROM operations WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    let Some(length) = length else { return Ok(None) };
    connection.prepare_cached(DELETE)?.execute([seq])?;
    Ok(Some(length.unsigned_abs() + ROW_OVERHEAD))
}

fn defer(
    connection: &Connection,
    seq: i64,
    run_at: i64,
    failed_alone: bool,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "UPDATE operations
             SET run_at = ?2, attempts = attempts + ?3
             WHERE seq = ?1
             RETURNING attempts",
        )?
        .query_row((seq, run_at, i64::from(failed_alone)), |row| row.get(0))
        .optional()
}

/// Why a row is buried.
#[derive(Clone, Copy)]
pub(super) struct Why<'a> {
    pub(super) reason: Reason,
    pub(super) answer: Option<&'a str>,
    pub(super) hub_version: Option<&'a str>,
}

pub(super) fn bury(
    connection: &Connection,
    seq: i64,
    now: i64,
    why: Why<'_>,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    let moved = connection
        .prepare_cached(
            "INSERT INTO dead_letters
               (seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, attempts, failed_at, reason, answer,
                hub_version, fingerprint, body)
             SELECT
                seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, attempts, ?2, ?3, ?4, ?5,
                fingerprint, body
             FROM operations
             WHERE seq = ?1",
        )?
        .execute((seq, now, why.reason.as_str(), why.answer, why.hub_version))?;
    if moved == 1 {
        connection.prepare_cached(DELETE)?.execute([seq])?;
        totals.rows = totals.rows.saturating_sub(1);
        totals.dead_letters += 1;
    }
    Ok(())
}

/// Puts a dead letter back in its old place. An expired payment stays dead: its time is over.
pub(in crate::buffer) fn revive(
    connection: &Connection,
    (kind, id): (Kind, Uuid),
    totals: &mut Totals,
) -> rusqlite::Result<bool> {
    let seq: Option<i64> = connection
        .prepare_cached("SELECT seq FROM dead_letters WHERE id = ?1 AND kind = ?2 AND reason <> 'expired'")?
        .query_row((id.as_bytes(), kind_number(kind)), |row| row.get(0))
        .optional()?;
    let Some(seq) = seq else { return Ok(false) };
    put_back(connection, seq, totals)?;
    Ok(true)
}

/// Puts back what another version of the hub refused for nothing but fields that it did not know.
pub(in crate::buffer) fn revive_for_version(
    connection: &Connection,
    hub_version: &str,
    totals: &mut Totals,
) -> rusqlite::Result<usize> {
    let seqs = connection
        .prepare_cached("SELECT seq FROM dead_letters WHERE hub_version <> ?1 ORDER BY seq")?
        .query_map([hub_version], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    for seq in &seqs {
        put_back(connection, *seq, totals)?;
    }
    Ok(seqs.len())
}

/// Forgets a dead letter for good: a repeat would be a new call.
pub(in crate::buffer) fn discard(
    connection: &Connection,
    (kind, id): (Kind, Uuid),
    totals: &mut Totals,
) -> rusqlite::Result<bool> {
    let gone: Option<i64> = connection
        .prepare_cached("DELETE FROM dead_letters WHERE id = ?1 AND kind = ?2 RETURNING length(body)")?
        .query_row((id.as_bytes(), kind_number(kind)), |row| row.get(0))
        .optional()?;
    let Some(length) = gone else { return Ok(false) };
    totals.dead_letters = totals.dead_letters.saturating_sub(1);
    totals.bytes = totals.bytes.saturating_sub(length.unsigned_abs() + ROW_OVERHEAD);
    Ok(true)
}

fn put_back(connection: &Connection, seq: i64, totals: &mut Totals) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO operations
               (seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, fingerprint, body)
             SELECT seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, fingerprint, body
             FROM dead_letters
             WHERE seq = ?1",
        )?
        .execute([seq])?;
    connection.prepare_cached("DELETE FROM dead_letters WHERE seq = ?1")?.execute([seq])?;
    totals.rows += 1;
    totals.dead_letters = totals.dead_letters.saturating_sub(1);
    Ok(())
}

/// Forgets old receipts, oldest first, and gives free pages back to the file system.
pub(in crate::buffer) fn prune(connection: &Connection, before: i64) -> rusqlite::Result<usize> {
    let mut last = None;
    {
        // They are in the order of forwarding: the first that is too young ends it.
        let mut statement = connection
            .prepare_cached("SELECT number, forwarded_at FROM receipts ORDER BY number LIMIT ?1")?;
        let mut rows = statement.query([PRUNE_MAX])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= before {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
        }
    }
    let forgotten = match last {
        Some(last) => {
            connection.prepare_cached("DELETE FROM receipts WHERE number <= ?1")?.execute([last])?
        }
        None => 0,
    };
    give_back_pages(connection)?;
    Ok(forgotten)
}

/// A few at a time, so that calls do not wait for it; a small reserve stays for the next calls.
fn give_back_pages(connection: &Connection) -> rusqlite::Result<()> {
    let free: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    if free > PRUNE_MAX {
        let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PRUNE_MAX})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}
