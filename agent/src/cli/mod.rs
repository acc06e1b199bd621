//! The command line: `run`, `status`, `healthcheck`, `doctor`, `queue …`.

mod doctor;
mod queue;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::heartbeat::HubState;
use trastienda_protocol::ids::RandomIds;
use trastienda_protocol::systemd::Manager;

use crate::activation::{self, Activated};
use crate::agent::Agent;
use crate::config::{self, Config, Settings};
use crate::local_client;
use crate::memory;
use crate::shutdown::{Signals, Wish};
use crate::status::OwnStatus;
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
    /// Looks at everything that an agent needs, and says what is missing
    Doctor(Box<doctor::Doctor>),
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
    memory::keep_little();
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(run) => prepare(&run).and_then(|config| block_on(2, serve(run, config))),
        Command::Status(ask) => block_on(1, show_status(ask)),
        Command::Healthcheck(ask) => block_on(1, check_health(ask)),
        Command::Doctor(doctor) => block_on(1, async move { doctor::run(&doctor).await }),
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
    let config = read(&run.settings);
    let logging = telemetry::init(if run.log.is_empty() { "info" } else { &run.log }, run.log_format);
    match (config, logging) {
        (Ok(config), Ok(())) => Ok(config),
        (config, logging) => Err(config.err().into_iter().flatten().chain(logging.err()).collect()),
    }
}

fn read(settings: &Settings) -> Result<Config, Complaint> {
    settings.with_file().map_err(|line| vec![line])?.check()
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

async fn serve(run: Box<Run>, mut config: Config) -> Result<(), Complaint> {
    let one = |error: &dyn std::error::Error| vec![error.to_string()];
    // Before the doors open: whoever finds the agent ready may stop it.
    let mut signals = Signals::listen().map_err(|error| one(&error))?;
    config.activated = Activated::from_environment().map_err(|error| one(&error))?;
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
        activated = config.activated.is_some(),
        version = crate::status::VERSION,
        "the agent is ready"
    );
    let manager = Manager::from_environment();
    activation::tell(&manager, "READY=1");
    let stop = CancellationToken::new();
    let socket = config.socket.clone();
    // It lives when its own door answers: the thread that commits is the one that serves.
    let lives = move || {
        let socket = socket.clone();
        async move { local_client::status(&socket).await.is_ok() }
    };
    let (telling, stopped) = (manager.clone(), stop.clone());
    let watchdog = tokio::spawn(async move { activation::keep_telling(&telling, stopped, lives).await });
    let signal = loop {
        match signals.next().await {
            Wish::Stop(signal) => break signal,
            Wish::Reload => {
                activation::tell(&manager, "RELOADING=1");
                reload(&run, &agent, &config);
                activation::tell(&manager, "READY=1");
            }
        }
    };
    tracing::info!(signal, "the agent stops");
    activation::tell(&manager, "STOPPING=1");
    stop.cancel();
    let _ = watchdog.await;
    agent.stop().await;
    tracing::info!("the agent has stopped; what was not forwarded is kept");
    Ok(())
}

/// Reads the file and the key again. A mistake changes nothing.
fn reload(run: &Run, agent: &Agent, running: &Config) {
    match read(&run.settings) {
        Ok(config) => {
            let fixed = [
                ("socket", config.socket != running.socket || config.socket_rights != running.socket_rights),
                ("agent_listen", config.listen != running.listen),
                ("agent_data_dir", config.data_dir != running.data_dir),
                ("durability", config.durability != running.durability),
                ("agent_grace", config.pace.grace != running.pace.grace),
            ];
            for (name, _) in fixed.iter().filter(|(_, changed)| *changed) {
                tracing::warn!(setting = name, "this setting counts from the next start on");
            }
            match agent.reload(&config) {
                Ok(()) => tracing::info!(hub.url = %config.hub_url, "the settings were read again"),
                Err(error) => tracing::error!(error = %error, "the settings stay as they were"),
            }
        }
        Err(lines) => {
            for line in lines {
                tracing::error!(mistake = line, "the settings stay as they were");
            }
        }
    }
}

