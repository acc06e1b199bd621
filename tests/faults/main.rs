//! Deliveries through misfortune, by a seed: the hub or its database killed, its connections terminated, the wire to the database
//! cut or silent for a while, the hub frozen. Then every id is accounted for. `make test` runs a few hundred deliveries,
//! `make soak` ten thousand.
//!
//! What is held: everything that was acknowledged is stored once and delivered; the log has as many attempts as a delivery
//! counts; and what a receiver took twice was in flight when the hub was killed, under the same `webhook-id`. A hub that
//! lost no more than its connections repeats nothing: it knows what it sent.

mod away;
mod hanging;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::pulled_through_kills;

use world::World;

/// Deliver through misfortune, and account for every id.
#[derive(Parser)]
struct Cli {
    /// What happens, and when, follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many events are delivered.
    #[arg(long, default_value_t = 10_000)]
    deliveries: usize,
    /// Instead, how many deliveries hang while a neighbour's go on.
    #[arg(long)]
    hanging: Option<usize>,
    /// Instead, for how many seconds the database is away while deliveries are in flight.
    #[arg(long)]
    away: Option<u64>,
    /// Instead, how many deliveries agents pull while hub and agents are killed.
    #[arg(long)]
    pulled: Option<usize>,
    /// And how often one of them is.
    #[arg(long, default_value_t = 60)]
    kills: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result =
        tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(&cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("faults: seed {}: {error:#}", cli.seed));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "it tells how it goes")]
fn say(text: &str) {
    println!("{text}");
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    if let Some(deliveries) = cli.hanging {
        let took = hanging::run(deliveries).await?;
        say(&format!("beside {deliveries} that hang, a neighbour's thousand took {} ms", took.as_millis()));
        return Ok(());
    }
    if let Some(seconds) = cli.away {
        away::run(Duration::from_secs(seconds)).await?;
        say(&format!(
            "the database was away for {seconds} s; what was in flight came once, and is written as sent"
        ));
        return Ok(());
    }
    if let Some(deliveries) = cli.pulled {
        let account = pulled_through_kills(cli.seed, deliveries, cli.kills).await?;
        say(&format!(
            "pulled: accounted for {} ids, {} of them taken more than once; kills: {} of the hub, {} of agents",
            account.arrived, account.repeated, account.hub_kills, account.agent_kills
        ));
        return Ok(());
    }
    say(&format!("seed {}, {} deliveries", cli.seed, cli.deliveries));
    let started = Instant::now();
    let mut world = World::start(cli.seed).await?;
    let result = world.deliver(cli.deliveries).await;
    match result {
        Ok(account) => {
            say(&format!("happened: {:?}", account.happened));
            say(&format!(
                "accounted for {} ids in {} s: {} in flight when the hub was killed, {} taken twice, all of them among those",
                account.ids,
                started.elapsed().as_secs(),
                account.in_flight,
                account.twice,
            ));
            world.stop().await
        }
        Err(error) => {
            say(&world.log_tails()?);
            Err(error)
        }
    }
}
