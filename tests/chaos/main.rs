//! `make chaos` and `make soak`: what an installation meets in years, in minutes, by a seed. `make test` runs a sample.
//!
//! Calls of every kind, and between them every misfortune of [`plan::Act`]: agent, hub and PostgreSQL killed under load, the
//! agent's power cut, its disk full, its database overwritten, its clock moved, its wire to the hub and the hub's to its
//! database cut, silent, slow, half open or resetting, the provider on a bad day, the shop slow or failing.
//!
//! Then every promise is checked against a ledger: what was acknowledged is at the hub once and was delivered as it was sent;
//! what overwritten pages took along is excepted, where the bytes themselves show that it cannot be read and the agent says so.
//! Every mail came, every payment is paid and was reported once. What may come twice (a webhook or a mail whose answer was lost
//! with the hub) came under the same id, and is counted. The seed is printed; with it the same things happen in the same order.

mod business;
mod disk;
mod faults;
mod ledger;
mod pages;
mod plan;
mod receiver;
mod report;
mod world;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;

use plan::Plan;
use world::World;

/// Every promise is checked again after so many steps.
const BETWEEN_CHECKS: usize = 250;

/// Run everything through misfortune, and check what was promised.
#[derive(Parser)]
struct Cli {
    /// What happens follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much happens.
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Instead: as much as it takes to kill so often.
    #[arg(long, conflicts_with = "steps")]
    kills: Option<u64>,
    /// Ends earlier when so many minutes are over.
    #[arg(long)]
    minutes: Option<u64>,
    /// Mails that are sent before all this, while the hub is killed again and again.
    #[arg(long, default_value_t = 0)]
    mails: usize,
    /// A Markdown file whose table is written anew.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Set by the program itself, once it has mounts of its own.
    #[arg(long, hide = true)]
    own_mounts: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = own_mounts(&cli)
        .and_then(|()| tokio::runtime::Runtime::new().map_err(Into::into))
        .and_then(|runtime| runtime.block_on(chaos(&cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("chaos: seed {}: {error:#}", cli.seed));
            ExitCode::FAILURE
        }
    }
}

/// Becomes the same program with a table of mounts of its own, where that may be: what it mounts ends with it.
fn own_mounts(cli: &Cli) -> anyhow::Result<()> {
    let may = || Command::new("unshare").args(["--mount", "true"]).output();
    if !cli.own_mounts && may().is_ok_and(|output| output.status.success()) {
        let mut again = Command::new("unshare");
        again.arg("--mount").arg(std::env::current_exe()?).args(std::env::args_os().skip(1));
        return Err(again.arg("--own-mounts").exec().into());
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it tells how it goes")]
fn say(text: &str) {
    println!("{text}");
}

async fn chaos(cli: &Cli) -> anyhow::Result<()> {
    let command = command(cli);
    say(&command);
    if cli.mails > 0 {
        let mails = e2e::mails_through_kills(cli.mails, 10).await?;
        say(&format!(
            "{} mails arrived through {} kills of the hub; come twice as the same mail: {}",
            mails.arrived, mails.kills, mails.repeated
        ));
    }
    let mut world = World::start().await?;
    match run(&mut world, cli).await {
        Ok(report) => {
            say(&report);
            if let Some(file) = &cli.into {
                report::write_into(file, &format!("`{command}`\n\n{report}"))?;
            }
            world.stop().await
        }
        Err(error) => {
            say(&world.log_tails()?);
            Err(error)
        }
    }
}

/// What to type to have it again.
fn command(cli: &Cli) -> String {
    let much = match cli.kills {
        Some(kills) => format!("--kills {kills}"),
        None => format!("--steps {}", cli.steps),
    };
    format!("make chaos CHAOS=\"--seed {} {much}\"", cli.seed)
}

async fn run(world: &mut World, cli: &Cli) -> anyhow::Result<String> {
    let begun = Instant::now();
    let mut told = begun;
    let in_time = || cli.minutes.is_none_or(|minutes| begun.elapsed() < Duration::from_secs(60 * minutes));
    for (number, step) in Plan::new(cli.seed).enumerate() {
        let enough = cli.kills.map_or(number >= cli.steps, |kills| world.account.kills() >= kills);
        if enough || !in_time() {
            break;
        }
        let doing = |error: anyhow::Error| error.context(format!("step {number}, {:?}", step.act));
        world.step(step).await.map_err(doing)?;
        if (number + 1) % BETWEEN_CHECKS == 0 {
            world.settle().await.map_err(doing)?;
        }
        if told.elapsed() > Duration::from_secs(10) {
            let seconds = begun.elapsed().as_secs();
            say(&format!("{seconds:>5} s  {} steps, {} kills", number + 1, world.account.kills()));
            told = Instant::now();
        }
    }
    let found = world.settle().await?;
    Ok(report::table(&world.account, &found, begun.elapsed()))
}
