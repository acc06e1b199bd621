use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use proptest::prelude::{Strategy as _, any};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::gcra::Taken;
use super::*;

const MONTH: Duration = Duration::from_hours(30 * 24);

fn key(id: u128, scope: Scope) -> Key {
    Key { project: uuid::Uuid::from_u128(id), scope, id: uuid::Uuid::from_u128(id) }
}

/// So many cells a month: what a test takes of time brings none back.
fn slow(cells: u32) -> Rate {
    Rate::burst(cells, MONTH)
}

/// One taking: which bucket, how many are asked for, and what is carried in, in cells.
type Step = (u8, u32, u32);

fn steps() -> Vec<Step> {
    let mut runner = TestRunner::deterministic();
    let carried =
        any::<u8>().prop_map(|chance| if chance.is_multiple_of(4) { u32::from(chance) / 8 } else { 0 });
    let step = (0..3u8, 0..40u32, carried);
    (0..200).map(|_| step.new_tree(&mut runner).unwrap().current()).collect()
}

/// What a bucket in memory gives in these steps.
fn expected(rate: Rate, steps: &[Step]) -> Vec<u32> {
    let mut ahead = [Duration::ZERO; 3];
    let mut take = |(bucket, asked, carried): &Step| {
        let ahead = &mut ahead[usize::from(*bucket)];
        let Taken { granted, ahead: after } = rate.take(*ahead + rate.interval * *carried, *asked);
        *ahead = after;
        granted
    };
    steps.iter().map(&mut take).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn the_database_counts_as_the_arithmetic_says(db: PgPool) {
    let (rate, steps) = (slow(100), steps());
    let mut granted = Vec::new();
    for (bucket, asked, carried) in &steps {
        let key = key(u128::from(*bucket), Scope::Requests);
        granted
            .push(store::take_cells(&db, key, rate, *asked, rate.interval * *carried).await.unwrap().granted);
    }
    assert_eq!(granted, expected(rate, &steps));
    assert!(granted.contains(&0) && granted.iter().sum::<u32>() > 100, "{granted:?}");
    assert_eq!(store::delete_full(&db).await.unwrap(), 0);
    sqlx::query("update limit_buckets set full_at = now() - interval '2 hours'").execute(&db).await.unwrap();
    assert_eq!(store::delete_full(&db).await.unwrap(), 3);
}

/// A Redis of the test's own, on loopback, that keeps nothing.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut program = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].into_iter();
        let program = program.find(|path| Path::new(path).exists()).expect("redis-server");
        let mut command = Command::new("/usr/bin/setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "--",
            program,
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
        ]);
        command.args(["--save", "", "--appendonly", "no"]).current_dir("/tmp");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, url: format!("redis://127.0.0.1:{port}/") }
    }

    /// What a hub has of it, once it is there.
    async fn connected(&self) -> std::sync::Arc<Redis> {
        let redis = std::sync::Arc::new(Redis::new(&self.url, "test").unwrap());
        let keeping = redis.clone();
        tokio::spawn(async move { keeping.keep(|_, _| {}).await });
        let deadline = Instant::now() + Duration::from_secs(30);
        while !redis.is_up() {
            assert!(Instant::now() < deadline, "Redis did not come");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        redis
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already, or goes now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn redis_counts_as_the_arithmetic_says() {
    crate::serve::install_tls();
    let server = Server::start();
    let redis = server.connected().await;
    let (rate, steps) = (slow(100), steps());
    let mut granted = Vec::new();
    for (bucket, asked, carried) in &steps {
        let key = key(u128::from(*bucket), Scope::Endpoint);
        let taken = redis.take_cells(key, rate, *asked, rate.interval * *carried).await.unwrap();
        granted.push(taken.granted);
    }
    assert_eq!(granted, expected(rate, &steps));
    assert_eq!(redis.publish("trastienda_wake", "x").await, Some(1), "it hears itself");
}

/// A hub of several.
fn of(own: i32, numbers: &[i32]) -> Fleet {
    let fleet = Fleet::new(None);
    let running: Vec<Running> =
        numbers.iter().map(|number| Running { number: *number, is_heard: true }).collect();
    fleet.see(Some(own), &running);
    fleet
}

async fn count(fleet: &Fleet, db: &PgPool, key: Key, rate: Rate) -> u32 {
    let mut granted = 0;
    while let Cell::Granted { .. } = fleet.take(db, key, rate).await {
        granted += 1;
    }
    granted
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hub_alone_asks_nobody(db: PgPool) {
    let fleet = of(1, &[1]);
    assert_eq!(count(&fleet, &db, key(1, Scope::Requests), slow(50)).await, 50);
    let rows: i64 = sqlx::query_scalar("select count(*) from limit_buckets").fetch_one(&db).await.unwrap();
    assert_eq!(rows, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_asks_gets_what_the_others_leave(db: PgPool) {
    let fleets = [of(1, &[1, 2, 3]), of(2, &[1, 2, 3]), of(3, &[1, 2, 3])];
    let (key, rate) = (key(1, Scope::Requests), slow(1_000));
    for _ in 0..30 {
        assert!(matches!(fleets[1].take(&db, key, rate).await, Cell::Granted { .. }));
    }
    // The others' hold no more than a chunk that they do not use.
    let first = count(&fleets[0], &db, key, rate).await;
    let rest = count(&fleets[1], &db, key, rate).await + count(&fleets[2], &db, key, rate).await;
    assert_eq!(30 + first + rest, 1_000, "{first} {rest}");
    assert!(first >= 960, "{first}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_used_alone_counts_once_there_are_several(db: PgPool) {
    let (key, rate) = (key(1, Scope::Requests), slow(300));
    let alone = of(1, &[1]);
    for _ in 0..200 {
        alone.take(&db, key, rate).await;
    }
    let running = [1, 2].map(|number| Running { number, is_heard: true });
    assert!(alone.see(Some(1), &running) && !alone.see(Some(1), &running));
    let new = of(2, &[1, 2]);
    assert_eq!(count(&alone, &db, key, rate).await, 100);
    assert_eq!(count(&new, &db, key, rate).await, 0);
    // And back: what both used is known to who is left.
    alone.see(Some(1), &running[..1]);
    assert_eq!(count(&alone, &db, key, rate).await, 0);
}

#[tokio::test]
async fn without_redis_each_hub_has_an_equal_share_and_with_it_again_what_is_left() {
    crate::serve::install_tls();
    let server = Server::start();
    let away = Redis::new("redis://127.0.0.1:1/", "test").unwrap();
    let fleet = Fleet { redis: Some(away), ..of(2, &[1, 2, 3]) };
    // Never connected to: nothing asks it.
    let db = PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/nothing").unwrap();
    let (key, rate) = (key(1, Scope::Requests), slow(300));
    assert_eq!(count(&fleet, &db, key, rate).await, 100);
    let there = server.connected().await;
    // What this hub used meanwhile is a third of what is shared, and is carried there with its next request.
    let (asked, carried) = fleet.meters.of(key, rate, Instant::now()).ask(Instant::now());
    let taken = there.take_cells(key, rate, asked, carried).await.unwrap();
    assert_eq!((asked, taken.granted), (3, 3));
    let rest = there.take_cells(key, rate, 1_000, Duration::ZERO).await.unwrap();
    assert!((196..=198).contains(&rest.granted), "{rest:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn turns_are_even_over_all_hubs(db: PgPool) {
    let fleets = [of(1, &[1, 2]), of(2, &[1, 2])];
    let (key, rate) = (key(1, Scope::Endpoint), Rate::evenly(100, Duration::from_secs(20)));
    let began = Instant::now();
    let mut turns = Vec::new();
    for round in 0..60 {
        match fleets[usize::from(round % 3 == 0)].take(&db, key, rate).await {
            Cell::Granted { at, .. } => turns.push(at),
            Cell::Refused { wait } => panic!("refused for {wait:?}"),
        }
    }
    turns.sort_unstable();
    let last = *turns.last().unwrap();
    // One in each hundredth of a second: what was asked for late has its turn later, never sooner.
    assert!(last.duration_since(began) >= Duration::from_millis(580), "{:?}", last.duration_since(began));
    for (number, turn) in turns.iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        // The hubs do not know each other's clocks: an answer's way counts.
        let earliest = rate.interval * number.saturating_sub(2);
        assert!(turn.duration_since(began) >= earliest, "turn {number}");
    }
}
