//! Taking a call: a receipt and a row, unless it is a repeat.

use rusqlite::{Connection, OptionalExtension as _, Row};
use uuid::Uuid;

use super::{ROW_OVERHEAD, kind_number};
use crate::buffer::call::{AcceptError, Accepted, FullReason, NewCall};
use crate::buffer::writer::Work;

/// The outer error means that the transaction cannot go on; the inner one is the caller's.
pub(in crate::buffer) fn accept(
    connection: &Connection,
    call: &NewCall,
    work: &mut Work,
) -> rusqlite::Result<Result<Accepted, AcceptError>> {
    if let Some(receipt) = find_receipt(connection, call)? {
        return Ok(receipt.answer(call));
    }
    if call.expires_at.is_some_and(|expires_at| expires_at <= call.accepted_at) {
        return Ok(Err(AcceptError::Expired));
    }
    let bytes = call.body.len() as u64 + ROW_OVERHEAD;
    let (totals, limits) = (&mut work.totals, work.limits);
    if totals.rows + totals.dead_letters >= limits.max_rows {
        return Ok(Err(AcceptError::Full(FullReason::Rows(limits.max_rows))));
    }
    if totals.bytes + bytes > limits.max_bytes {
        return Ok(Err(AcceptError::Full(FullReason::Bytes(limits.max_bytes))));
    }
    insert(connection, call)?;
    totals.rows += 1;
    totals.bytes += bytes;
    work.added = true;
    Ok(Ok(Accepted { id: call.id, accepted_at: call.accepted_at, replayed: false, expired: false }))
}

/// Writes the row and its receipt; gives their number.
pub(super) fn insert(connection: &Connection, call: &NewCall) -> rusqlite::Result<i64> {
    let kind = kind_number(call.kind);
    connection
        .prepare_cached(
            "INSERT INTO operations (kind, id, idempotency_key, order_id, accepted_at, expires_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            kind,
            call.id.as_bytes(),
            &call.idempotency_key,
            &call.order_id,
            call.accepted_at,
            call.expires_at,
            call.body.as_ref(),
        ))?;
    let seq = connection.last_insert_rowid();
    connection
        .prepare_cached(
            "INSERT INTO receipts (seq, kind, id, idempotency_key, fingerprint, accepted_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            seq,
            kind,
            call.id.as_bytes(),
            &call.idempotency_key,
            &call.fingerprint,
            call.accepted_at,
        ))?;
    Ok(seq)
}

const RECEIPT: &str = "SELECT seq, kind, id, fingerprint, accepted_at,
        EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.seq = receipts.seq AND reason = 'expired')
    FROM receipts";

struct Receipt {
    seq: i64,
    kind: i64,
    id: Uuid,
    fingerprint: Vec<u8>,
    accepted_at: i64,
    expired: bool,
    // The key that finds this receipt finds another as well.
    ambiguous: bool,
}

impl Receipt {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            kind: row.get(1)?,
            id: Uuid::from_bytes(row.get(2)?),
            fingerprint: row.get(3)?,
            accepted_at: row.get(4)?,
            expired: row.get(5)?,
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

fn find_receipt(connection: &Connection, call: &NewCall) -> rusqlite::Result<Option<Receipt>> {
    let by_id = connection
        .prepare_cached(&format!("{RECEIPT} WHERE id = ?1 AND kind = ?2"))?
        .query_row((call.id.as_bytes(), kind_number(call.kind)), Receipt::read)
        .optional()?;
    let Some(key) = &call.idempotency_key else { return Ok(by_id) };
    let by_key = connection
        .prepare_cached(&format!("{RECEIPT} WHERE idempotency_key = ?1"))?
        .query_row([key], Receipt::read)
        .optional()?;
    Ok(match (by_id, by_key) {
        (Some(by_id), Some(by_key)) => Some(Receipt { ambiguous: by_id.seq != by_key.seq, ..by_id }),
        (by_id, by_key) => by_id.or(by_key),
    })
}
