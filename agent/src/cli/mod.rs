//! The command line: `run`, `status`, `healthcheck`, `queue recover`.

mod queue;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::heartbeat::{AgentStatus, HubState};
use trastienda_protocol::ids::RandomIds;

use crate::agent::Agent;
use crate::config::{self, Config, Settings};
use crate::local_client;
use crate::shutdown::Signals;
use crate::telemetry::{self, LogFormat};

#[derive(Debug, Parser)]
#[command(
    name = "trastienda-agent",
    version,
    about = "Keeps a shop's calls safe on this host until the hub has them"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the socket and forwards to the hub, until SIGTERM
    Run(Box<Run>),
    /// Says how a running agent is doing
    Status(Ask),
    /// Ends with 0 when a running agent takes calls, else with 1
    Healthcheck(Ask),
    /// Looks after the buffer
    #[command(subcommand)]
    Queue(queue::Command),
}

#[derive(Debug, clap::Args)]
struct Run {
    #[command(flatten)]
    settings: Settings,
    /// What is logged, as a tracing filter: `info`, `trastienda_agent=debug`
    #[arg(long, env = "TRASTIENDA_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// How log lines look
    #[arg(long, env = "TRASTIENDA_LOG_FORMAT", value_name = "FORMAT", default_value = "pretty")]
    log_format: LogFormat,
}

#[derive(Debug, clap::Args)]
struct Ask {
    /// The running agent's socket. Default: `/run/trastienda/agent.sock`
    #[arg(long, env = "TRASTIENDA_SOCKET", value_name = "PATH")]
    socket: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The command line's description, for whoever compares it with the documentation.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(run) => prepare(&run).and_then(|config| block_on(2, serve(config))),
        Command::Status(ask) => block_on(1, show_status(ask)),
        Command::Healthcheck(ask) => block_on(1, check_health(ask)),
        Command::Queue(command) => block_on(2, queue::run(command)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(lines) => {
            for line in lines {
                complain(&line);
            }
            ExitCode::FAILURE
        }
    }
}

/// Lines for standard error.
type Complaint = Vec<String>;

fn prepare(run: &Run) -> Result<Config, Complaint> {
    let config = run.settings.check();
    let logging = telemetry::init(if run.log.is_empty() { "info" } else { &run.log }, run.log_format);
    match (config, logging) {
        (Ok(config), Ok(())) => Ok(config),
        (config, logging) => Err(config.err().into_iter().flatten().chain(logging.err()).collect()),
    }
}

fn block_on(threads: usize, work: impl Future<Output = Result<(), Complaint>>) -> Result<(), Complaint> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("agent")
        .enable_all()
        .build()
        .map_err(|error| vec![format!("no runtime: {error}")])?;
    runtime.block_on(work)
}

async fn serve(config: Config) -> Result<(), Complaint> {
    let one = |error: &dyn std::error::Error| vec![error.to_string()];
    // Before the doors open: whoever finds the agent ready may stop it.
    let mut signals = Signals::listen().map_err(|error| one(&error))?;
    let agent = Agent::start(&config, Arc::new(SystemClock), Arc::new(RandomIds))
        .await
        .map_err(|error| one(&error))?;
    let listen = agent.tcp_address().map(|address| address.to_string());
    tracing::info!(
        socket = %config.socket.display(),
        listen = listen.unwrap_or_default(),
        hub.url = %config.hub_url,
        data_dir = %config.data_dir.display(),
        durability = ?config.durability,
        version = crate::status::VERSION,
        "the agent is ready"
    );
    let signal = signals.first().await;
    tracing::info!(signal, "the agent stops");
    agent.stop().await;
    tracing::info!("the agent has stopped; what was not forwarded is kept");
    Ok(())
}

async fn ask(ask: &Ask) -> Result<AgentStatus, Complaint> {
    let socket: PathBuf = config::socket(ask.socket.as_ref());
    local_client::status(&socket)
        .await
        .map_err(|error| vec![format!("El agente no responde en {}: {error}", socket.display())])
}

async fn show_status(options: Ask) -> Result<(), Complaint> {
    let status = ask(&options).await?;
    if options.json {
        say(&serde_json::to_string(&status).map_err(|error| vec![error.to_string()])?);
    } else {
        say(&describe(&status));
    }
    Ok(())
}

/// A hub that is away is no reason to restart the agent: it is what the agent is for.
async fn check_health(options: Ask) -> Result<(), Complaint> {
    let status = ask(&options).await?;
    if options.json {
        say(&serde_json::to_string(&status).map_err(|error| vec![error.to_string()])?);
    }
    Ok(())
}

fn describe(status: &AgentStatus) -> String {
    let hub = match status.hub {
        HubState::Up => "responde",
        HubState::Down => "no responde (todo se guarda y se enviará cuando vuelva)",
        HubState::Unauthorized => "RECHAZA LA CLAVE: revise TRASTIENDA_API_KEY (nada se pierde)",
        HubState::ProjectMismatch => "LA CLAVE ES DE OTRO PROYECTO: nada se envía (nada se pierde)",
    };
    format!(
        "Hub:               {hub}\n\
         En espera:         {} (la más antigua, hace {} s)\n\
         Cartas muertas:    {}\n\
         Disco:             {} KiB\n\
         Versión:           {}",
        status.buffered,
        status.oldest_seconds,
        status.dead_letters,
        status.disk_bytes.div_ceil(1024),
        status.version,
    )
}

#[expect(clippy::print_stdout, reason = "what the command was asked to print")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a mistake must be seen before logging starts")]
fn complain(text: &str) {
    eprintln!("trastienda-agent: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
