//! The simulator as a program: reads its arguments, says where it listens, stops when told to.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use trastienda_mercadopago_sim::{Config, Simulator, retry_schedule};

/// A simulator of the Mercado Pago API.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,

    /// What every id, token and fault follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// What links to the checkout begin with, when a browser reaches it by another address.
    #[arg(long)]
    public_url: Option<String>,

    /// How many times faster than the real one notices are retried; at 900, 15 minutes are a second.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..))]
    retry_speed: u32,

    /// Sign notices with a time in milliseconds instead of seconds.
    #[arg(long)]
    ts_in_millis: bool,

    /// Keep http and local return addresses, which the real one drops: for a shop on a laptop.
    #[arg(long)]
    http_back_urls: bool,

    /// What to log on stderr, as a tracing filter.
    #[arg(long, default_value = "info")]
    log: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&args.log).context("--log is not a filter")?)
        .with_writer(std::io::stderr)
        .init();
    let config = Config {
        listen: args.listen,
        seed: args.seed,
        public_url: args.public_url,
        retry_schedule: retry_schedule(args.retry_speed),
        ts_in_millis: args.ts_in_millis,
        http_back_urls: args.http_back_urls,
        ..Config::default()
    };
    let simulator = Simulator::start(config).await?;
    announce(&simulator);
    stopped().await?;
    simulator.stop().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the one line whoever started it waits for")]
fn announce(simulator: &Simulator) {
    println!("listening on {}", simulator.url());
}

async fn stopped() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
