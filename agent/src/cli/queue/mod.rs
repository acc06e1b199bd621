//! `queue …`: what is kept, looked at and decided about by the operator.
//!
//! Looking reads the buffer itself, beside a running agent or without one. What changes something is
//! done by the running agent, which goes on meanwhile; without one, the command opens the buffer.

mod recover;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trastienda_protocol::clock::{Clock, SystemClock};

use super::{Complaint, say};
use crate::buffer::{Buffer, Durability, Inspector, Kept, Limits, Options, Which, parse_id};
use crate::metrics::Metrics;
use crate::{config, local_client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists what waits for the hub and what a person must decide about
    List(List),
    /// Shows one call, with its body
    Show(One),
    /// Writes every call with its body to standard output, one JSON object a line
    Export(Export),
    /// Sends a dead letter again, or all of them
    Retry(Retry),
    /// Gives a dead letter up for good
    Discard(One),
    /// Puts back what can still be read of databases that were set aside as damaged
    Recover(Place),
    /// Looks at every page of the buffer and at every body in it
    Verify(Place),
}

/// Where the buffer is, and who looks after it.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The running agent's socket. Default: `/run/trastienda/agent.sock`
    #[arg(long, env = "TRASTIENDA_SOCKET", value_name = "PATH")]
    socket: Option<String>,
    /// Where the buffer is. Default: `/var/lib/trastienda-agent`
    #[arg(long, env = "TRASTIENDA_AGENT_DATA_DIR", value_name = "DIRECTORY")]
    agent_data_dir: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// Only those that wait, or only the dead letters
    #[arg(value_enum)]
    which: Option<Which>,
    /// So many of each at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    #[command(flatten)]
    place: Place,
    /// Its id, as `evt_…`, `ntf_…` or `pay_…`
    id: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    /// Only those that wait, or only the dead letters
    #[arg(value_enum)]
    which: Option<Which>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    place: Place,
    /// Its id; without one, `--all` is needed
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// Every dead letter whose time is not over
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(command: Command) -> Result<(), Complaint> {
    match command {
        Command::List(options) => list(&options),
        Command::Show(options) => show(&options),
        Command::Export(options) => export(&options),
        Command::Retry(options) => retry(&options).await,
        Command::Discard(options) => discard(&options).await,
        Command::Recover(place) => recover::run(&place).await,
        Command::Verify(place) => verify(&place),
    }
}

fn both(which: Option<Which>) -> Vec<Which> {
    which.map_or_else(|| vec![Which::Waiting, Which::Dead], |which| vec![which])
}

fn list(options: &List) -> Result<(), Complaint> {
    let inspector = options.place.inspect()?;
    for which in both(options.which) {
        for call in inspector.list(which, options.limit).map_err(one)? {
            if options.place.json {
                say(&serde_json::to_string(&call).map_err(one)?);
            } else {
                say(&line(&call));
            }
        }
    }
    Ok(())
}

fn line(call: &Kept) -> String {
    let problem = call.problem.as_ref().and_then(|problem| problem["code"].as_str()).unwrap_or_default();
    let state = match call.state.as_str() {
        "waiting" => "en espera",
        "refused" => "rechazada",
        "parked" => "apartada",
        "expired" => "vencida",
        other => other,
    };
    let order = call.order_id.as_deref().unwrap_or("-");
    format!("{}  {}  {state:<9}  {order}  {} B  {problem}", call.accepted_at, call.id, call.bytes)
        .trim_end()
        .to_owned()
}

fn show(options: &One) -> Result<(), Complaint> {
    let (kind, uuid) = parse_id(&options.id).ok_or_else(|| not_there(&options.id))?;
    let found = options.place.inspect()?.find(kind, uuid).map_err(one)?;
    let (call, body) = found.ok_or_else(|| not_there(&options.id))?;
    say(&serde_json::to_string_pretty(&with_body(&call, &body)?).map_err(one)?);
    Ok(())
}

