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

/// How one sort of alert reads: templates over its details.
struct Entry {
    name: &'static str,
    es: (&'static str, &'static str),
    en: (&'static str, &'static str),
}

/// By kind, and after a slash by what of that kind it is.
const ENTRIES: &[Entry] = &[
    Entry {
        name: "endpoint_disabled",
        es: (
            "Endpoint desactivado en {{ project_name }}",
            "{{ endpoint_id }} ({{ host }}) ya no recibe nada; sus entregas esperan, ninguna se pierde.",
        ),
        en: (
            "Endpoint disabled in {{ project_name }}",
            "{{ endpoint_id }} ({{ host }}) gets nothing any more; its deliveries wait, none is lost.",
        ),
    },
    Entry {
        name: "endpoint_failing",
        es: (
            "Un endpoint de {{ project_name }} falla",
            "{{ endpoint_id }} ({{ host }}) no acepta nada desde el {{ failing_since|default('?')|moment }}; va por el {{ percent }} % del camino a quedar desactivado.",
        ),
        en: (
            "An endpoint of {{ project_name }} fails",
            "{{ endpoint_id }} ({{ host }}) has taken nothing since {{ failing_since|default('?')|moment }}; it is {{ percent }} % of the way to being disabled.",
        ),
    },
    Entry {
        name: "queue_old/queue",
        es: (
            "La cola {{ queue }} no avanza",
            "Lo más viejo espera desde hace {{ (seconds or 0) // 60 }} min; por hacer: {{ due }}.",
        ),
        en: (
            "The queue {{ queue }} does not move",
            "The oldest has waited for {{ (seconds or 0) // 60 }} min; due: {{ due }}.",
        ),
    },
    Entry {
        name: "queue_old/agent",
        es: (
            "El agente de {{ project_name }} no logra enviar",
            "El agente {{ agent_id }} guarda {{ due }} llamadas; la más vieja espera desde hace {{ (seconds or 0) // 60 }} min. Nada se pierde.",
        ),
        en: (
            "The agent of {{ project_name }} cannot send",
            "The agent {{ agent_id }} keeps {{ due }} calls; the oldest has waited for {{ (seconds or 0) // 60 }} min. Nothing is lost.",
        ),
    },
    Entry {
        name: "provider_failing",
        es: (
            "{{ provider }} no responde bien a {{ project_name }}",
            "Falla desde el {{ failing_since|default('?')|moment }} ({{ failure }}). Los pagos esperan y se vuelven a consultar solos.",
        ),
        en: (
            "{{ provider }} does not answer {{ project_name }} well",
            "Failing since {{ failing_since|default('?')|moment }} ({{ failure }}). Payments wait and are asked about again by themselves.",
        ),
    },
    Entry {
        name: "agent_silent",
        es: (
            "El agente de {{ project_name }} no da señales",
            "El agente {{ agent_id }} habló por última vez el {{ seen_at|default('?')|moment }}.",
        ),
        en: (
            "The agent of {{ project_name }} is silent",
            "The agent {{ agent_id }} last spoke on {{ seen_at|default('?')|moment }}.",
        ),
    },
    Entry {
        name: "mail_account_failing",
        es: (
            "El correo de {{ project_name or 'hub' }} falla",
            "«{{ name }}» falló {{ failures }} veces seguidas; los correos esperan.",
        ),
        en: (
            "The mail of {{ project_name or 'hub' }} fails",
            "\"{{ name }}\" failed {{ failures }} times in a row; mails wait.",
        ),
    },
    Entry {
        name: "case_open",
        es: (
            "Un caso de pagos espera en {{ project_name }}",
            "{{ case_id }} ({{ case_kind }}), pedido {{ order_id or '?' }}.",
        ),
        en: (
            "A payment case waits in {{ project_name }}",
            "{{ case_id }} ({{ case_kind }}), order {{ order_id or '?' }}.",
        ),
    },
    Entry {
        name: "dead_letters/agent",
        es: (
            "Llamadas rechazadas en el agente de {{ project_name }}",
            "El agente {{ agent_id }} guarda {{ count }} llamadas que el hub rechazó para siempre.",
        ),
        en: (
            "Refused calls at the agent of {{ project_name }}",
            "The agent {{ agent_id }} keeps {{ count }} calls that the hub refused for good.",
        ),
    },
    Entry {
        name: "dead_letters/hub",
        es: (
            "Se rechazó algo que {{ project_name }} daba por enviado",
            "En 24 horas: {{ events }} eventos, {{ notifications }} notificaciones.",
        ),
        en: (
            "Something that {{ project_name }} took for sent was refused",
            "In 24 hours: {{ events }} events, {{ notifications }} notifications.",
        ),
    },
    Entry {
        name: "database_trouble/connections",
        es: ("A PostgreSQL se le acaban las conexiones", "En uso: {{ percent }} %."),
        en: ("PostgreSQL runs out of connections", "In use: {{ percent }} %."),
    },
    Entry {
        name: "database_trouble/wraparound",
        es: (
            "PostgreSQL se acerca al límite de transacciones",
            "La más vieja tiene {{ millions }} millones; a los 2147 deja de escribir. Falta un VACUUM.",
        ),
        en: (
            "PostgreSQL nears its limit of transactions",
            "The oldest is {{ millions }} million old; at 2147 it stops writing. A VACUUM is due.",
        ),
    },
    Entry {
        name: "database_trouble",
        es: (
            "La base de datos no responde",
            "Visto desde {{ host }} ({{ failure }}). Los agentes guardan lo que dicen las tiendas.",
        ),
        en: (
            "The database does not answer",
            "Seen from {{ host }} ({{ failure }}). Agents keep what shops say.",
        ),
    },
    Entry {
        name: "disk_full/refused",
        es: (
            "El disco de la base de datos está lleno",
            "PostgreSQL rechaza escribir, visto desde {{ host }}. Los agentes guardan lo que dicen las tiendas.",
        ),
        en: (
            "The database's disk is full",
            "PostgreSQL refuses to write, seen from {{ host }}. Agents keep what shops say.",
        ),
    },
    Entry {
        name: "disk_full",
        es: ("El disco de {{ host }} se llena", "Queda libre el {{ percent }} %."),
        en: ("The disk of {{ host }} fills up", "{{ percent }} % is free."),
    },
];

