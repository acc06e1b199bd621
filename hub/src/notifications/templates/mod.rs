//! Templates: named, per channel and locale, in versions that never change once made.
//!
//! Invariants:
//! - A name's versions are numbered without gaps; at most one version of a name, channel and locale is active, and
//!   only one that renders with its sample. Every activation is kept, with who and when.
//! - MJML and stylesheets are compiled when a version is made; rendering only fills in variables.
//! - A project starts with the templates that come with the hub ([`builtin`]), without a row; the first version of a
//!   project's own takes their place for its name and channel.
//! - A locale falls back: `es-AR`, `es`, then the project's default. Who asks for none gets the default, or the only one
//!   that there is.

pub(crate) mod builtin;
mod diff;
mod model;
pub mod routes;

use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use trastienda_protocol::ids::ProjectId;
use trastienda_protocol::notification::Channel;

pub use model::{Activated, Preview, Template, TemplateBody};

use super::render::Parts;
use super::store::{self, TemplateRow};
use crate::http::{Error, Result};
use crate::projects::model::Project;

/// The locale of a template that does not say, and of a project that does not either.
pub(crate) const DEFAULT_LOCALE: &str = "es";

/// A version to be rendered.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) version: i32,
    pub(crate) locale: String,
    pub(crate) subject: Option<String>,
    /// As it was written, if it was.
    pub(crate) mjml: Option<String>,
    /// As it is rendered.
    pub(crate) html: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) sample: Value,
}

impl Found {
    /// Its parts, to be rendered.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts { subject: self.subject.as_deref(), html: self.html.as_deref(), text: self.text.as_deref() }
    }
}

impl From<TemplateRow> for Found {
    fn from(row: TemplateRow) -> Self {
        Self {
            version: row.version,
            locale: row.locale,
            subject: row.subject,
            mjml: row.mjml,
            html: row.compiled_html.or(row.html),
            text: row.text,
            sample: row.sample,
        }
    }
}

/// Which version is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) channel: Channel,
    pub(crate) version: Option<i32>,
    pub(crate) locale: Option<&'a str>,
    /// The project's, where the others end.
    pub(crate) default_locale: &'a str,
}

/// Finds the version that a notification is rendered with: the one that is named, or the active one.
pub(crate) async fn lookup(conn: &mut PgConnection, project: ProjectId, wanted: Wanted<'_>) -> Result<Found> {
    let Wanted { name, channel, version, locale, default_locale } = wanted;
    if let Some(version) = version {
        let row = store::find_version(conn, project, name, version).await?;
        return row.filter(|row| row.channel == channel.as_str()).map(Found::from).ok_or_else(|| {
            let message = format!("there is no version {version} of `{name}` for {}", channel.as_str());
            Error::field("/template_version", message)
        });
    }
    let chain = fallbacks(locale, default_locale);
    let mut active = store::list_active(conn, project, name, Some(channel.as_str())).await?;
    if active.is_empty() {
        if let Some(found) = builtin::find(name, channel, &with_spanish(chain)) {
            return Ok(found);
        }
        let channel = channel.as_str();
        let message = match store::find_newest(conn, project, name, channel).await? {
            Some(version) => format!(
                "`{name}` has drafts for {channel} and no active version: POST /v1/templates/{name}/activate {{\"version\": {version}}} says what its sample lacks"
            ),
            None => format!("there is no template `{name}` for {channel}"),
        };
        return Err(Error::field("/template", message));
    }
    if let Some(index) = pick(&active, locale, default_locale) {
        return Ok(active.swap_remove(index).into());
    }
    let there: Vec<&str> = active.iter().map(|row| row.locale.as_str()).collect();
    let message = format!("`{name}` is there in `{}`, not in `{}`", there.join("`, `"), chain.join("`, `"));
    Err(Error::field("/locale", message))
}

/// Which of a name's active versions a locale is served with.
fn pick(active: &[TemplateRow], locale: Option<&str>, default_locale: &str) -> Option<usize> {
    let chain = fallbacks(locale, default_locale);
    let found = chain.iter().find_map(|locale| active.iter().position(|row| row.locale == *locale));
    found.or_else(|| (locale.is_none() && active.len() == 1).then_some(0))
}

/// The locales to look for, in order.
fn fallbacks<'a>(locale: Option<&'a str>, default_locale: &'a str) -> Vec<&'a str> {
    let mut chain = Vec::new();
    for locale in [locale, Some(default_locale)].into_iter().flatten() {
        for locale in [locale, locale.split('-').next().unwrap_or(locale)] {
            if !chain.contains(&locale) {
                chain.push(locale);
            }
        }
    }
    chain
}

/// What comes with the hub comes in Spanish in any case.
fn with_spanish(mut chain: Vec<&str>) -> Vec<&str> {
    chain.push(DEFAULT_LOCALE);
    chain
}

/// The variables that every template may use; the caller's own come before them.
pub(crate) fn own_variables(project: &Project) -> Map<String, Value> {
    let mut own = Map::new();
    own.insert("shop".to_owned(), json!({"name": project.name, "domain": project.domain}));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_fall_back_to_the_language_and_then_to_the_projects_own() {
        assert_eq!(fallbacks(Some("pt-BR"), "es"), ["pt-BR", "pt", "es"]);
        assert_eq!(fallbacks(Some("es-AR"), "es"), ["es-AR", "es"]);
        assert_eq!(fallbacks(None, "pt-BR"), ["pt-BR", "pt"]);
        assert_eq!(fallbacks(Some("en"), "es-MX"), ["en", "es-MX", "es"]);
    }
}
