//! Payments while everything goes wrong at once, by a seed: the provider slow, silent, refusing, its notices lost,
//! doubled, forged and out of order, and the hub killed again and again.
//!
//! Then the fire ends, and every payment is held against the provider's own books: nobody was charged twice, no payment
//! is lost, and every order ends as the provider has it. `make test` runs 300, `make soak` 10,000.

mod books;
mod story;
mod till;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use e2e::{Dice, Ground};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use story::Sold;
use till::Till;

/// Take payments through misfortune, and compare the books.
#[derive(Parser)]
struct Cli {
    /// What happens follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many.
    #[arg(long, default_value_t = 10_000)]
    payments: u64,
}

/// Customers who are paying at the same time.
const AT_ONCE: usize = 24;

/// What goes wrong, how often. Faults of calls are for both of the addresses that payments are made at.
const CALLS: [&str; 6] = [
    r#"{"kind": "latency", "ms": 150, "rate": 0.05}"#,
    r#"{"kind": "hang_after_success", "ms": 45000, "rate": 0.002}"#,
    r#"{"kind": "too_many_requests", "retry_after": 1, "rate": 0.01}"#,
    r#"{"kind": "too_many_requests", "rate": 0.01}"#,
    r#"{"kind": "server_error", "status": 500, "rate": 0.02}"#,
    r#"{"kind": "server_error", "status": 502, "rate": 0.02}"#,
];
const OTHERS: [&str; 6] = [
    r#"{"kind": "search_lag", "ms": 2000, "rate": 0.1}"#,
    r#"{"kind": "drop_notice", "rate": 0.15}"#,
    r#"{"kind": "duplicate_notice", "rate": 0.2}"#,
    r#"{"kind": "forge_notice", "rate": 0.1}"#,
    r#"{"kind": "reorder_notices", "rate": 0.1}"#,
    r#"{"kind": "delay_notice", "ms": 700, "rate": 0.1}"#,
];

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result =
        tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(&cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("payments under fire: seed {}: {error:#}", cli.seed));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "it tells how it goes")]
fn say(text: &str) {
    println!("{text}");
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    say(&format!("seed {}, {} payments", cli.seed, cli.payments));
    let mut ground = Ground::start().await?;
    let result = burn(cli, &mut ground).await;
    if result.is_err() {
        say(&ground.directory.log_tails()?);
        return result;
    }
    ground.hub.stop().await
}

async fn burn(cli: &Cli, ground: &mut Ground) -> anyhow::Result<()> {
    let project = ground.hub.create_project("Fragua", "fragua.example.com").await?;
    ground.hub.lift_limits(&project).await?;
    ground.hub.set_credentials(&project, &ground.simulator).await?;
    for fault in CALLS {
        for path in ["/v1/payments", "/checkout"] {
            let mut fault: Value = serde_json::from_str(fault)?;
            fault["path"] = json!(path);
            ground.simulator.control("faults", fault).await?;
        }
    }
    for fault in OTHERS {
        ground.simulator.control("faults", serde_json::from_str(fault)?).await?;
    }
    let till = Till::new(&ground.hub, &project, &ground.simulator);
    let begun = Instant::now();
    let (sold, kills) = sell(cli, ground, &till).await?;
    say(&format!(
        "{} payments in {} s, the hub was killed {kills} times",
        sold.len(),
        begun.elapsed().as_secs()
    ));

    ground.simulator.clear_faults().await?;
    // Whom it had left alone for a while it may ask again.
    ground.hub.kill().await?;
    ground.hub.restart(&ground.directory).await?;
    let settling = Instant::now();
    let ends = books::settle(&till, &sold).await?;
    say(&format!("settled after {} ms more: {ends:?}", settling.elapsed().as_millis()));
    let report = ground
        .hub
        .tell(&["payments", "reconcile", "--project", &project.id, "--since", "2020-01-01", "--json"])
        .await?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(report["raised"] == 0, "the books differ: {report}");
    books::compare(&till, &sold).await?;
    say(&format!("the books agree: {report}"));
    Ok(())
}

/// Lets customers buy, and kills the hub between and among them.
async fn sell(cli: &Cli, ground: &mut Ground, till: &Till) -> anyhow::Result<(Vec<Sold>, u64)> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut customers = JoinSet::new();
    for number in 0..cli.payments {
        let (till, places) = (till.clone(), places.clone());
        let dice = Dice::new(cli.seed.wrapping_mul(1_000_003).wrapping_add(number));
        customers.spawn(async move {
            let _place = places.acquire_owned().await?;
            story::play(&till, number, dice).await
        });
    }
    let mut dice = Dice::new(cli.seed);
    let (mut sold, mut kills) = (Vec::new(), 0);
    let mut next_kill = Instant::now() + Duration::from_secs(2);
    let mut told = Instant::now();
    loop {
        tokio::select! {
            customer = customers.join_next() => match customer {
                Some(customer) => sold.push(customer??),
                None => return Ok((sold, kills)),
            },
            () = tokio::time::sleep_until(next_kill.into()) => {
                let killed = Instant::now();
                ground.hub.kill().await?;
                kills += 1;
                ground.hub.restart(&ground.directory).await?;
                // On a busy machine it takes long to come back; it is there for at least as long, or nobody gets anywhere.
                next_kill = Instant::now() + killed.elapsed() + Duration::from_millis(1_500 + dice.below(4_000));
            }
        }
        if told.elapsed() > Duration::from_secs(30) {
            say(&format!("  {} of {}, killed {kills} times", sold.len(), cli.payments));
            told = Instant::now();
        }
    }
}