/// Which entry tells it.
fn name_of(kind: &str, details: &Value) -> String {
    let what = match kind {
        "queue_old" if details["queue"].is_string() => Some("queue"),
        "queue_old" => Some("agent"),
        "dead_letters" if details["agent_id"].is_string() => Some("agent"),
        "dead_letters" => Some("hub"),
        _ => details["what"].as_str(),
    };
    let named = what.map(|what| format!("{kind}/{what}"));
    named.filter(|name| ENTRIES.iter().any(|entry| entry.name == name)).unwrap_or_else(|| kind.to_owned())
}

/// An alert in words. A detail that is missing is left out: an older hub may have opened it.
pub(crate) fn of(row: &AlertRow, tongue: Tongue) -> Words {
    let name = name_of(&row.kind, &row.details);
    let Some(entry) = ENTRIES.iter().find(|entry| entry.name == name) else {
        return Words { title: row.kind.clone(), text: String::new() };
    };
    let (title, text) = if tongue == Tongue::Es { entry.es } else { entry.en };
    // Plain text: what shows it escapes it.
    let mut environment = minijinja::Environment::new();
    environment.add_filter("moment", move |text: String| moment(text, tongue));
    let render = |template: &str| {
        environment
            .render_str(template, minijinja::value::Serde(&row.details))
            .unwrap_or_else(|_| name.clone())
    };
    Words { title: render(title), text: render(text) }
}

/// A time as people write it, in UTC: a mail knows no zone.
fn moment(text: String, tongue: Tongue) -> String {
    let form = if tongue == Tongue::Es { "%d/%m %H:%M UTC" } else { "%b %-d %H:%M UTC" };
    trastienda_protocol::time::parse(&text).map_or(text, |at| at.format(form).to_string())
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
            let (subject, body) = mail(
                std::slice::from_ref(&row),
                std::slice::from_ref(&row),
                "https://hub.example.com/alerts",
            );
            assert!(subject.contains("1 alertas, 1 resueltas"), "{subject}");
            assert!(body.contains(&format!("Qué hacer:  docs/runbook/{}.md", kind.name)), "{body}");
            assert!(body.contains("RESUELTO: ") && body.contains("RECOVERED: "), "{body}");
        }
    }
}
