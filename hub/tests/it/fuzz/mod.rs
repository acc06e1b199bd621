//! Bytes from outside, as nobody would send them, at every door that takes some.
//!
//! Each target is a door of the API with a corpus of its own in `hub/tests/fuzz/`. [`engine`] changes what is there, by bytes and by
//! JSON's structure, from a seed, and sends it through the whole router: parsers, checks, handlers and SQL. Whatever comes,
//! the hub neither panics nor fails: an answer under 500, and a refusal is a problem document. An input that shows an outcome (status, code
//! and refused fields) that was not seen before joins the corpus of the run. Stable Rust has no feedback by
//! coverage; this is what takes its place.
//!
//! `make test` sends the kept corpus and a few changes of it. `FUZZ_SECONDS=600` goes on for so long with each target, keeps what
//! showed something new, and writes what failed beside it: fix it, and it stays there as a test. `FUZZ_SEED` begins elsewhere.

mod engine;
mod targets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::PgPool;

use self::engine::{Mutator, Pool};
use self::targets::{Door, Target};

/// Changes that are tried of each corpus when nothing else is said.
const ROUNDS: u32 = 250;
/// Inputs that a corpus keeps.
const KEPT_MAX: usize = 64;

#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the hub")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn directory(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(target.name)
}

#[expect(clippy::print_stdout, reason = "a long run tells what it tried")]
async fn fuzz(pool: PgPool, target: &Target) {
    let door = Door::open(pool).await;
    let directory = directory(target);
    let mut pool = Pool::read(&directory);
    assert!(pool.len() > 1, "{} has no corpus in {}", target.name, directory.display());
    let (seconds, seed) = (setting("FUZZ_SECONDS"), setting("FUZZ_SEED").unwrap_or(1));
    let mut mutator = Mutator::new(seed, target.words);
    for input in pool.inputs() {
        let outcome = judged(&door, target, &input, &directory).await;
        pool.saw(outcome);
    }
    let started = Instant::now();
    let mut rounds = 0;
    loop {
        let is_over = match seconds {
            Some(seconds) => started.elapsed() > Duration::from_secs(seconds),
            None => rounds >= ROUNDS,
        };
        if is_over {
            break;
        }
        rounds += 1;
        let input = mutator.change(&pool);
        let outcome = judged(&door, target, &input, &directory).await;
        if pool.saw(outcome) {
            if seconds.is_some() && pool.len() < KEPT_MAX {
                engine::keep(&directory, "found", &input);
            }
            pool.add(input);
        }
    }
    println!("{}: {rounds} inputs, {} outcomes, seed {seed}", target.name, pool.outcomes());
}

/// Sends an input and gives its outcome; one that must not be is kept, and ends the test.
async fn judged(door: &Door, target: &Target, input: &[u8], directory: &Path) -> String {
    match door.send(target, input).await {
        Ok(outcome) => outcome,
        Err(wrong) => {
            let file = engine::keep(directory, "failed", input);
            panic!("{}: {wrong}: see {}", target.name, file.display());
        }
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[sqlx::test(migrations = "../migrations")]
            async fn $name(pool: PgPool) {
                fuzz(pool, &targets::find(stringify!($name))).await;
            }
        )*

        #[test]
        fn every_target_has_its_test_and_every_corpus_its_target() {
            let mut named: Vec<&str> = vec![$(stringify!($name)),*];
            named.sort_unstable();
            let mut known: Vec<&str> = targets::TARGETS.iter().map(|target| target.name).collect();
            known.sort_unstable();
            assert_eq!(named, known);
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
            let mut kept: Vec<String> = std::fs::read_dir(root).unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            kept.sort_unstable();
            assert_eq!(kept, known);
        }
    };
}

targets!(
    batch,
    endpoint,
    event,
    headers,
    heartbeat,
    lists,
    notice,
    notification,
    payment,
    phone,
    poll,
    results,
    smtp_account,
    template,
);
