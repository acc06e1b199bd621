//! `make demo` and `make up`: an order, all the way, told as it happens.
//!
//! Every line that says that something happened was preceded by looking whether it did: the first thing that did not
//! ends the story with the reason, the end of every log, and exit code 1. So does Ctrl-C; nothing stays behind.

mod story;
mod told;
mod up;

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Run an order through everything.
#[derive(Parser)]
struct Cli {
    /// Set everything up and stay, with addresses and keys to try, until Ctrl-C.
    #[arg(long)]
    stay: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let done = runtime.block_on(async { if cli.stay { up::stay().await } else { tell_or_stop().await } });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Tells the story; a signal drops it, and with it everything that runs.
async fn tell_or_stop() -> anyhow::Result<()> {
    tokio::select! {
        told = story::tell() => told,
        stopped = stop_signal() => { stopped?; bail!("interrumpido / interrupted") }
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

/// A line of the story.
#[expect(clippy::print_stdout, reason = "telling is what this program is for")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the reason for the exit code")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("\n✗ No salió / It did not work: {error:#}");
    ExitCode::FAILURE
}
