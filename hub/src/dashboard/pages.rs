//! Pages: MiniJinja, with both languages in every template: `t("español", "English")`.
//!
//! The engine is the one that renders the shops' mail. Its templates are parsed when the hub starts, HTML is escaped by
//! default, and a variable that is not there is an error, not an empty place. There is an environment per language.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Lang {
    #[default]
    Es,
    En,
}

impl Lang {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("pages/", $name)))),*] };
}

const SOURCES: &[(&str, &str)] = sources![
    "account.html",
    "alerts.html",
    "audit.html",
    "base.html",
    "cases.html",
    "charts.html",
    "deliveries.html",
    "delivery.html",
    "endpoint.html",
    "endpoints.html",
    "error.html",
    "event.html",
    "events.html",
    "login.html",
    "macros.html",
    "notification.html",
    "notifications.html",
    "overview.html",
    "payment.html",
    "payments.html",
    "preview.html",
    "saved.html",
    "secret.html",
    "settings.html",
    "shop.html",
    "template.html",
    "templates.html",
    "whatsapp.html",
];

/// The pages.
pub(super) struct Pages {
    es: Environment<'static>,
    en: Environment<'static>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self { es: environment(Lang::Es), en: environment(Lang::En) }
    }

    pub(super) fn render(&self, lang: Lang, name: &str, context: &impl Serialize) -> anyhow::Result<String> {
        let environment = match lang {
            Lang::Es => &self.es,
            Lang::En => &self.en,
        };
        let rendered = environment.get_template(name)?.render(Value::from(Serde(context)));
        // With the line and the chain: what is wrong is in our own template.
        rendered.map_err(|error| anyhow::anyhow!("{name}: {error:#}"))
    }
}

fn environment(lang: Lang) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // What the API gives as null is an empty place.
    environment.set_formatter(|out, state, value| {
        if value.is_none() { Ok(()) } else { minijinja::escape_formatter(out, state, value) }
    });
    environment.add_function("t", move |es: String, en: String| match lang {
        Lang::Es => es,
        Lang::En => en,
    });
    environment.add_filter("time", move |text: String| time(lang, &text));
    environment.add_filter("ago", move |text: String, now: String| ago(lang, &text, &now));
    environment.add_filter("count", count);
    environment.add_filter("pretty", pretty);
    environment.add_filter("part", part);
    // Each is parsed when it is first shown: an idle hub has no use for them.
    environment.set_loader(|name| {
        let source = SOURCES.iter().find(|(known, _)| *known == name);
        Ok(source.map(|(_, source)| (*source).to_owned()))
    });
    environment
}

const MONTHS: [[&str; 12]; 2] = [
    ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"],
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
];

fn read(text: &str) -> Result<chrono::DateTime<chrono::Utc>, Error> {
    trastienda_protocol::time::parse(text).map_err(|message| Error::new(ErrorKind::InvalidOperation, message))
}

/// A time as an element that the script turns to the reader's own zone; without it, in UTC.
fn time(lang: Lang, text: &str) -> Result<Value, Error> {
    use chrono::{Datelike as _, Timelike as _};
    let at = read(text)?;
    let month =
        usize::try_from(at.month0()).ok().and_then(|month| MONTHS[usize::from(lang == Lang::En)].get(month));
    let (day, month, year) = (at.day(), month.copied().unwrap_or_default(), at.year());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    // Made of numbers and our own words alone.
    Ok(Value::from_safe_string(format!(
        r#"<time datetime="{iso}" title="{iso}">{day} {month} {year} {hour:02}:{minute:02}:{second:02}</time>"#,
        iso = trastienda_protocol::time::format(at),
    )))
}

fn ago(lang: Lang, text: &str, now: &str) -> Result<String, Error> {
    let seconds = (read(now)? - read(text)?).num_seconds().max(0);
    let (number, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, if lang == Lang::Es { "días" } else { "days" }),
    };
    Ok(match lang {
        Lang::Es => format!("hace {number} {unit}"),
        Lang::En => format!("{number} {unit} ago"),
    })
}

/// A number with its thousands apart.
fn count(number: f64) -> String {
    let text = format!("{number:.0}");
    let digits = text.trim_start_matches('-');
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    if text.starts_with('-') { format!("-{out}") } else { out }
}

/// JSON to be read.
fn pretty(value: Value) -> Result<String, Error> {
    serde_json::to_string_pretty(&value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// A part of an address, escaped.
fn part(text: String) -> String {
    percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_are_read_at_a_glance() {
        assert_eq!([count(0.0), count(999.0), count(1_234_567.0)], ["0", "999", "1\u{202f}234\u{202f}567"]);
        let ago = |text| ago(Lang::Es, text, "2026-11-24T12:00:00Z").unwrap();
        assert_eq!(ago("2026-11-24T11:59:48Z"), "hace 12 s");
        assert_eq!(ago("2026-11-20T12:00:00Z"), "hace 4 días");
    }

    #[test]
    fn every_page_parses() {
        let pages = Pages::new();
        for (name, _) in SOURCES {
            pages.es.get_template(name).unwrap();
            pages.en.get_template(name).unwrap();
        }
    }
}
