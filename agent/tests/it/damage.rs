//! A damaged buffer: the agent goes on at once, and what can still be read comes back.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{self, Program};
use crate::support::{Client, StubHub, TestAgent, eventually};

const PAGE: usize = 4_096;

async fn accept(agent: &TestAgent, count: usize) -> Vec<String> {
    let mut client = agent.client().await;
    let mut ids = Vec::new();
    for number in 0..count {
        let padding = "y".repeat(1_000);
        let body =
            json!({"type": "order.created", "data": {"order_id": format!("A-{number}"), "note": padding}});
        let headers = [("idempotency-key", format!("{count}-{number}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = client.post("/v1/events", &headers, &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    ids
}

fn database(agent: &TestAgent) -> PathBuf {
    agent.config.data_dir.join("buffer.db")
}

/// Overwrites pages, counted from 0.
fn damage(path: &Path, pages: std::ops::Range<u64>) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    for page in pages {
        file.write_all_at(&[b'x'; PAGE], page * PAGE as u64).unwrap();
    }
}

async fn recover(agent: &TestAgent) -> Value {
    let answer = agent.client().await.post("/agent/recover", &[], &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

async fn damaged_databases(agent: &TestAgent) -> u64 {
    let metrics = agent.client().await.get("/agent/metrics").await.text();
    let line = metrics.lines().find(|line| line.starts_with("trastienda_agent_damaged_databases ")).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_buffer_without_its_first_page_gives_back_every_call() {
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    let ids = accept(&agent, 40).await;
    agent.stop().await;
    damage(&database(&agent), 0..1);

    agent.start_again().await;
    assert_eq!((agent.status().await["buffered"].as_u64(), damaged_databases(&agent).await), (Some(0), 1));
    let reports = recover(&agent).await;
    assert_eq!((&reports[0]["recovered"], &reports[0]["unreadable"]), (&json!(40), &json!(0)), "{reports}");
    assert_eq!((agent.status().await["buffered"].as_u64(), damaged_databases(&agent).await), (Some(40), 0));
    // Once is enough, and the file is still there.
    assert_eq!(recover(&agent).await, json!([]));
    assert!(PathBuf::from(reports[0]["file"].as_str().unwrap()).exists());
    // The receipts are back as well.
    let body = json!({"type": "order.created", "data": {"order_id": "A-0", "note": "y".repeat(1_000)}});
    let repeat = agent.client().await.post("/v1/events", &[("idempotency-key", "40-0")], &body).await;
    assert_eq!(
        (repeat.json()["id"].as_str(), repeat.header("idempotent-replayed")),
        (Some(&*ids[0]), Some("true"))
    );

    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.order(), ids);
    assert!(hub.taken().values().all(|taken| taken.times == 1 && taken.operation.idempotency_key.is_some()));
}

#[tokio::test]
async fn damage_found_while_running_stops_nobody_and_costs_only_what_it_hit() {
    const CALLS: usize = 300;
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    let ids = accept(&agent, CALLS).await;
    agent.stop().await;
    agent.start_again().await;
    let pages = std::fs::metadata(database(&agent)).unwrap().len() / PAGE as u64;
    damage(&database(&agent), pages / 2..pages / 2 + 4);

    hub.come().await;
    eventually("the damage is found", async || (damaged_databases(&agent).await == 1).then_some(())).await;
    // The shop notices nothing.
    let later = accept(&agent, 1).await;
    agent.until("buffered", 0).await;
    assert!(hub.taken().contains_key(&later[0]));

    let report = recover(&agent).await[0].clone();
    let recovered = report["recovered"].as_u64().unwrap();
    assert_eq!(recovered + report["unreadable"].as_u64().unwrap(), CALLS as u64, "{report}");
    assert!(recovered >= CALLS as u64 - 20, "four pages hold few calls: {report}");
    agent.until("buffered", 0).await;
    let arrived = ids.iter().filter(|id| hub.taken().contains_key(*id)).count();
    assert_eq!(arrived as u64, recovered);
}

/// A log as a killed agent leaves it, and the ids of the calls in it.
async fn killed_with_a_log(program: &Program, calls: usize) -> (PathBuf, Vec<String>) {
    let running = program.run().await;
    let mut ids = Vec::new();
    for number in 0..calls {
        ids.push(process::accept(&program.socket(), number).await);
    }
    drop(running);
    (program.directory().join("data/buffer.db-wal"), ids)
}

async fn status(program: &Program) -> Value {
    Client::socket(&program.socket()).await.get("/agent/overview").await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_costs_only_what_it_hit() {
    const CALLS: usize = 60;
    const FRAME: u64 = 24 + PAGE as u64;
    // Where it is hit, and how many calls may be gone with it: each call's page is written again with the next one.
    for (name, place, length, lost) in [
        ("a frame in the middle", 32 + 40 * FRAME + 100, 3_000, 4),
        ("pieces of two frames", 32 + 30 * FRAME - 500, 1_000, 8),
        ("the header", 0, 32, 1),
    ] {
        let mut hub = StubHub::away().await;
        let program = Program::of(&hub);
        let (log, ids) = killed_with_a_log(&program, CALLS).await;
        let file = OpenOptions::new().write(true).open(&log).unwrap();
        file.write_all_at(&vec![b'x'; length], place).unwrap();
        let _running = program.run().await;
        let said = status(&program).await;
        assert_eq!((&said["damaged_databases"], &said["buffered"]), (&json!(1), &json!(0)), "{name}");
        let reports: Value = serde_json::from_str(&program.says("queue recover --json").await).unwrap();
        let recovered = reports[0]["recovered"].as_u64().unwrap();
        assert!(recovered >= (CALLS - lost) as u64, "{name}: {reports}");
        hub.come().await;
        eventually("what came back arrives", async || (hub.taken().len() as u64 == recovered).then_some(()))
            .await;
        assert!(hub.taken().keys().all(|id| ids.contains(id)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_end_is_torn_is_no_damage() {
    let hub = StubHub::away().await;
    let program = Program::of(&hub);
    let (log, ids) = killed_with_a_log(&program, 20).await;
    // As a power cut leaves what was not synced: the last frame is half there, behind it lies what was there before.
    let bytes = std::fs::read(&log).unwrap();
    let frames = bytes[32..].chunks_exact(24 + PAGE);
    let salts = &bytes[16..24];
    let last = frames.take_while(|frame| &frame[8..16] == salts).count() - 1;
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    file.write_all_at(&[0; 2_000], 32 + last as u64 * (24 + PAGE as u64) + 2_000).unwrap();
    let _running = program.run().await;
    let said = status(&program).await;
    assert_eq!(said["damaged_databases"], 0);
    assert_eq!(
        said["buffered"],
        ids.len() - 1,
        "only the call that the torn frame was written for is not there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_damaged_buffer_is_set_aside_without_being_read() {
    const CALLS: i64 = 200_000;
    let hub = StubHub::away().await;
    let program = Program::of(&hub);
    program.run().await.end();
    let path = program.directory().join("data/buffer.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let insert = "INSERT INTO operations (seq, kind, id, accepted_at, fingerprint, body)
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
        SELECT n, 1, unhex(printf('0192f0c1d2e37a4b%016x', n)), 0, zeroblob(32), zeroblob(400) FROM numbers";
    connection.execute(insert, [CALLS]).unwrap();
    connection.close().unwrap();
    damage(&path, 0..1);
    let since = Instant::now();
    let _running = program.run().await;
    let id = process::accept(&program.socket(), 1).await;
    let took = since.elapsed();
    assert!(id.starts_with("evt_"));
    let set_aside = std::fs::read_dir(program.directory().join("data")).unwrap().map(|entry| entry.unwrap());
    let sizes = set_aside.filter(|entry| entry.file_name().to_string_lossy().starts_with("buffer.damaged-"));
    let size = sizes.map(|entry| entry.metadata().unwrap().len()).max().unwrap();
    println!(
        "{} MiB were set aside, and the next call was taken {} ms after the start",
        size >> 20,
        took.as_millis()
    );
    assert!(size > 100 << 20, "{size} bytes were set aside");
    // Two seconds on a machine that has nothing else to do; here it is only no question of how large the file was.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// The page that a table's tree begins with, as the file itself says.
fn root_page(path: &Path, table: &str) -> u64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT rootpage - 1 FROM sqlite_master WHERE name = ?1";
    connection.query_row(sql, [table], |row| row.get::<_, u32>(0)).unwrap().into()
}

#[tokio::test]
async fn calls_that_no_way_leads_to_any_more_come_back_all_the_same() {
    const CALLS: usize = 300;
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    let ids = accept(&agent, CALLS).await;
    agent.stop().await;
    let root = root_page(&database(&agent), "operations");
    damage(&database(&agent), root..root + 1);

    agent.start_again().await;
    let report = recover(&agent).await[0].clone();
    assert_eq!((&report["recovered"], &report["unreadable"]), (&json!(CALLS), &json!(0)), "{report}");
    hub.come().await;
    agent.until("buffered", 0).await;
    assert!(ids.iter().all(|id| hub.taken().contains_key(id)));
}

#[tokio::test]
async fn while_no_new_buffer_can_be_started_calls_are_refused_and_afterwards_taken() {
    const CALLS: usize = 300;
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    accept(&agent, CALLS).await;
    agent.stop().await;
    agent.start_again().await;
    let pages = std::fs::metadata(database(&agent)).unwrap().len() / PAGE as u64;
    damage(&database(&agent), pages / 2..pages / 2 + 4);
    let away = agent.config.data_dir.with_file_name("away");
    std::fs::rename(&agent.config.data_dir, &away).unwrap();

    hub.come().await;
    let body = json!({"type": "stock.low", "data": {}});
    let refused = eventually("the damage is found", async || {
        let answer = agent.client().await.post("/v1/events", &[], &body).await;
        (answer.status != 202).then_some(answer)
    })
    .await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (503, "buffer_unavailable"));

    std::fs::rename(&away, &agent.config.data_dir).unwrap();
    let later = accept(&agent, 1).await;
    assert_eq!(damaged_databases(&agent).await, 1);
    eventually("it is sent", async || hub.taken().contains_key(&later[0]).then_some(())).await;
    let report = recover(&agent).await[0].clone();
    assert!(report["recovered"].as_u64().unwrap() >= CALLS as u64 - 20, "{report}");
}

#[tokio::test]
async fn a_body_that_the_disk_changed_is_not_sent() {
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    let ids = accept(&agent, 3).await;
    agent.stop().await;
    // Still JSON, and not what was acknowledged; the first page makes the start notice.
    let path = database(&agent);
    let mut bytes = std::fs::read(&path).unwrap();
    let place = bytes.windows(5).position(|window| window == b"\"A-1\"").unwrap();
    bytes[place + 3] = b'7';
    std::fs::write(&path, bytes).unwrap();
    damage(&path, 0..1);
    agent.start_again().await;
    let report = recover(&agent).await[0].clone();
    assert_eq!((&report["recovered"], &report["unreadable"]), (&json!(2), &json!(1)), "{report}");
    assert_eq!(report["lost"], json!([ids[1]]), "what is lost is named");
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.order(), [ids[0].clone(), ids[2].clone()]);
}

#[tokio::test]
async fn another_project_s_damaged_buffer_is_left_alone() {
    let mut hub = StubHub::start().await;
    let mut agent = TestAgent::start(&hub).await;
    accept(&agent, 1).await;
    agent.until("buffered", 0).await;
    hub.go().await;
    accept(&agent, 2).await;
    agent.stop().await;
    damage(&database(&agent), 0..1);
    hub.set_project("prj_0192f0c1d2e37a4b8c5d6e7f80910000");
    hub.come().await;
    agent.start_again().await;
    agent.until("hub", "up").await;
    let report = recover(&agent).await[0].clone();
    assert!(report["skipped"].as_str().unwrap().contains("prj_0192f0c1d2e37a4b8c5d6e7f80910000"), "{report}");
    assert_eq!((agent.status().await["buffered"].as_u64(), damaged_databases(&agent).await), (Some(0), 1));
}

#[tokio::test]
async fn dead_letters_come_back_as_dead_letters() {
    let hub = StubHub::start().await;
    hub.judge(|_| (422, json!({"code": "validation_failed"})));
    let mut agent = TestAgent::start(&hub).await;
    let ids = accept(&agent, 2).await;
    agent.until("dead_letters", 2).await;
    agent.stop().await;
    damage(&database(&agent), 0..1);
    agent.start_again().await;
    assert_eq!(recover(&agent).await[0]["recovered"], 2);
    let dead = agent.client().await.get("/agent/dead-letters").await.json();
    assert_eq!((&dead["data"][0]["id"], &dead["data"][0]["reason"]), (&json!(ids[1]), &json!("refused")));
    assert_eq!(dead["data"][0]["problem"]["code"], "validation_failed");
    let status = agent.status().await;
    assert_eq!((&status["buffered"], &status["dead_letters"]), (&json!(0), &json!(2)));
}

#[tokio::test]
async fn a_start_on_a_sound_buffer_writes_nothing_so_that_a_full_disk_prevents_none() {
    let hub = StubHub::away().await;
    let mut agent = TestAgent::start(&hub).await;
    accept(&agent, 3).await;
    agent.stop().await;
    agent.start_again().await;
    assert_eq!(agent.status().await["buffered"], 3);
    // A log that somebody has written to begins with its header.
    let log = std::fs::read(agent.config.data_dir.join("buffer.db-wal")).unwrap_or_default();
    assert!(log.iter().take(4).all(|byte| *byte == 0), "{:?}", &log[..4]);
}
