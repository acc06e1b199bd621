//! `make demo` and `make up`: an order, all the way, told as it happens.
//!
//! Every line that says that something happened was preceded by looking whether it did: the first thing that did not
//! ends the story with the reason and exit code 1.

mod story;
mod up;

use std::process::ExitCode;

use clap::Parser;

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
    let told = runtime.block_on(async { if cli.stay { up::stay().await } else { story::tell().await } });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
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
