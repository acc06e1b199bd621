//! `doctor`: looks at everything that an agent needs, and says what is missing and what to do.

use std::time::{Duration, Instant};

use trastienda_protocol::clock::{Clock as _, SystemClock};

use super::{Complaint, read, say};
use crate::buffer::{Inspector, Which};
use crate::config::{Config, Settings};
use crate::hub::{Hub, HubError};
use crate::local_client;

/// A sync that takes longer is felt by every call of the shop.
const SYNC_SLOW: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(doctor: &Doctor) -> Result<(), Complaint> {
    let config = read(&doctor.settings)?;
    let mut findings = Findings::default();
    good("La configuración es válida.");
    disk(&config, &mut findings);
    agent(&config, &mut findings).await;
    hub(&config, &mut findings).await;
    if findings.bad == 0 {
        return Ok(());
    }
    Err(vec![format!("{} cosas por arreglar.", findings.bad)])
}

fn good(text: &str) {
    say(&format!("bien  {text}"));
}

#[derive(Default)]
struct Findings {
    bad: usize,
}

impl Findings {
    fn bad(&mut self, text: &str) {
        self.bad += 1;
        say(&format!("MAL   {text}"));
    }
}

fn disk(config: &Config, findings: &mut Findings) {
    let directory = config.data_dir.display();
    match time_a_sync(&config.data_dir) {
        Err(error) => findings.bad(&format!("No se puede escribir en {directory}: {error}")),
        Ok(took) => match slowness(took) {
            Some(complaint) => findings.bad(&format!("{directory} {complaint}")),
            None => good(&format!("{directory} asegura un dato en {} µs.", took.as_micros())),
        },
    }
    match Inspector::open(&config.data_dir) {
        Ok(None) => good("Todavía no hay búfer; el primer arranque lo crea."),
        Ok(Some(inspector)) => match inspector.list(Which::Dead, 1) {
            Ok(dead) if dead.is_empty() => good("No hay cartas muertas."),
            Ok(_) => findings.bad("Hay cartas muertas: véalas con `trastienda-agent queue list dead`."),
            Err(error) => findings.bad(&format!("El búfer no se puede leer: {error}")),
        },
        Err(error) => findings.bad(&format!("El búfer no se puede leer: {error}")),
    }
}

/// What to say of a disk that takes so long to bring a page to safety, if it is too long.
fn slowness(took: Duration) -> Option<String> {
    (took > SYNC_SLOW).then(|| {
        format!(
            "tarda {} ms en asegurar un dato, y cada llamada espera eso: use otro disco, o \
             TRASTIENDA_DURABILITY=process",
            took.as_millis()
        )
    })
}

/// The middle one of a few writes of a page, each brought to the disk.
fn time_a_sync(directory: &std::path::Path) -> std::io::Result<Duration> {
    use std::io::Write as _;
    std::fs::create_dir_all(directory)?;
    let path = directory.join("doctor.tmp");
    let mut file = std::fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..9 {
        let since = Instant::now();
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        times.push(since.elapsed());
    }
    std::fs::remove_file(&path)?;
    times.sort();
    Ok(times[times.len() / 2])
}

async fn agent(config: &Config, findings: &mut Findings) {
    let socket = config.socket.display();
    match local_client::status(&config.socket).await {
        Ok(status) => {
            good(&format!("El agente responde en {socket} (versión {}).", status.agent.version));
            if status.damaged_databases > 0 {
                findings
                    .bad("Hay bases dañadas: `trastienda-agent queue recover` trae lo que se pueda leer.");
            }
            if status.full_percent >= 70 {
                findings.bad(&format!("El búfer está al {} % de su límite.", status.full_percent));
            }
        }
        Err(error) => findings.bad(&format!("Nadie responde en {socket}: {error}")),
    }
}

async fn hub(config: &Config, findings: &mut Findings) {
    let hub = match Hub::new(&config.hub_url, &config.api_key, config.hub_ca.as_deref()) {
        Ok(hub) => hub,
        Err(error) => return findings.bad(&format!("No se puede preparar la conexión al hub: {error}")),
    };
    let clock = SystemClock;
    let (sent, answered) = (clock.now(), hub.project(&clock).await);
    match answered {
        Ok((id, project)) => {
            let name = project["name"].as_str().unwrap_or_default().to_owned();
            good(&format!("El hub acepta la clave: proyecto {id} ({name})."));
            if let Some(skew) = hub.clock_skew(&clock).await
                && skew.abs() > chrono::TimeDelta::minutes(2)
            {
                findings.bad(&format!(
                    "El reloj de esta máquina difiere {} s del del hub: sincronícelo.",
                    skew.num_seconds()
                ));
            }
        }
        Err(HubError::Refused { status: 401, .. }) => {
            findings.bad("El hub RECHAZA la clave: revise TRASTIENDA_API_KEY.");
        }
        Err(HubError::Refused { status: 403, .. }) => {
            findings.bad("El proyecto está inactivo en el hub.");
        }
        Err(error) => findings.bad(&format!(
            "El hub en {} no responde ({error}) tras {} ms; mientras tanto todo se guarda aquí.",
            config.hub_url,
            (clock.now() - sent).num_milliseconds()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disk_that_calls_would_feel_is_complained_of() {
        assert_eq!(slowness(SYNC_SLOW), None);
        let complaint = slowness(Duration::from_millis(45)).unwrap();
        assert!(complaint.contains("45 ms") && complaint.contains("TRASTIENDA_DURABILITY=process"));
    }
}
