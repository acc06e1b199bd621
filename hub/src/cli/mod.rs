//! The command line.

mod backup;
mod doctor;
mod healthcheck;
mod logs;
mod payments;
mod project;
mod seal;
mod seed;
mod webhooks;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::RandomIds;

use crate::config::{ConfigErrors, LogArgs, ServeArgs, StoreArgs};
use crate::db::{self, Store};
use crate::projects::operations::Operations;
use crate::{serve, telemetry};

/// The backend that many online shops share.
#[derive(Parser)]
#[command(name = "trastienda-hub", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the hub.
    Serve(Box<ServeArgs>),
    /// Bring the database's schema up to date.
    Migrate {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        log: LogArgs,
    },
    /// Projects: shops and their keys.
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Webhooks: send again, or follow on this machine.
    #[command(subcommand)]
    Webhooks(webhooks::WebhooksCommand),
    /// Payments: their books and the providers'.
    #[command(subcommand)]
    Payments(payments::PaymentsCommand),
    /// What became of notifications, webhooks and payments.
    #[command(subcommand)]
    Logs(logs::LogsCommand),
    /// Write the whole database into one file, or into one named by the time in a directory; hubs run on meanwhile.
    Backup(backup::BackupArgs),
    /// Put a backup into an empty database, all of it or nothing.
    Restore(backup::RestoreArgs),
    /// The master key: change it while hubs run.
    #[command(subcommand)]
    Seal(seal::SealCommand),
    /// Make two demonstration projects and show their keys.
    Seed(seed::SeedArgs),
    /// Say what is wrong with this deployment and how to mend it.
    Doctor(Box<ServeArgs>),
    /// Exit 0 if the hub answers that it is ready.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print the OpenAPI document.
    Openapi,
}

/// The command line's definition: tests compare its variables with `.env.example`.
pub fn command() -> clap::Command {
    Cli::command()
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => return fail(&anyhow::Error::from(error)),
        };
        match runtime.block_on(self.command.run()) {
            Ok(code) => code,
            Err(error) => fail(&error),
        }
    }
}

impl Command {
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(args) => {
                let (config, store) = args.check()?;
                telemetry::start_logs(&args.log)?;
                serve::run(config, &store).await?;
            }
            Self::Migrate { store, log } => {
                telemetry::start_logs(&log)?;
                // Opening for a command migrates.
                open(&store).await?.close(false).await;
                say("the schema is up to date");
            }
            Self::Project(command) => command.run().await?,
            Self::Webhooks(command) => command.run().await?,
            Self::Payments(command) => command.run().await?,
            Self::Logs(command) => command.run().await?,
            Self::Backup(args) => args.run().await?,
            Self::Restore(args) => args.run().await?,
            Self::Seal(command) => command.run().await?,
            Self::Seed(args) => args.run().await?,
            Self::Doctor(args) => return doctor::run(&args).await,
            Self::Healthcheck(args) => return args.run().await,
            Self::Openapi => say(&crate::openapi::document_json()?),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the store for a command, with its schema up to date.
async fn open(args: &StoreArgs) -> anyhow::Result<Store> {
    let store = Store::open(&args.check()?).await?;
    db::migrate(&store.pool, SystemClock.now()).await?;
    Ok(store)
}

fn operations(store: &Store) -> Operations<'_> {
    Operations { db: &store.pool, clock: &SystemClock, ids: &RandomIds }
}

/// Writes a command's answer.
#[expect(clippy::print_stdout, reason = "a command's answer goes to standard output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command's failure goes to standard error")]
fn fail(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<ConfigErrors>() {
        Some(errors) => {
            for line in errors.lines() {
                eprintln!("{line}");
            }
        }
        None => eprintln!("trastienda-hub: {error:#}"),
    }
    ExitCode::FAILURE
}

/// A refusal of the API's kind, told on the command line.
fn refusal(error: crate::http::Error) -> anyhow::Error {
    match error {
        crate::http::Error::Internal(error) => error,
        other => {
            let problem = other.problem();
            let fields = problem
                .errors
                .iter()
                .map(|field| format!("\n  {} {}", field.pointer.trim_start_matches('/'), field.message));
            anyhow::anyhow!("{}{}", problem.detail, fields.collect::<String>())
        }
    }
}
