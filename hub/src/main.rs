//! `trastienda-hub`.

use std::process::ExitCode;

use clap::Parser as _;
use trastienda_hub::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
