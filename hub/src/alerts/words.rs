//! How an alert reads, in both languages: made of its details alone, so that what was is told as it was.

use serde_json::Value;

use super::kinds::Kind;
use super::store::AlertRow;

/// What an alert says.
#[derive(Debug)]
pub(crate) struct Words {
    /// In a line.
    pub(crate) title: String,
    /// What it means, in a sentence or two.
    pub(crate) text: String,
}

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    Es,
    En,
}

/// An alert in words.
pub(crate) fn of(row: &AlertRow, tongue: Tongue) -> Words {
    let details = &row.details;
    let es = tongue == Tongue::Es;
    let text = |name: &str| details[name].as_str().unwrap_or("?");
    let number = |name: &str| details[name].as_i64().unwrap_or(0);
    let (shop, agent) = (text("project_name"), text("agent_id"));
    let pick = |spanish: String, english: String| if es { spanish } else { english };
    let (title, body) = match row.kind.as_str() {
        "endpoint_disabled" => (
            pick(format!("Endpoint desactivado en {shop}"), format!("Endpoint disabled in {shop}")),
            pick(
                format!(
                    "{} ({}) ya no recibe nada; sus entregas esperan, ninguna se pierde.",
                    text("endpoint_id"),
                    text("host")
                ),
                format!(
                    "{} ({}) gets nothing any more; its deliveries wait, none is lost.",
                    text("endpoint_id"),
                    text("host")
                ),
            ),
        ),
        "endpoint_failing" => (
            pick(format!("Un endpoint de {shop} falla"), format!("An endpoint of {shop} fails")),
            pick(
                format!(
                    "{} ({}) no acepta nada desde {}; va por el {} % del camino a quedar desactivado.",
                    text("endpoint_id"),
                    text("host"),
                    text("failing_since"),
                    number("percent")
                ),
                format!(
                    "{} ({}) has taken nothing since {}; it is {} % of the way to being disabled.",
                    text("endpoint_id"),
                    text("host"),
                    text("failing_since"),
                    number("percent")
                ),
            ),
        ),
        "queue_old" if details["queue"].is_string() => (
            pick(
                format!("La cola {} no avanza", text("queue")),
                format!("The queue {} does not move", text("queue")),
            ),
            pick(
                format!(
                    "Lo más viejo espera desde hace {} min; por hacer: {}.",
                    number("seconds") / 60,
                    number("due")
                ),
                format!("The oldest has waited for {} min; due: {}.", number("seconds") / 60, number("due")),
            ),
        ),
        "queue_old" => (
            pick(format!("El agente de {shop} no logra enviar"), format!("The agent of {shop} cannot send")),
            pick(
                format!(
                    "El agente {agent} guarda {} llamadas; la más vieja espera desde hace {} min. Nada se pierde.",
                    number("due"),
                    number("seconds") / 60
                ),
                format!(
                    "The agent {agent} keeps {} calls; the oldest has waited for {} min. Nothing is lost.",
                    number("due"),
                    number("seconds") / 60
                ),
            ),
        ),
        "provider_failing" => (
            pick(
                format!("{} no responde bien a {shop}", text("provider")),
                format!("{} does not answer {shop} well", text("provider")),
            ),
            pick(
                format!(
                    "Falla desde {} ({}). Los pagos esperan y se vuelven a consultar solos.",
                    text("failing_since"),
                    text("failure")
                ),
                format!(
                    "Failing since {} ({}). Payments wait and are asked about again by themselves.",
                    text("failing_since"),
                    text("failure")
                ),
            ),
        ),
        "agent_silent" => (
            pick(format!("El agente de {shop} no da señales"), format!("The agent of {shop} is silent")),
            pick(
                format!("El agente {agent} habló por última vez a las {}.", text("seen_at")),
                format!("The agent {agent} last spoke at {}.", text("seen_at")),
            ),
        ),
        "mail_account_failing" => {
            let whose = if details["project_name"].is_string() { shop } else { "hub" };
            (
                pick(format!("El correo de {whose} falla"), format!("The mail of {whose} fails")),
                pick(
                    format!(
                        "«{}» falló {} veces seguidas; los correos esperan.",
                        text("name"),
                        number("failures")
                    ),
                    format!("\"{}\" failed {} times in a row; mails wait.", text("name"), number("failures")),
                ),
            )
        }
        "case_open" => (
            pick(format!("Un caso de pagos espera en {shop}"), format!("A payment case waits in {shop}")),
            pick(
                format!("{} ({}), pedido {}.", text("case_id"), text("case_kind"), text("order_id")),
                format!("{} ({}), order {}.", text("case_id"), text("case_kind"), text("order_id")),
            ),
        ),
        "dead_letters" if details["agent_id"].is_string() => (
            pick(
                format!("Llamadas rechazadas en el agente de {shop}"),
                format!("Refused calls at the agent of {shop}"),
            ),
            pick(
                format!(
                    "El agente {agent} guarda {} llamadas que el hub rechazó para siempre.",
                    number("count")
                ),
                format!("The agent {agent} keeps {} calls that the hub refused for good.", number("count")),
            ),
        ),
        "dead_letters" => (
            pick(
                format!("Se rechazó algo que {shop} daba por enviado"),
                format!("Something that {shop} took for sent was refused"),
            ),
            pick(
                format!(
                    "En 24 horas: {} eventos, {} notificaciones.",
                    number("events"),
                    number("notifications")
                ),
                format!(
                    "In 24 hours: {} events, {} notifications.",
                    number("events"),
                    number("notifications")
                ),
            ),
        ),
        "database_trouble" => database(details, es),
        "disk_full" if details["what"] == "refused" => (
            pick(
                "El disco de la base de datos está lleno".to_owned(),
                "The database's disk is full".to_owned(),
            ),
            pick(
                format!(
                    "PostgreSQL rechaza escribir, visto desde {}. Los agentes guardan lo que dicen las tiendas.",
                    text("host")
                ),
                format!(
                    "PostgreSQL refuses to write, seen from {}. Agents keep what shops say.",
                    text("host")
                ),
            ),
        ),
        "disk_full" => (
            pick(
                format!("El disco de {} se llena", text("host")),
                format!("The disk of {} fills up", text("host")),
            ),
            pick(
                format!("Queda libre el {} %.", number("percent")),
                format!("{} % is free.", number("percent")),
            ),
        ),
        other => (other.to_owned(), String::new()),
    };
    Words { title, text: body }
}

