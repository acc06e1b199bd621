//! A buffer that is five million calls deep is as quick as one that is nearly empty. Run by hand, since it writes two
//! gigabytes: `cargo nextest run --workspace --run-ignored only -E 'test(five_million)' --no-capture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trastienda_agent::buffer::{
    Buffer, Durability, Lane, Limits, NewCall, Options, Settled, Settlement, Wanted, Writer,
};
use trastienda_agent::metrics::Metrics;
use trastienda_protocol::batch::Kind;
use trastienda_protocol::clock::{Clock, SystemClock};
use uuid::Uuid;

const DEEP: i64 = 5_000_000;
const SHALLOW: i64 = 30_000;
const BATCHES: usize = 20;
const CALLS: u32 = 500;

fn open(directory: &std::path::Path) -> (Buffer, Writer) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let limits = Limits { max_bytes: u64::MAX, max_rows: u64::MAX, min_free: Some(0) };
    // Without the disk's own time, which would hide what depth costs.
    let options = Options { directory, durability: Durability::Process, limits, clock: &clock };
    Buffer::open(&options, Arc::new(Metrics::default())).unwrap()
}

fn fill(directory: &std::path::Path, rows: i64) {
    let connection = rusqlite::Connection::open(directory.join("buffer.db")).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
    connection
        .execute(
            "INSERT INTO operations (seq, kind, id, order_id, accepted_at, fingerprint, body)
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
             SELECT n, 1, unhex(printf('0192f0c1d2e37a4b%016x', n)), 'order-' || n, 0, zeroblob(32),
                 '{\"type\":\"stock.counted\",\"data\":{\"number\":' || n || '}}'
             FROM numbers",
            [rows],
        )
        .unwrap();
    // As after any settlement: the totals are known up to here.
    let numbers = [rows.unsigned_abs(), 0, 0, rows.unsigned_abs()].map(u64::to_be_bytes).concat();
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('totals', ?1)", [numbers]).unwrap();
}

/// The median time of a call, and the time of some batches.
async fn measure(rows: i64) -> (Duration, Duration, Duration) {
    let directory = tempfile::tempdir().unwrap();
    let (buffer, writer) = open(directory.path());
    drop(buffer);
    writer.finished().await;
    fill(directory.path(), rows);
    let since = Instant::now();
    let (buffer, writer) = open(directory.path());
    let opened = since.elapsed();
    assert_eq!(buffer.totals().rows, rows.unsigned_abs());
    let mut times = Vec::new();
    for number in 0..CALLS {
        let call = NewCall {
            kind: Kind::Event,
            id: Uuid::from_u128(u128::from(number) + 1),
            idempotency_key: None,
            order_id: Some(format!("new-{number}")),
            accepted_at: 1,
            expires_at: None,
            fingerprint: [1; 32],
            body: Bytes::from_static(b"{\"type\":\"a.b\",\"data\":{}}"),
        };
        let since = Instant::now();
        buffer.accept(call).await.unwrap();
        times.push(since.elapsed());
    }
    times.sort();
    let since = Instant::now();
    for _ in 0..BATCHES {
        let wanted =
            Wanted { lane: Lane::Backlog, now: 2, max_rows: 1_000, max_bytes: usize::MAX, not_before: None };
        let claim = buffer.claim(wanted).await.unwrap();
        assert_eq!(claim.operations.len(), 1_000);
        let settled = |seq| Settlement { seq, settled: Settled::Delivered };
        let settlements = claim.operations.iter().map(|operation| settled(operation.seq)).collect();
        buffer.settle(settlements, SystemClock.now()).await.unwrap();
    }
    let drained = since.elapsed();
    drop(buffer);
    writer.finished().await;
    (times[times.len() / 2], drained, opened)
}

#[tokio::test]
#[ignore = "writes two gigabytes"]
async fn five_million_calls_slow_neither_acceptance_nor_draining() {
    let deep = measure(DEEP).await;
    let shallow = measure(SHALLOW).await;
    println!("depth      call p50     {BATCHES} batches     open");
    println!("{DEEP}  {:?}  {:?}  {:?}", deep.0, deep.1, deep.2);
    println!("{SHALLOW}  {:?}  {:?}  {:?}", shallow.0, shallow.1, shallow.2);
    // The figures are to be read; a busy machine decides nothing below this.
    assert!(deep.0 < shallow.0 * 3 && deep.1 < shallow.1 * 3);
}
