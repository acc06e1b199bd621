//! `trastienda-hub`.

use std::process::ExitCode;

use clap::Parser as _;
use trastienda_hub::cli::Cli;
use trastienda_hub::memory;

fn main() -> ExitCode {
    memory::give_back_large_blocks();
    Cli::parse().run()
}
