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
    let telling = Telling { details: &row.details, tongue };
    let (title, text) = match row.kind.as_str() {
        "endpoint_disabled" | "endpoint_failing" => telling.endpoint(&row.kind),
        "queue_old" => telling.queue(),
        "provider_failing" => telling.provider(),
        "agent_silent" => telling.agent(),
        "mail_account_failing" => telling.mail_account(),
        "case_open" => telling.case(),
        "dead_letters" => telling.dead_letters(),
        "database_trouble" => telling.database(),
        "disk_full" => telling.disk(),
        other => (other.to_owned(), String::new()),
    };
    Words { title, text }
}

/// The details of an alert, to be told in a language: as a title and a text.
#[derive(Clone, Copy)]
struct Telling<'a> {
    details: &'a Value,
    tongue: Tongue,
}

impl<'a> Telling<'a> {
    fn text(self, name: &str) -> &'a str {
        self.details[name].as_str().unwrap_or("?")
    }

    /// A time as people write it, in UTC: a mail knows no zone.
    fn time(self, name: &str) -> String {
        let Ok(at) = trastienda_protocol::time::parse(self.text(name)) else { return "?".to_owned() };
        self.pick(at.format("%d/%m %H:%M UTC").to_string(), at.format("%b %-d %H:%M UTC").to_string())
    }

    fn number(self, name: &str) -> i64 {
        self.details[name].as_i64().unwrap_or(0)
    }

    fn pick(self, spanish: String, english: String) -> String {
        if self.tongue == Tongue::Es { spanish } else { english }
    }

    fn endpoint(self, kind: &str) -> (String, String) {
        let (shop, id, host) = (self.text("project_name"), self.text("endpoint_id"), self.text("host"));
        if kind == "endpoint_disabled" {
            return (
                self.pick(format!("Endpoint desactivado en {shop}"), format!("Endpoint disabled in {shop}")),
                self.pick(
                    format!("{id} ({host}) ya no recibe nada; sus entregas esperan, ninguna se pierde."),
                    format!("{id} ({host}) gets nothing any more; its deliveries wait, none is lost."),
                ),
            );
        }
        let (since, percent) = (self.time("failing_since"), self.number("percent"));
        (
            self.pick(format!("Un endpoint de {shop} falla"), format!("An endpoint of {shop} fails")),
            self.pick(
                format!("{id} ({host}) no acepta nada desde el {since}; va por el {percent} % del camino a quedar desactivado."),
                format!("{id} ({host}) has taken nothing since {since}; it is {percent} % of the way to being disabled."),
            ),
        )
    }

    fn queue(self) -> (String, String) {
        let (minutes, due) = (self.number("seconds") / 60, self.number("due"));
        if self.details["queue"].is_string() {
            let queue = self.text("queue");
            return (
                self.pick(format!("La cola {queue} no avanza"), format!("The queue {queue} does not move")),
                self.pick(
                    format!("Lo más viejo espera desde hace {minutes} min; por hacer: {due}."),
                    format!("The oldest has waited for {minutes} min; due: {due}."),
                ),
            );
        }
        let (shop, agent) = (self.text("project_name"), self.text("agent_id"));
        (
            self.pick(format!("El agente de {shop} no logra enviar"), format!("The agent of {shop} cannot send")),
            self.pick(
                format!("El agente {agent} guarda {due} llamadas; la más vieja espera desde hace {minutes} min. Nada se pierde."),
                format!("The agent {agent} keeps {due} calls; the oldest has waited for {minutes} min. Nothing is lost."),
            ),
        )
    }

    fn provider(self) -> (String, String) {
        let (shop, provider) = (self.text("project_name"), self.text("provider"));
        let (since, failure) = (self.time("failing_since"), self.text("failure"));
        (
            self.pick(
                format!("{provider} no responde bien a {shop}"),
                format!("{provider} does not answer {shop} well"),
            ),
            self.pick(
                format!("Falla desde el {since} ({failure}). Los pagos esperan y se vuelven a consultar solos."),
                format!("Failing since {since} ({failure}). Payments wait and are asked about again by themselves."),
            ),
        )
    }

    fn agent(self) -> (String, String) {
        let (shop, agent, seen) = (self.text("project_name"), self.text("agent_id"), self.time("seen_at"));
        (
            self.pick(format!("El agente de {shop} no da señales"), format!("The agent of {shop} is silent")),
            self.pick(
                format!("El agente {agent} habló por última vez el {seen}."),
                format!("The agent {agent} last spoke on {seen}."),
            ),
        )
    }

    fn mail_account(self) -> (String, String) {
        let (name, failures) = (self.text("name"), self.number("failures"));
        let whose = if self.details["project_name"].is_string() { self.text("project_name") } else { "hub" };
        (
            self.pick(format!("El correo de {whose} falla"), format!("The mail of {whose} fails")),
            self.pick(
                format!("«{name}» falló {failures} veces seguidas; los correos esperan."),
                format!("\"{name}\" failed {failures} times in a row; mails wait."),
            ),
        )
    }

    fn case(self) -> (String, String) {
        let (shop, id) = (self.text("project_name"), self.text("case_id"));
        let (kind, order) = (self.text("case_kind"), self.text("order_id"));
        (
            self.pick(
                format!("Un caso de pagos espera en {shop}"),
                format!("A payment case waits in {shop}"),
            ),
            self.pick(format!("{id} ({kind}), pedido {order}."), format!("{id} ({kind}), order {order}.")),
        )
    }

    fn dead_letters(self) -> (String, String) {
        let shop = self.text("project_name");
        if self.details["agent_id"].is_string() {
            let (agent, count) = (self.text("agent_id"), self.number("count"));
            return (
                self.pick(
                    format!("Llamadas rechazadas en el agente de {shop}"),
                    format!("Refused calls at the agent of {shop}"),
                ),
                self.pick(
                    format!("El agente {agent} guarda {count} llamadas que el hub rechazó para siempre."),
                    format!("The agent {agent} keeps {count} calls that the hub refused for good."),
                ),
            );
        }
        let (events, notifications) = (self.number("events"), self.number("notifications"));
        (
            self.pick(
                format!("Se rechazó algo que {shop} daba por enviado"),
                format!("Something that {shop} took for sent was refused"),
            ),
            self.pick(
                format!("En 24 horas: {events} eventos, {notifications} notificaciones."),
                format!("In 24 hours: {events} events, {notifications} notifications."),
            ),
        )
    }

    fn disk(self) -> (String, String) {
        let (host, percent) = (self.text("host"), self.number("percent"));
        if self.details["what"] == "refused" {
            return (
                self.pick(
                    "El disco de la base de datos está lleno".to_owned(),
                    "The database's disk is full".to_owned(),
                ),
                self.pick(
                    format!("PostgreSQL rechaza escribir, visto desde {host}. Los agentes guardan lo que dicen las tiendas."),
                    format!("PostgreSQL refuses to write, seen from {host}. Agents keep what shops say."),
                ),
            );
        }
        (
            self.pick(format!("El disco de {host} se llena"), format!("The disk of {host} fills up")),
            self.pick(format!("Queda libre el {percent} %."), format!("{percent} % is free.")),
        )
    }

    fn database(self) -> (String, String) {
        match self.text("what") {
            "connections" => {
                let percent = self.number("percent");
                (
                    self.pick(
                        "A PostgreSQL se le acaban las conexiones".to_owned(),
                        "PostgreSQL runs out of connections".to_owned(),
                    ),
                    self.pick(format!("En uso: {percent} %."), format!("In use: {percent} %.")),
                )
            }
            "wraparound" => {
                let millions = self.number("millions");
                (
                    self.pick(
                        "PostgreSQL se acerca al límite de transacciones".to_owned(),
                        "PostgreSQL nears its limit of transactions".to_owned(),
                    ),
                    self.pick(
                        format!("La más vieja tiene {millions} millones; a los 2147 deja de escribir. Falta un VACUUM."),
                        format!("The oldest is {millions} million old; at 2147 it stops writing. A VACUUM is due."),
                    ),
                )
            }
            _ => {
                let (host, failure) = (self.text("host"), self.text("failure"));
                (
                    self.pick(
                        "La base de datos no responde".to_owned(),
                        "The database does not answer".to_owned(),
                    ),
                    self.pick(
                        format!(
                            "Visto desde {host} ({failure}). Los agentes guardan lo que dicen las tiendas."
                        ),
                        format!("Seen from {host} ({failure}). Agents keep what shops say."),
                    ),
                )
            }
        }
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
