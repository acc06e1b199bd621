//! `queue recover`: gets back what damaged databases still hold.
//!
//! A running agent does it itself, and goes on meanwhile; without one, the command opens the buffer.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use trastienda_protocol::clock::{Clock, SystemClock};

use super::{Complaint, say};
use crate::buffer::{Buffer, Durability, Limits, Options};
use crate::metrics::Metrics;
use crate::recover::{Report, recover};
use crate::{config, local_client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Puts back what can still be read of databases that were set aside as damaged
    Recover(Recover),
}

#[derive(Debug, clap::Args)]
pub(super) struct Recover {
    /// The running agent's socket. Default: `/run/trastienda/agent.sock`
    #[arg(long, env = "TRASTIENDA_SOCKET", value_name = "PATH")]
    socket: Option<String>,
    /// Where the buffer is, when no agent runs. Default: `/var/lib/trastienda-agent`
    #[arg(long, env = "TRASTIENDA_AGENT_DATA_DIR", value_name = "DIRECTORY")]
    agent_data_dir: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: Command) -> Result<(), Complaint> {
    let Command::Recover(options) = command;
    let one = |error: &dyn std::fmt::Display| vec![error.to_string()];
    let socket = config::socket(options.socket.as_ref());
    let reports = match local_client::recover(&socket).await {
        Ok(Some(reports)) => reports,
        Ok(None) => by_itself(&config::data_dir(options.agent_data_dir.as_ref())).await?,
        Err(error) => return Err(vec![format!("El agente en {} no pudo: {error}", socket.display())]),
    };
    if options.json {
        say(&serde_json::to_string(&reports).map_err(|error| one(&error))?);
    } else {
        say(&describe(&reports));
    }
    Ok(())
}

async fn by_itself(directory: &Path) -> Result<Vec<Report>, Complaint> {
    if !directory.is_dir() {
        return Err(vec![format!("No hay ningún directorio {}", directory.display())]);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = Options {
        directory,
        durability: Durability::Disk,
        limits: Limits { max_bytes: u64::MAX, max_rows: u64::MAX },
        clock: &clock,
    };
    let opened = Buffer::open(&options, Arc::new(Metrics::default()));
    let (buffer, writer) = opened.map_err(|error| vec![error.to_string()])?;
    let reports = recover(&buffer).await.map_err(|error| vec![error.to_string()]);
    drop(buffer);
    writer.finished().await;
    reports
}

fn describe(reports: &[Report]) -> String {
    if reports.is_empty() {
        return "No hay bases dañadas.".to_owned();
    }
    let mut text = String::new();
    for report in reports {
        // Writing to a string cannot fail.
        let _ = match &report.skipped {
            Some(why) => writeln!(text, "{}: no se hizo nada: {why}", report.file.display()),
            None => writeln!(
                text,
                "{}: {} recuperadas, {} ya conocidas, {} ilegibles",
                report.file.display(),
                report.recovered,
                report.known,
                report
                    .unreadable
                    .map_or_else(|| "un número desconocido de".to_owned(), |count| count.to_string()),
            ),
        };
    }
    text.trim_end().to_owned()
}
