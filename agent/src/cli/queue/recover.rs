//! `queue recover`: gets back what damaged databases still hold.

use std::fmt::Write as _;

use super::{Complaint, Place, one, say};
use crate::local_client;
use crate::recover::{Report, recover};

pub(super) async fn run(place: &Place) -> Result<(), Complaint> {
    let socket = place.socket();
    let reports = match local_client::recover(&socket).await {
        Ok(Some(reports)) => reports,
        Ok(None) => place.open(|buffer| async move { recover(&buffer).await }).await?,
        Err(error) => return Err(vec![format!("El agente en {} no pudo: {error}", socket.display())]),
    };
    if place.json {
        say(&serde_json::to_string(&reports).map_err(one)?);
    } else {
        say(&describe(&reports));
    }
    Ok(())
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
        for id in &report.lost {
            let _ = writeln!(text, "  ilegible: {id}");
        }
    }
    text.trim_end().to_owned()
}
