//! What happened and what was found, as the page on reliability shows it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::ledger::Found;
use crate::plan::Act;
use crate::world::Account;

/// Between these lines of a page stands what the last run said.
const BEGIN: &str = "<!-- what `make chaos` said -->";
const END: &str = "<!-- until here -->";

/// A table of what happened, and what became of the promises.
pub(crate) fn table(account: &Account, found: &Found, took: Duration) -> String {
    let mut text = String::from("| what happened | times | slowest 202 meanwhile |\n| --- | ---: | ---: |\n");
    let mut not_run = 0;
    for act in Act::all() {
        let tally = account.tallies.get(&act).copied().unwrap_or_default();
        let slowest = match tally.slowest.as_millis() {
            0 => "-".to_owned(),
            milliseconds => format!("{milliseconds} ms"),
        };
        let times =
            if tally.not_run > 0 { format!("NOT RUN ({})", tally.not_run) } else { tally.times.to_string() };
        not_run += tally.not_run;
        let what = if act.is_fault() { format!("**{}**", describe(act)) } else { describe(act).to_owned() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {what} | {times} | {slowest} |");
    }
    let _ = write!(
        text,
        "\n{} kills in {} s. {} events acknowledged and none lost: {} destroyed with overwritten pages and told of, all others at \
         the hub once and delivered as sent. {} payments paid and reported once, {} mails came. Come twice under one id: \
         {} webhooks, {} mails. Power cuts took {} bytes that were not synced. {} pages were overwritten and {} calls read \
         from those databases; the slowest start on one took {} ms. Not run on this machine: {not_run}.",
        account.kills(),
        took.as_secs(),
        found.events,
        found.destroyed,
        found.payments,
        found.mails,
        found.repeated_webhooks,
        found.repeated_mails,
        account.unsynced,
        account.pages,
        account.salvaged,
        account.slowest_start.as_millis(),
    );
    text
}

fn describe(act: Act) -> &'static str {
    match act {
        Act::Burst => "many events at once through the agent",
        Act::Direct => "events straight to the hub",
        Act::Again => "something acknowledged sent once more",
        Act::Mails => "mails through the agent",
        Act::Payment => "a checkout paid on the provider's bad day",
        Act::Mood => "the receiving shop slow, failing or well",
        Act::KillAgent => "agent killed",
        Act::KillHub => "hub killed",
        Act::KillPostgres => "PostgreSQL killed",
        Act::PowerCut => "power cut at the agent",
        Act::BlackHole => "wire to the hub silent",
        Act::Slow => "wire to the hub slow",
        Act::HalfOpen => "wire to the hub half open",
        Act::Resetting => "wire to the hub resetting",
        Act::DatabaseWire => "wire to the database shut, resetting, silent, slow or half open",
        Act::DiskFull => "agent's disk full",
        Act::DiskFails => "agent's disk failing",
        Act::Damage => "agent's database overwritten",
        Act::ClockJump => "agent's clock moved",
    }
}

/// Writes what a run said into a page.
pub(crate) fn write_into(file: &Path, said: &str) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let (before, rest) = page.split_once(BEGIN).context("the page has no place for it")?;
    let (_, after) = rest.split_once(END).context("the page has no end of it")?;
    Ok(std::fs::write(file, format!("{before}{BEGIN}\n\n{said}\n\n{END}{after}"))?)
}
