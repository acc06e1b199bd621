//! Taking back calls out of a damaged database. They were acknowledged, so no limit refuses them.

use rusqlite::{Connection, OptionalExtension as _};

use super::salvage::{Buried, Salvaged};
use super::settle::{Why, bury};
use super::{ROW_OVERHEAD, accept, kind_number};
use crate::buffer::call::{Imported, NewCall};
use crate::buffer::writer::Work;

pub(in crate::buffer) fn import(
    connection: &Connection,
    salvaged: Vec<Salvaged>,
    work: &mut Work,
) -> rusqlite::Result<Imported> {
    let mut imported = Imported::default();
    for Salvaged { mut call, dead } in salvaged {
        match known(connection, &call)? {
            Known::Same => {
                imported.known += 1;
                continue;
            }
            // Another call has taken its key since; both were acknowledged, and the id still tells repeats.
            Known::KeyTaken => call.idempotency_key = None,
            Known::No => {}
        }
        let seq = accept::insert(connection, &call)?;
        work.totals.rows += 1;
        work.totals.bytes += call.body.len() as u64 + ROW_OVERHEAD;
        work.added = true;
        if let Some(Buried { failed_at, reason, answer, hub_version }) = dead {
            let why = Why { reason, answer: answer.as_deref(), hub_version: hub_version.as_deref() };
            bury(connection, seq, failed_at, why, &mut work.totals)?;
        }
        imported.recovered += 1;
    }
    Ok(imported)
}

enum Known {
    No,
    Same,
    KeyTaken,
}

fn known(connection: &Connection, call: &NewCall) -> rusqlite::Result<Known> {
    let by_id = connection
        .prepare_cached("SELECT 1 FROM receipts WHERE id = ?1 AND kind = ?2")?
        .exists((call.id.as_bytes(), kind_number(call.kind)))?;
    if by_id {
        return Ok(Known::Same);
    }
    let Some(key) = &call.idempotency_key else { return Ok(Known::No) };
    let by_key: Option<Vec<u8>> = connection
        .prepare_cached("SELECT fingerprint FROM receipts WHERE idempotency_key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(match by_key {
        None => Known::No,
        // The shop has sent it again since.
        Some(fingerprint) if fingerprint == call.fingerprint => Known::Same,
        Some(_) => Known::KeyTaken,
    })
}
