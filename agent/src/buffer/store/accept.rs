//! Taking a call: one row, unless it is a repeat.

use rusqlite::{Connection, OptionalExtension as _, Row};
use uuid::Uuid;

use super::{ROW_OVERHEAD, failure, kind_number};
use crate::buffer::call::{AcceptError, Accepted, NewCall};
use crate::buffer::writer::Work;

/// Takes a call, unless one of its id waits. Every call costs this, and without a key only [`IS_SETTLED`] besides.
pub(super) const INSERT: &str = "INSERT INTO operations
       (seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, fingerprint, body)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
     ON CONFLICT (id, kind) DO NOTHING";

/// Whether a call of this id has left. Read from the indexes alone.
pub(super) const IS_SETTLED: &str = "SELECT 1 FROM receipts WHERE id = ?1 AND kind = ?2
     UNION ALL
     SELECT 1 FROM dead_letters WHERE id = ?1 AND kind = ?2
     LIMIT 1";

/// The outer error means that the transaction cannot go on; the inner one is the caller's.
pub(in crate::buffer) fn accept(
    connection: &Connection,
    call: &NewCall,
    work: &mut Work,
) -> rusqlite::Result<Result<Accepted, AcceptError>> {
    let refusal = refusal(call, work);
    // Nearly every call is new and has no key: it is taken without looking for one that waits.
    let presumed_new = refusal.is_none() && call.idempotency_key.is_none() && !is_settled(connection, call)?;
    if presumed_new && insert_if_new(connection, call, work)?.is_some() {
        return Ok(Ok(Accepted::new(call)));
    }
    if let Some(known) = find_known(connection, call)? {
        return Ok(known.answer(call));
    }
    if let Some(refusal) = refusal {
        return Ok(Err(refusal));
    }
    insert(connection, call, work)?;
    Ok(Ok(Accepted::new(call)))
}

/// Why a call that is new is not taken, if it is not.
fn refusal(call: &NewCall, work: &Work) -> Option<AcceptError> {
    if call.expires_at.is_some_and(|expires_at| expires_at <= call.accepted_at) {
        return Some(AcceptError::Expired);
    }
    let bytes = call.body.len() as u64 + ROW_OVERHEAD;
    work.limits.refusal(work.ledger.totals, bytes, work.free_disk).map(AcceptError::Full)
}

fn is_settled(connection: &Connection, call: &NewCall) -> rusqlite::Result<bool> {
    connection.prepare_cached(IS_SETTLED)?.exists((call.id.as_bytes(), kind_number(call.kind)))
}

/// Writes the row of a call that is known to be new under the next number, which it gives.
///
/// # Errors
/// An index names a call of its id that nobody finds: the database is damaged. What was not written must not be
/// acknowledged.
pub(super) fn insert(connection: &Connection, call: &NewCall, work: &mut Work) -> rusqlite::Result<i64> {
    insert_if_new(connection, call, work)?
        .ok_or_else(|| failure(rusqlite::ffi::SQLITE_CORRUPT, "an index names a call that is not there"))
}

/// The same; `None` when a call of its id waits already.
fn insert_if_new(connection: &Connection, call: &NewCall, work: &mut Work) -> rusqlite::Result<Option<i64>> {
    let seq = work.ledger.last_seq + 1;
    let inserted = connection.prepare_cached(INSERT)?.execute((
        seq,
        kind_number(call.kind),
        call.id.as_bytes(),
        &call.idempotency_key,
        &call.order_id,
        call.accepted_at,
        call.expires_at,
        &call.fingerprint,
        call.body.as_ref(),
    ))?;
    if inserted == 0 {
        return Ok(None);
    }
    work.ledger.last_seq = seq;
    work.ledger.totals.rows += 1;
    work.ledger.totals.bytes += call.body.len() as u64 + ROW_OVERHEAD;
    work.added = true;
    Ok(Some(seq))
}

impl Accepted {
    fn new(call: &NewCall) -> Self {
        Self { id: call.id, accepted_at: call.accepted_at, replayed: false, expired: false }
    }
}

