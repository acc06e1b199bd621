//! Rendering: MiniJinja with no loader, no includes from elsewhere, a fixed amount of fuel and strict variables.
//!
//! Only the HTML part escapes; a subject becomes one line, whatever was put into it. All variables that are
//! missing are told at once, by the pointer at which the caller would have written them.

pub(crate) mod compile;
mod dates;
mod filters;
#[cfg(test)]
mod fuzz;
mod missing;
mod money;
mod plain;

use chrono_tz::Tz;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};
use trastienda_protocol::problem::FieldError;

pub(crate) use plain::text_of_html;

/// Work that one part may cost: about as many instructions, or 64 bytes of output each.
const FUEL: u64 = 200_000;
const DEPTH: usize = 100;
/// Characters of a rendered part.
const PART_MAX: usize = 1_000_000;
/// Characters of a subject: what a header line can hold.
const SUBJECT_MAX: usize = 998;

/// A template's parts, as they were written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) subject: Option<&'a str>,
    pub(crate) html: Option<&'a str>,
    pub(crate) text: Option<&'a str>,
}

/// How amounts and times are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    pub(crate) locale: &'a str,
    pub(crate) time_zone: Tz,
}

/// A message, ready to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) subject: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) text: Option<String>,
}

impl<'a> Parts<'a> {
    // The names' endings decide what is escaped.
    fn named(self) -> [(&'static str, &'static str, Option<&'a str>); 3] {
        [
            ("subject", "subject.txt", self.subject),
            ("html", "body.html", self.html),
            ("text", "body.txt", self.text),
        ]
    }
}

/// What is wrong with the parts themselves, each with its line.
pub(crate) fn check_syntax(parts: Parts<'_>) -> Vec<FieldError> {
    let environment = environment(Manner { locale: "es", time_zone: Tz::UTC });
    let wrong = parts.named().into_iter().filter_map(|(field, name, source)| {
        let error = environment.template_from_named_str(name, source?).err()?;
        Some(FieldError::new(format!("/{field}"), explain(&error)))
    });
    wrong.collect()
}

/// The variables that the parts speak of, whether or not they can do without, sorted; not the hub's own.
pub(crate) fn variables(parts: Parts<'_>) -> Vec<String> {
    let environment = environment(Manner { locale: "es", time_zone: Tz::UTC });
    let mut found = std::collections::BTreeSet::new();
    for (_, name, source) in parts.named() {
        if let Some(template) =
            source.and_then(|source| environment.template_from_named_str(name, source).ok())
        {
            found.extend(template.undeclared_variables(true));
        }
    }
    let globals: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
    let is_own = |name: &String| {
        let root = name.split('.').next().unwrap_or_default();
        root == "shop" || globals.contains(&root)
    };
    found.into_iter().filter(|name| !is_own(name)).collect()
}

/// Renders the parts with the caller's variables, which stand at `pointer` in its body, and the hub's own below them.
///
/// # Errors
/// Every variable that is missing, or what else the parts stumbled over.
pub(crate) fn render(
    parts: Parts<'_>,
    manner: Manner<'_>,
    pointer: &str,
    data: &Map<String, Value>,
    own: &Map<String, Value>,
) -> Result<Rendered, Vec<FieldError>> {
    let environment = environment(manner);
    let mut context = own.clone();
    context.extend(data.iter().map(|(name, value)| (name.clone(), value.clone())));
    let context = Value::Object(context);
    let mut errors: Vec<FieldError> = Vec::new();
    let mut part =
        |field: &str, name: &str, source: &str| match render_part(&environment, name, source, &context) {
            Ok(text) => Some(text),
            Err(error) => {
                let missing = missing::find(&environment, name, source, &context);
                if missing.is_empty() {
                    errors.push(FieldError::new(
                        pointer,
                        format!("does not fit the template's `{field}`: {}", explain(&error)),
                    ));
                }
                for path in missing {
                    let message = "is required by the template";
                    let error = FieldError::new(format!("{pointer}{path}"), message);
                    if !errors.contains(&error) {
                        errors.push(error);
                    }
                }
                None
            }
        };
    let [subject, html, text] =
        parts.named().map(|(field, name, source)| source.and_then(|source| part(field, name, source)));
    if errors.is_empty() {
        Ok(Rendered { subject: subject.map(|text| one_line(&text)), html, text })
    } else {
        Err(errors)
    }
}

fn render_part(
    environment: &Environment<'_>,
    name: &str,
    source: &str,
    context: &Value,
) -> Result<String, Error> {
    let context = minijinja::Value::from(minijinja::value::Serde(context));
    let text = environment.render_named_str(name, source, context)?;
    if text.len() > PART_MAX {
        return Err(Error::new(ErrorKind::WriteFailure, format!("it became longer than {PART_MAX} bytes")));
    }
    Ok(text)
}

fn environment(manner: Manner<'_>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    // Without it, errors would carry copies of the data.
    environment.set_debug(false);
    // A null is not a text: it would read "none" in somebody's mail.
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            return Err(Error::new(ErrorKind::UndefinedError, "is null"));
        }
        minijinja::escape_formatter(out, state, value)
    });
    filters::add(&mut environment, manner);
    environment
}