async fn ask(ask: &Ask) -> Result<OwnStatus, Complaint> {
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

fn describe(status: &OwnStatus) -> String {
    let hub = match status.agent.hub {
        HubState::Up => "responde",
        HubState::Down => "no responde (todo se guarda y se enviará cuando vuelva)",
        HubState::Unauthorized => "RECHAZA LA CLAVE: revise TRASTIENDA_API_KEY (nada se pierde)",
        HubState::ProjectMismatch => "LA CLAVE ES DE OTRO PROYECTO: nada se envía (nada se pierde)",
    };
    let OwnStatus { agent, .. } = status;
    let damaged = match status.damaged_databases {
        0 => String::new(),
        count => format!("\nBases dañadas:     {count} (ejecute `trastienda-agent queue recover`)"),
    };
    format!(
        "Hub:               {hub}, desde {}\n\
         En espera:         {} (la más antigua, hace {})\n\
         Ritmo:             {:.1} recibidas/s, {:.1} enviadas/s (último minuto)\n\
         Cartas muertas:    {}\n\
         Ocupación:         {} % del límite\n\
         Disco:             {} KiB usados, {} MiB libres\n\
         Versión:           {}{damaged}",
        status.hub_since.format("%Y-%m-%d %H:%M:%S UTC"),
        agent.buffered,
        age(agent.oldest_seconds),
        status.accepted_per_second,
        status.forwarded_per_second,
        agent.dead_letters,
        status.full_percent,
        agent.disk_bytes.div_ceil(1024),
        status.disk_free_bytes >> 20,
        agent.version,
    )
}

/// As a person says it.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
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
    use chrono::DateTime;
    use trastienda_protocol::heartbeat::AgentStatus;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    fn status(hub: HubState) -> OwnStatus {
        OwnStatus {
            agent: AgentStatus {
                hub,
                buffered: 12,
                oldest_seconds: 7_260,
                dead_letters: 3,
                disk_bytes: 10_241,
                version: "1.2.3".to_owned(),
            },
            hub_since: DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
            accepted_per_second: 1.25,
            forwarded_per_second: 0.5,
            full_percent: 71,
            disk_free_bytes: 5 << 20,
            damaged_databases: 0,
        }
    }

    #[test]
    fn every_line_of_the_status_says_what_it_counts() {
        let said = describe(&status(HubState::Down));
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "Hub:               no responde (todo se guarda y se enviará cuando vuelva), desde 2026-11-18 11:06:40 UTC",
                "En espera:         12 (la más antigua, hace 2 h 1 min)",
                "Ritmo:             1.2 recibidas/s, 0.5 enviadas/s (último minuto)",
                "Cartas muertas:    3",
                "Ocupación:         71 % del límite",
                "Disco:             11 KiB usados, 5 MiB libres",
                "Versión:           1.2.3",
            ]
        );
    }

    #[test]
    fn each_trouble_has_words_of_its_own() {
        for (state, words) in [
            (HubState::Up, "responde, desde"),
            (HubState::Unauthorized, "RECHAZA LA CLAVE"),
            (HubState::ProjectMismatch, "LA CLAVE ES DE OTRO PROYECTO"),
        ] {
            let said = describe(&status(state));
            assert!(said.lines().next().unwrap().contains(words), "{said}");
        }
        let damaged = describe(&OwnStatus { damaged_databases: 2, ..status(HubState::Up) });
        assert!(damaged.lines().last().unwrap().contains("2 (ejecute `trastienda-agent queue recover`)"));
        let ages = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 200_000].map(age);
        let said = ["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "23 h 59 min", "1 d 0 h", "2 d 7 h"];
        assert_eq!(ages, said);
    }
}
