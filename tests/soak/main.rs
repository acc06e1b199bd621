//! `make soak`: hours of an installation's life in minutes, by a seed. `make test` runs a sample.
//!
//! Calls of every kind, and between them the hub and the agent killed under load, the provider on a bad day, the shop slow
//! or failing. Then every promise is checked: what was acknowledged is there once and was delivered as it was sent, every
//! mail came, every payment is paid and was reported once. What may come twice (a webhook or a mail whose answer was lost
//! with the hub) came under the same id, and is counted.

mod ledger;
mod receiver;
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use world::World;

/// Run everything through misfortune, and check what was promised.
#[derive(Parser)]
struct Cli {
    /// What happens follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how long things happen.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result =
        tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(soak(&cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("soak: seed {}: {error:#}", cli.seed));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a soak tells how it goes")]
fn say(text: &str) {
    println!("{text}");
}

async fn soak(cli: &Cli) -> anyhow::Result<()> {
    say(&format!("seed {}, {} seconds", cli.seed, cli.seconds));
    let mut world = World::start(cli.seed).await?;
    let result = run(&mut world, Duration::from_secs(cli.seconds)).await;
    if result.is_err() {
        say(&world.log_tails()?);
        return result;
    }
    world.stop().await
}

async fn run(world: &mut World, time: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut told = begun;
    let mut happened = BTreeMap::new();
    while begun.elapsed() < time {
        *happened.entry(world.step().await?).or_insert(0) += 1;
        if told.elapsed() > Duration::from_secs(10) {
            say(&format!("{:>5} s  {happened:?}", begun.elapsed().as_secs()));
            told = Instant::now();
        }
    }
    let settling = Instant::now();
    let found = world.settle().await?;
    say(&format!("happened: {happened:?}"));
    say(&format!(
        "kept, after {} ms more: {} events, {} payments, {} mails; come twice under one id: {} webhooks, {} mails",
        settling.elapsed().as_millis(),
        found.events,
        found.payments,
        found.mails,
        found.repeated_webhooks,
        found.repeated_mails,
    ));
    Ok(())
}