/// What went wrong and in which line, without the data.
fn explain(error: &Error) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    match error.detail() {
        Some(detail) => format!("{line}{}: {detail}", error.kind()),
        None => format!("{line}{}", error.kind()),
    }
}

/// A subject is one line: a line break in a variable must not begin another header.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(SUBJECT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts<'a>(subject: &'a str, html: &'a str) -> Parts<'a> {
        Parts { subject: Some(subject), html: Some(html), text: None }
    }

    fn try_render(parts: Parts<'_>, data: &Value) -> Result<Rendered, Vec<String>> {
        let data = data.as_object().unwrap();
        render(parts, Manner { locale: "es-AR", time_zone: Tz::UTC }, "/data", data, &Map::new())
            .map_err(|errors| errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn html_is_escaped_and_the_subject_is_not() {
        let data = json!({"name": "<script>alert('x')</script> & Cía"});
        let rendered =
            try_render(parts("Hola {{ name }}", "<p title=\"{{ name }}\">{{ name }}</p>"), &data).unwrap();
        assert!(!rendered.html.unwrap().contains("<script"));
        assert_eq!(rendered.subject.unwrap(), "Hola <script>alert('x')</script> & Cía");
    }

    #[test]
    fn a_line_break_in_a_variable_does_not_begin_a_header() {
        let data = json!({"name": "Ana\r\nBcc: x@example.com\u{85}\u{2028}y"});
        let rendered = try_render(parts("Hola {{ name }}", "x"), &data).unwrap();
        assert_eq!(rendered.subject.unwrap(), "Hola Ana Bcc: x@example.com y");
    }

    #[test]
    fn all_missing_variables_are_told_at_once() {
        let source = "{{ a }}{% for item in items %}{{ item.name }}{{ item.price }}{% endfor %}{{ shop.name }}{{ b | default('x') }}{% if c is defined %}{{ c }}{% endif %}{{ gone }}";
        let data = json!({"items": [{"name": "x", "price": 1}, {"price": null}], "shop": {}});
        assert_eq!(
            try_render(parts("{{ a }} {{ d }}", source), &data).unwrap_err(),
            [
                "/data/a",
                "/data/d",
                "/data/items/1/name",
                "/data/items/1/price",
                "/data/shop/name",
                "/data/gone"
            ]
        );
    }

    #[test]
    fn a_null_may_be_asked_for_but_not_printed() {
        assert_eq!(
            try_render(parts("{% if a %}x{% endif %}y", "x"), &json!({"a": null})).unwrap().subject.unwrap(),
            "y"
        );
        assert_eq!(try_render(parts("{{ a }}", "x"), &json!({"a": null})).unwrap_err(), ["/data/a"]);
    }

    #[test]
    fn endless_work_and_other_files_are_refused() {
        let loops = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        for source in [
            loops,
            "{% include '/etc/passwd' %}",
            "{% extends 'x' %}",
            "{{ a | nosuchfilter }}",
            "{{ a.b.c }}",
        ] {
            assert_eq!(
                try_render(parts("x", source), &json!({"a": "s"})).unwrap_err(),
                ["/data"],
                "{source}"
            );
        }
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let errors = check_syntax(parts("ok", "<p>\n{{ name }\n</p>"));
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].pointer, "/html");
        assert!(errors[0].message.starts_with("line 2: syntax error"), "{}", errors[0].message);
    }
}
