//! Taking back calls out of a damaged database. They were acknowledged, so no limit refuses them.

use rusqlite::Connection;

use super::accept::{self, find_by_id, find_by_key};
use super::salvage::{Buried, Salvaged};
use super::settle::{Why, bury};
use crate::buffer::call::{Imported, NewCall};
use crate::buffer::writer::Work;

pub(in crate::buffer) fn import(
    connection: &Connection,
    salvaged: Vec<Salvaged>,
    work: &mut Work,
) -> rusqlite::Result<Imported> {
    let mut imported = Imported::default();
    for Salvaged { mut call, dead, .. } in salvaged {
        match known(connection, &call)? {
            Known::Same => {
                imported.known += 1;
                continue;
            }
            // Another call has taken its key since; both were acknowledged, and the id still tells repeats.
            Known::KeyTaken => call.idempotency_key = None,
            Known::No => {}
        }
        let seq = accept::insert(connection, &call, work)?;
        if let Some(Buried { failed_at, reason, answer, hub_version }) = dead {
            let why = Why { reason, answer: answer.as_deref(), hub_version: hub_version.as_deref() };
            bury(connection, seq, failed_at, why, &mut work.ledger.totals)?;
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
    if find_by_id(connection, call)?.is_some() {
        return Ok(Known::Same);
    }
    let Some(key) = &call.idempotency_key else { return Ok(Known::No) };
    Ok(match find_by_key(connection, key)? {
        None => Known::No,
        // The shop has sent it again since.
        Some(known) if known.fingerprint == call.fingerprint => Known::Same,
        Some(_) => Known::KeyTaken,
    })
}
