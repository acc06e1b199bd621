//! Choosing what to send: which rows a lane takes, and which wait for an older row of their order.
//!
//! A row goes only when it is the oldest of its order that is still here, and so a batch holds one row of
//! an order at most: what the hub takes of a batch must not overtake what it fails at in the same batch. The urgent
//! lane sends the oldest row of an order in place of its own, so that a payment does not wait behind a
//! backlog for an event of its own order.

use std::collections::HashSet;

use rusqlite::{Connection, Row};
use uuid::Uuid;

use super::kind_of;
use crate::buffer::Lane;
use crate::buffer::call::{Claim, Pending, Wanted};

/// Rows looked at in one claim that finds nothing. More than this many that cannot go means that the hub
/// is in trouble as a whole, or that one order has everything; the next claim goes on when something was settled.
const SCAN_MAX: usize = 20_000;
/// Rows looked at once there is something in the batch: what waits for one busy order is not all walked over
/// each time that a call of it goes. Twice a full batch, so that few calls of each order fill one.
const SCAN_ON_MAX: usize = 2_000;

/// No row is postponed for longer, in milliseconds. One that seems to be was postponed by a clock that has been set back
/// since, and is due: nothing acknowledged waits for days because somebody mended the time.
const PAUSE_MAX: i64 = 15 * 60 * 1_000;

// Without the body, which is read of those only that are sent: a skipped row costs no look at its pages.
const COLUMNS: &str =
    "seq, kind, id, idempotency_key, order_id, accepted_at, expires_at, run_at, length(body)";

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
        sent: HashSet::new(),
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
    let mut left = SCAN_MAX;
    while let Some(row) = rows.next()? {
        if left == 0 || !picking.look(row)? {
            picking.claim.more = true;
            break;
        }
        left -= 1;
        if picking.claim.operations.len() == 1 {
            left = left.min(SCAN_ON_MAX);
        }
    }
    Ok(picking.claim)
}

struct Picking<'a> {
    connection: &'a Connection,
    wanted: &'a Wanted,
    in_flight: &'a HashSet<i64>,
    claim: Claim,
    /// Orders of which a row is in the batch.
    sent: HashSet<String>,
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
        let state = self.state(row)?;
        let Some(order_id) = row.get::<_, Option<String>>(4)? else {
            return if matches!(state, State::Due) { self.take(row) } else { Ok(true) };
        };
        if self.sent.contains(&order_id) {
            self.claim.behind = true;
            return Ok(true);
        }
        if self.held.contains(&order_id) {
            return Ok(true);
        }
        // Whoever comes after an expired one in its order waits until that has been buried.
        if !matches!(state, State::Due) {
            self.held.insert(order_id);
            return Ok(true);
        }
        self.take_oldest(order_id, row)
    }

    /// Takes the row if it is the oldest of its order; the urgent lane otherwise takes the oldest, if that can go.
    fn take_oldest(&mut self, order_id: String, row: &Row<'_>) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM operations WHERE order_id = ?1 ORDER BY seq LIMIT 1"
        ))?;
        let mut rows = statement.query([&order_id])?;
        let Some(oldest) = rows.next()? else { return Ok(true) };
        let room = if oldest.get::<_, i64>(0)? == row.get::<_, i64>(0)? {
            self.take(row)?
        } else if self.wanted.lane == Lane::Urgent && matches!(self.state(oldest)?, State::Due) {
            self.claim.behind = true;
            self.take(oldest)?
        } else {
            self.held.insert(order_id);
            return Ok(true);
        };
        self.sent.insert(order_id);
        Ok(room)
    }

    fn state(&mut self, row: &Row<'_>) -> rusqlite::Result<State> {
        let (seq, accepted_at, run_at): (i64, i64, i64) = (row.get(0)?, row.get(5)?, row.get(7)?);
        if self.in_flight.contains(&seq) {
            return Ok(State::OnItsWay);
        }
        let over = row.get::<_, Option<i64>>(6)?.is_some_and(|expires_at| expires_at <= self.wanted.now);
        if over || self.wanted.not_before.is_some_and(|not_before| accepted_at < not_before) {
            self.claim.expired.push(seq);
            return Ok(State::Over);
        }
        if run_at > self.wanted.now && run_at <= self.wanted.now.saturating_add(PAUSE_MAX) {
            let earlier = self.claim.next_run_at.map_or(run_at, |earlier| earlier.min(run_at));
            self.claim.next_run_at = Some(earlier);
            return Ok(State::Postponed);
        }
        Ok(State::Due)
    }

    fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let length = usize::try_from(row.get::<_, i64>(8)?).unwrap_or(usize::MAX);
        let full = self.claim.operations.len() >= self.wanted.max_rows
            || length.saturating_add(self.bytes) > self.wanted.max_bytes;
        if full && !self.claim.operations.is_empty() {
            return Ok(false);
        }
        self.bytes += length;
        self.claim.operations.push(pending(self.connection, row)?);
        Ok(true)
    }
}

fn pending(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Pending> {
    let seq = row.get(0)?;
    let body = connection
        .prepare_cached("SELECT body FROM operations WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    Ok(Pending {
        seq,
        kind: kind_of(row.get(1)?, 1)?,
        id: Uuid::from_bytes(row.get(2)?),
        idempotency_key: row.get(3)?,
        accepted_at: row.get(5)?,
        body,
    })
}
