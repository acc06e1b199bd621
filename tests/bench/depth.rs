//! What five million calls that wait cost those that come, and those that leave.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::Stack;
use serde_json::json;

use crate::calls::{NATIVE, buffered, line, set};
use crate::report::say;

/// How many wait.
const DEEP: u64 = 5_000_000;
/// How many are handed over while the time is taken.
const DRAINED: u64 = 60_000;
const PATIENCE: Duration = Duration::from_mins(10);

/// Acceptance and draining with an empty buffer, and with a deep one.
pub(crate) async fn measure(runs: usize) -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    stack.hub.lift_limits(&stack.project_a).await?;
    for (name, value) in [
        ("TRASTIENDA_LOG", "warn"),
        ("TRASTIENDA_BUFFER_MAX_ROWS", "10000000"),
        ("TRASTIENDA_BUFFER_MAX_BYTES", "16GiB"),
    ] {
        stack.agent.set(name, value);
    }
    let mut found = Vec::new();
    for (name, depth) in [("empty", 0), ("deep", DEEP)] {
        stack.hub.kill().await?;
        let data = stack.directory.path(&format!("{name}-buffer"));
        set(&mut stack, "TRASTIENDA_AGENT_DATA_DIR", &data.display().to_string()).await?;
        refill(&mut stack, &data, depth).await?;
        let call = line(&stack, &NATIVE, &format!("with {depth} calls waiting"), runs, 0).await?;
        if depth < DRAINED * 2 {
            refill(&mut stack, &data, DRAINED * 2).await?;
        }
        stack.hub.restart(&stack.directory).await?;
        found.push((call, drain(&stack).await?));
        if depth > 0 {
            start_damaged(&mut stack, &data).await?;
        }
    }
    if let [(call, rate), (deep_call, deep_rate)] = found[..] {
        say(&format!(
            "  deep to empty: a call {:.2}×; handed over {deep_rate:.0}/s to {rate:.0}/s, {:.2}×",
            deep_call / call,
            deep_rate / rate,
        ));
    }
    stack.stop().await
}

/// Writes small events into a buffer, as if a shop had called with the hub away.
async fn refill(stack: &mut Stack, data: &Path, rows: u64) -> anyhow::Result<()> {
    if rows == 0 {
        return Ok(());
    }
    stack.agent.pause().await?;
    let connection = rusqlite::Connection::open(data.join("buffer.db"))?;
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; DELETE FROM operations;")?;
    // Ids of now: the hub refuses old ones.
    connection.execute(
        "INSERT INTO operations (seq, kind, id, order_id, accepted_at, fingerprint, body)
         WITH RECURSIVE
             numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1),
             clock (ms) AS (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER))
         SELECT
             last + n, 1, unhex(printf('%012x7%03x8%015x', ms, n >> 12 & 4095, n)), printf('order-%09d', n), ms, zeroblob(32),
             CAST('{\"type\":\"bench.waited\",\"data\":{\"number\":' || n || '}}' AS BLOB)
         FROM numbers, clock, (SELECT coalesce(max(number), 0) + 1000000 AS last FROM receipts)",
        [i64::try_from(rows)?],
    )?;
    // Counted anew at the start would be as right, and slower.
    let last: i64 = connection.query_row("SELECT max(seq) FROM operations", [], |row| row.get(0))?;
    let numbers = [rows, rows * 300, 0, last.unsigned_abs()].map(u64::to_be_bytes).concat();
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('totals', ?1)", [numbers])?;
    connection.close().map_err(|(_, error)| error)?;
    stack.agent.restart(&stack.directory).await?;
    ensure!(buffered(stack).await? == rows, "the buffer was not filled");
    Ok(())
}

/// How long after its start the agent takes a call, with the first page of a deep buffer destroyed.
async fn start_damaged(stack: &mut Stack, data: &Path) -> anyhow::Result<()> {
    stack.hub.kill().await?;
    stack.agent.pause().await?;
    let file = std::fs::OpenOptions::new().write(true).open(data.join("buffer.db"))?;
    let mebibytes = file.metadata()?.len() >> 20;
    file.write_all_at(&[0xa5; 4096], 0)?;
    let begun = Instant::now();
    stack.agent.restart(&stack.directory).await?;
    let (status, answer) =
        stack.agent.post("/v1/events", &json!({"type": "bench.taken", "data": {}})).await?;
    ensure!(status == 202, "{status}: {answer}");
    let took = begun.elapsed().as_millis();
    say(&format!(
        "  started on a damaged buffer of {mebibytes} MiB: the first call is taken after {took} ms"
    ));
    Ok(())
}

/// Calls a second that leave.
async fn drain(stack: &Stack) -> anyhow::Result<f64> {
    let before = buffered(stack).await?;
    let begun = Instant::now();
    // From the first that leave: how long the agent takes to see the hub again is not what is asked.
    let mut first = None;
    loop {
        ensure!(begun.elapsed() < PATIENCE, "the buffer is not handed over");
        let left = buffered(stack).await?;
        let (since, at) = *first.get_or_insert((Instant::now(), left));
        if left == before {
            first = None;
        } else if at - left >= DRAINED {
            #[expect(clippy::cast_precision_loss, reason = "few calls")]
            return Ok((at - left) as f64 / since.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