fn database(details: &Value, es: bool) -> (String, String) {
    let pick = |spanish: String, english: String| if es { spanish } else { english };
    let (number, text) = (
        |name: &str| details[name].as_i64().unwrap_or(0),
        |name: &str| details[name].as_str().unwrap_or("?"),
    );
    match text("what") {
        "connections" => (
            pick(
                "A PostgreSQL se le acaban las conexiones".to_owned(),
                "PostgreSQL runs out of connections".to_owned(),
            ),
            pick(format!("En uso: {} %.", number("percent")), format!("In use: {} %.", number("percent"))),
        ),
        "wraparound" => (
            pick(
                "PostgreSQL se acerca al límite de transacciones".to_owned(),
                "PostgreSQL nears its limit of transactions".to_owned(),
            ),
            pick(
                format!(
                    "La más vieja tiene {} millones; a los 2147 deja de escribir. Falta un VACUUM.",
                    number("millions")
                ),
                format!(
                    "The oldest is {} million old; at 2147 it stops writing. A VACUUM is due.",
                    number("millions")
                ),
            ),
        ),
        _ => (
            pick("La base de datos no responde".to_owned(), "The database does not answer".to_owned()),
            pick(
                format!(
                    "Visto desde {} ({}). Los agentes guardan lo que dicen las tiendas.",
                    text("host"),
                    text("failure")
                ),
                format!("Seen from {} ({}). Agents keep what shops say.", text("host"), text("failure")),
            ),
        ),
    }
}

/// A mail about what opened and what is over.
pub(crate) fn mail(opened: &[AlertRow], recovered: &[AlertRow], address: &str) -> (String, String) {
    let title = |row: &AlertRow| of(row, Tongue::Es).title;
    let subject = match (opened, recovered) {
        ([one], []) => title(one),
        ([], [one]) => format!("resuelto: {}", title(one)),
        (opened, []) => format!("{} alertas", opened.len()),
        ([], recovered) => format!("{} alertas resueltas", recovered.len()),
        (opened, recovered) => format!("{} alertas, {} resueltas", opened.len(), recovered.len()),
    };
    let part = |tongue: Tongue| {
        let es = tongue == Tongue::Es;
        let mut lines = Vec::new();
        for (row, is_open) in
            opened.iter().map(|row| (row, true)).chain(recovered.iter().map(|row| (row, false)))
        {
            let words = of(row, tongue);
            let mark = match (is_open, es) {
                (true, true) => "ALERTA",
                (true, false) => "ALERT",
                (false, true) => "RESUELTO",
                (false, false) => "RECOVERED",
            };
            lines.push(format!("{mark}: {}\n{}", words.title, words.text));
            if let Some(kind) = Kind::find(&row.kind).filter(|_| is_open) {
                let what = if es { "Qué hacer" } else { "What to do" };
                lines.push(format!("{what}:  {}", kind.runbook()));
            }
            lines.push(String::new());
        }
        let panel = if es { "Panel" } else { "Dashboard" };
        lines.push(format!("{panel}:  {address}"));
        lines.join("\n")
    };
    (format!("Trastienda: {subject}"), format!("{}\n\n--\n{}\n", part(Tongue::Es), part(Tongue::En)))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::super::kinds::KINDS;
    use super::*;

    #[test]
    fn every_kind_has_words_in_both_languages() {
        for kind in KINDS {
            let row = AlertRow {
                id: uuid::Uuid::nil(),
                kind: kind.name.to_owned(),
                project_id: None,
                subject: String::new(),
                details: json!({"project_name": "Mates"}),
                opened_at: DateTime::UNIX_EPOCH,
                cleared_at: None,
                recovered_at: None,
            };
            let (es, en) = (of(&row, Tongue::Es), of(&row, Tongue::En));
            assert!(es.title != kind.name && es.title != en.title && es.text != en.text, "{}", kind.name);
            let (subject, body) = mail(&[row.clone()], &[row], "https://hub.example.com/alerts");
            assert!(subject.contains("1 alertas, 1 resueltas"), "{subject}");
            assert!(body.contains(&format!("Qué hacer:  docs/runbook/{}.md", kind.name)), "{body}");
            assert!(body.contains("RESUELTO: ") && body.contains("RECOVERED: "), "{body}");
        }
    }
}
