//! Choosing what to send: which rows a lane takes, and which wait for an older row of their order.
//!
//! A row goes only when no older row of its order is anywhere but before it in the same batch: not
//! waiting, not postponed, not on its way in another lane. The urgent lane takes the older rows of an
//! order along, so that a payment does not wait behind a backlog for an event of its own order.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, Row};
use uuid::Uuid;

use super::kind_of;
use crate::buffer::Lane;
use crate::buffer::call::{Claim, Pending, Wanted};

/// Rows looked at in one claim. More than this many that cannot go means that the hub is in trouble
/// as a whole, or that one order has everything; the next claim goes on when something was settled.
const SCAN_MAX: usize = 20_000;
/// Older rows of its order that an urgent row takes along at most.
const ALONG_MAX: usize = 32;

/// No row is postponed for longer, in milliseconds. One that seems to be was postponed by a clock that has been set back
/// since, and is due: nothing acknowledged waits for days because somebody mended the time.
const PAUSE_MAX: i64 = 15 * 60 * 1_000;

const COLUMNS: &str =
    "seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, run_at, length(body), body";

/// What can be sent now, oldest first.
pub(in crate::buffer) fn claim(
    connection: &Connection,
    wanted: &Wanted,
    in_flight: &HashSet<i64>,
) -> rusqlite::Result<Claim> {
    let mut picking = Picking {
        connection,
        wanted,
        in_flight,
        claim: Claim::default(),
        taken: HashSet::new(),
        held: HashSet::new(),
        bytes: 0,
    };
    let (condition, after) = match wanted.lane {
        Lane::Urgent => ("kind <> 1", 0),
        Lane::Backlog => ("kind = 1", 0),
        Lane::Fresh { after } => ("kind = 1", after),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM operations WHERE {condition} AND seq > ?1 ORDER BY seq"
    ))?;
    let mut rows = statement.query([after])?;
    let mut scanned = 0;
    while let Some(row) = rows.next()? {
        scanned += 1;
        if scanned > SCAN_MAX || !picking.look(row)? {
            picking.claim.more = true;
            break;
        }
    }
    Ok(picking.claim)
}

struct Picking<'a> {
    connection: &'a Connection,
    wanted: &'a Wanted,
    in_flight: &'a HashSet<i64>,
    claim: Claim,
    taken: HashSet<i64>,
    /// Orders of which an older row cannot go.
    held: HashSet<String>,
    bytes: usize,
}

/// Whether a row by itself could go now.
enum State {
    Due,
    OnItsWay,
    Over,
    Postponed,
}

impl Picking<'_> {
    /// Looks at one row of the lane. `false`: the batch is full.
    fn look(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let seq: i64 = row.get(0)?;
        if self.taken.contains(&seq) {
            return Ok(true);
        }
        let order_id: Option<String> = row.get(4)?;
        match self.state(row)? {
            State::Due => {}
            State::Over => {
                // Whoever comes after it in its order waits until it has been buried.
                self.claim.expired.push(seq);
                self.held.extend(order_id);
                return Ok(true);
            }
            State::OnItsWay | State::Postponed => {
                self.held.extend(order_id);
                return Ok(true);
            }
        }
        let Some(order_id) = order_id else { return self.take(row) };
        if self.held.contains(&order_id) {
            return Ok(true);
        }
        if self.is_next(&order_id, seq)? {
            return self.take(row);
        }
        if self.wanted.lane == Lane::Urgent && self.claim.operations.len() + ALONG_MAX < self.wanted.max_rows
        {
            return self.take_along(&order_id, row);
        }
        self.held.insert(order_id);
        Ok(true)
    }

    fn state(&mut self, row: &Row<'_>) -> rusqlite::Result<State> {
        let (seq, accepted_at, run_at): (i64, i64, i64) = (row.get(0)?, row.get(5)?, row.get(7)?);
        if self.in_flight.contains(&seq) {
            return Ok(State::OnItsWay);
        }
        let over = row.get::<_, Option<i64>>(6)?.is_some_and(|expires_at| expires_at <= self.wanted.now);
        if over || self.wanted.not_before.is_some_and(|not_before| accepted_at < not_before) {
            return Ok(State::Over);
        }
        if run_at > self.wanted.now && run_at <= self.wanted.now.saturating_add(PAUSE_MAX) {
            let earlier = self.claim.next_run_at.map_or(run_at, |earlier| earlier.min(run_at));
            self.claim.next_run_at = Some(earlier);
            return Ok(State::Postponed);
        }
        Ok(State::Due)
    }

    /// Whether every older row of the order is in this batch already. The nearest one tells: it would
    /// not be in the batch without those before it.
    fn is_next(&self, order_id: &str, seq: i64) -> rusqlite::Result<bool> {
        let before: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT seq FROM operations WHERE order_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row((order_id, seq), |row| row.get(0))
            .optional()?;
        Ok(before.is_none_or(|before| self.taken.contains(&before)))
    }

    /// Takes the older rows of the order and then the row, or none of them.
    fn take_along(&mut self, order_id: &str, row: &Row<'_>) -> rusqlite::Result<bool> {
        let seq: i64 = row.get(0)?;
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM operations WHERE order_id = ?1 AND seq < ?2 ORDER BY seq"
        ))?;
        let mut older = statement.query((order_id, seq))?;
        let mut along = Vec::new();
        while let Some(row) = older.next()? {
            if self.taken.contains(&row.get::<_, i64>(0)?) {
                continue;
            }
            if along.len() == ALONG_MAX || !matches!(self.state(row)?, State::Due) {
                self.held.insert(order_id.to_owned());
                return Ok(true);
            }
            along.push(pending(row)?);
        }
        for operation in along {
            self.add(operation);
        }
        self.take(row)
    }

    fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let length = usize::try_from(row.get::<_, i64>(8)?).unwrap_or(usize::MAX);
        let full = self.claim.operations.len() >= self.wanted.max_rows
            || length.saturating_add(self.bytes) > self.wanted.max_bytes;
        if full && !self.claim.operations.is_empty() {
            return Ok(false);
        }
        self.add(pending(row)?);
        Ok(true)
    }

    fn add(&mut self, operation: Pending) {
        self.bytes += operation.body.len();
        self.taken.insert(operation.seq);
        self.claim.operations.push(operation);
    }
}

fn pending(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending {
        seq: row.get(0)?,
        kind: kind_of(row.get(1)?, 1)?,
        id: Uuid::from_bytes(row.get(2)?),
        idempotency_key: row.get(3)?,
        accepted_at: row.get(5)?,
        body: row.get(9)?,
    })
}
