//! `make bench`: what things cost, beside what they would have cost otherwise, in the same run.
//!
//! Medians of several runs with their range. Timings decide nothing: this prints, and never fails because something was
//! slow. `bench calls`, `bench depth`, `bench webhooks [ROW]`, `bench payments`, `bench mail` and `bench lists` run a
//! part.

mod calls;
mod capacity;
mod depth;
mod lists;
mod mail;
mod payments;
mod report;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// What to measure; everything if not given.
    part: Option<Part>,
    /// Of `webhooks`: only the rows whose name holds this.
    #[arg(default_value = "")]
    row: String,
    /// How often each row is measured.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What a call costs the shop.
    Calls,
    /// What five million calls that wait cost.
    Depth,
    /// Events in, webhooks out.
    Webhooks,
    /// Payments, their notices, and what waiting for them costs.
    Payments,
    /// Mail taken and sent.
    Mail,
    /// The dashboard's lists over a million rows of each.
    Lists,
    /// What one of each thing takes: disk, log, processor.
    Capacity,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = tokio::runtime::Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure(&arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let wants = |part| arguments.part.is_none_or(|wanted| wanted == part);
    if wants(Part::Calls) {
        calls::measure(arguments.runs).await?;
    }
    if wants(Part::Depth) {
        depth::measure(arguments.runs.min(3)).await?;
    }
    if wants(Part::Webhooks) {
        webhooks::measure(arguments.runs, &arguments.row).await?;
    }
    if wants(Part::Payments) {
        payments::measure(arguments.runs).await?;
    }
    if wants(Part::Mail) {
        mail::measure(1).await?;
    }
    if wants(Part::Lists) {
        lists::measure(1).await?;
    }
    if wants(Part::Capacity) {
        capacity::measure(1).await?;
    }
    Ok(())
}