/// A call of the same id or key: it waits, or the hub has it, or it is dead.
pub(super) struct Known {
    kind: i64,
    id: Uuid,
    pub(super) fingerprint: Vec<u8>,
    accepted_at: i64,
    expired: bool,
    // The key belongs to another call than the id.
    ambiguous: bool,
}

impl Known {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            kind: row.get(0)?,
            id: Uuid::from_bytes(row.get(1)?),
            fingerprint: row.get(2)?,
            accepted_at: row.get(3)?,
            expired: row.get(4)?,
            ambiguous: false,
        })
    }

    fn answer(&self, call: &NewCall) -> Result<Accepted, AcceptError> {
        let same = self.kind == kind_number(call.kind) && self.fingerprint == call.fingerprint;
        if same && !self.ambiguous {
            Ok(Accepted { id: self.id, accepted_at: self.accepted_at, replayed: true, expired: self.expired })
        } else {
            Err(AcceptError::Reused)
        }
    }
}

pub(super) fn find_by_id(connection: &Connection, call: &NewCall) -> rusqlite::Result<Option<Known>> {
    connection
        .prepare_cached(
            "SELECT kind, id, fingerprint, accepted_at, 0 FROM operations WHERE id = ?1 AND kind = ?2
             UNION ALL
             SELECT kind, id, fingerprint, accepted_at, 0 FROM receipts WHERE id = ?1 AND kind = ?2
             UNION ALL
             SELECT kind, id, fingerprint, accepted_at, reason = 'expired'
             FROM dead_letters
             WHERE id = ?1 AND kind = ?2
             LIMIT 1",
        )?
        .query_row((call.id.as_bytes(), kind_number(call.kind)), Known::read)
        .optional()
}

pub(super) fn find_by_key(connection: &Connection, key: &str) -> rusqlite::Result<Option<Known>> {
    connection
        .prepare_cached(
            "SELECT kind, id, fingerprint, accepted_at, 0 FROM operations WHERE idempotency_key = ?1
             UNION ALL
             SELECT kind, id, fingerprint, accepted_at, 0 FROM receipts WHERE idempotency_key = ?1
             UNION ALL
             SELECT kind, id, fingerprint, accepted_at, reason = 'expired'
             FROM dead_letters
             WHERE idempotency_key = ?1
             LIMIT 1",
        )?
        .query_row([key], Known::read)
        .optional()
}

fn find_known(connection: &Connection, call: &NewCall) -> rusqlite::Result<Option<Known>> {
    let by_id = find_by_id(connection, call)?;
    let Some(key) = &call.idempotency_key else { return Ok(by_id) };
    let by_key = find_by_key(connection, key)?;
    Ok(match (by_id, by_key) {
        (Some(by_id), Some(by_key)) => {
            let ambiguous = (by_id.kind, by_id.id) != (by_key.kind, by_key.id);
            Some(Known { ambiguous, ..by_id })
        }
        (by_id, by_key) => by_id.or(by_key),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trastienda_protocol::batch::Kind;

    use super::*;
    use crate::buffer::call::{Disk, Limits, StorageError};
    use crate::buffer::store::{Ledger, open};

    #[test]
    fn what_is_not_written_is_not_acknowledged() {
        let connection = Connection::open_in_memory().unwrap();
        open::create(&connection).unwrap();
        let call = NewCall {
            kind: Kind::Event,
            id: Uuid::from_u128(7),
            idempotency_key: None,
            order_id: None,
            accepted_at: 1,
            expires_at: None,
            fingerprint: [0; 32],
            body: Bytes::from_static(b"{}"),
        };
        let limits = Limits { max_bytes: u64::MAX, max_rows: u64::MAX, min_free: Some(0) };
        let free_disk = Disk { size: 1, free: 1 };
        let mut work = Work { ledger: Ledger::default(), limits, free_disk, added: false };
        assert_eq!(insert(&connection, &call, &mut work).unwrap(), 1);
        let error = StorageError::from(insert(&connection, &call, &mut work).unwrap_err());
        assert!(error.is_damage(), "{error}");
        assert_eq!((work.ledger.last_seq, work.ledger.totals.rows), (1, 1));
    }
}