fn with_body(call: &Kept, body: &[u8]) -> Result<serde_json::Value, Complaint> {
    let mut value = serde_json::to_value(call).map_err(one)?;
    value["body"] = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
    Ok(value)
}

fn export(options: &Export) -> Result<(), Complaint> {
    let inspector = options.place.inspect()?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for which in both(options.which) {
        inspector
            .export(which, |call, body| {
                let value =
                    with_body(&call, &body).map_err(|lines| std::io::Error::other(lines.join(" ")))?;
                writeln!(out, "{value}")
            })
            .map_err(one)?;
    }
    out.flush().map_err(one)
}

async fn retry(options: &Retry) -> Result<(), Complaint> {
    let ids = if let Some(id) = &options.id {
        vec![id.clone()]
    } else {
        let dead = options.place.inspect()?.list(Which::Dead, u32::MAX).map_err(one)?;
        dead.into_iter().filter(|call| call.state != "expired").map(|call| call.id).collect()
    };
    for id in &ids {
        let (kind, uuid) = parse_id(id).ok_or_else(|| not_there(id))?;
        if local_client::retry(&options.place.socket(), id).await.map_err(one)?.is_none() {
            let revived = options.place.open(|buffer| async move { buffer.revive(kind, uuid).await });
            if !revived.await? {
                return Err(not_there(id));
            }
        }
    }
    say(&format!("{} de vuelta en espera.", ids.len()));
    Ok(())
}

async fn discard(options: &One) -> Result<(), Complaint> {
    let (kind, uuid) = parse_id(&options.id).ok_or_else(|| not_there(&options.id))?;
    if local_client::discard(&options.place.socket(), &options.id).await.map_err(one)?.is_none() {
        let gone = options.place.open(|buffer| async move { buffer.discard(kind, uuid).await });
        if !gone.await? {
            return Err(not_there(&options.id));
        }
    }
    say(&format!("{} descartada.", options.id));
    Ok(())
}

fn verify(place: &Place) -> Result<(), Complaint> {
    let findings = place.inspect()?.verify().map_err(one)?;
    if place.json {
        say(&serde_json::to_string(&findings).map_err(one)?);
    } else {
        say(&format!("{} llamadas guardadas.", findings.calls));
    }
    if findings.damage.is_empty() && findings.changed.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = findings.damage.iter().map(|line| format!("Daño: {line}")).collect();
    lines.extend(findings.changed.iter().map(|id| format!("El contenido de {id} no es el que se confirmó.")));
    lines
        .push("Al reiniciar, el agente aparta la base; después, `queue recover` trae lo legible.".to_owned());
    Err(lines)
}

fn one(error: impl std::fmt::Display) -> Complaint {
    vec![error.to_string()]
}

fn not_there(id: &str) -> Complaint {
    vec![format!("No hay ninguna llamada {id} (una carta vencida no se puede reintentar).")]
}

impl Place {
    fn socket(&self) -> PathBuf {
        config::socket(self.socket.as_ref())
    }

    fn directory(&self) -> PathBuf {
        config::data_dir(self.agent_data_dir.as_ref())
    }

    fn inspect(&self) -> Result<Inspector, Complaint> {
        let directory = self.directory();
        Inspector::open(&directory)
            .map_err(one)?
            .ok_or_else(|| vec![format!("No hay ningún búfer en {}", directory.display())])
    }

    /// Opens the buffer for a change; no agent may run on it.
    async fn open<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        &self,
        change: impl FnOnce(Buffer) -> F,
    ) -> Result<T, Complaint> {
        let directory = self.directory();
        if !Path::new(&directory).is_dir() {
            return Err(vec![format!("No hay ningún directorio {}", directory.display())]);
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = Options {
            directory: &directory,
            durability: Durability::Disk,
            limits: Limits { max_bytes: u64::MAX, max_rows: u64::MAX, min_free: Some(0) },
            clock: &clock,
        };
        let (buffer, writer) = Buffer::open(&options, Arc::new(Metrics::default())).map_err(one)?;
        let changed = change(buffer).await.map_err(one);
        writer.finished().await;
        changed
    }
}
