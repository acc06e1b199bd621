//! Who is told of what, from when on: the variables, and over them what was set on the dashboard.

use std::collections::BTreeMap;

use lettre::message::Mailbox;
use sqlx::PgConnection;
use trastienda_protocol::webhook::Secret;
use url::Url;

use super::kinds::{KINDS, Kind};
use super::store;
use crate::app::App;

/// What a sealed secret of the dashboard's is sealed for.
pub(crate) const SECRET_PURPOSE: &str = "alert_settings.webhook_secret";

/// What the variables say.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Where alerts are posted, and what they are signed with.
    pub webhook: Option<(Url, Secret)>,
    /// What is off, and what begins elsewhere than by default.
    pub rules: Rules,
    /// The disk that is watched holds this directory.
    pub data_dir: Option<std::path::PathBuf>,
    /// Whether this hub looks by itself; no variable changes it.
    pub is_watching: bool,
}

/// The webhook of the variables: both or neither. The values are not repeated: an address may hold a token.
///
/// # Errors
/// The variable and what would be right.
pub(crate) fn webhook(url: Option<String>, secret: Option<String>) -> Result<Option<(Url, Secret)>, String> {
    const SECRET: &str = "TRASTIENDA_ALERT_WEBHOOK_SECRET";
    let Some(url) = url else { return Ok(None) };
    let url =
        crate::config::http_url(&url).map_err(|error| format!("TRASTIENDA_ALERT_WEBHOOK_URL: {error}"))?;
    let secret = secret.ok_or_else(|| {
        format!(
            "{SECRET}: is required with TRASTIENDA_ALERT_WEBHOOK_URL; make one with `echo whsec_$(openssl rand -base64 32)`"
        )
    })?;
    Secret::parse(&secret).map(|secret| Some((url, secret))).map_err(|error| format!("{SECRET}: {error}"))
}

/// What is known of a kind; what is not set is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Whether it is told at all.
    pub(crate) is_on: Option<bool>,
    /// The number that it begins at.
    pub(crate) threshold: Option<i32>,
}

/// Rules by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(BTreeMap<&'static str, Rule>);

impl std::str::FromStr for Rules {
    type Err = String;

    /// Reads `queue_old=600,case_open=off`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut rules = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("must be as `queue_old=600,case_open=off`; `{part}` has no `=`"))?;
            let kind = Kind::find(name.trim()).ok_or_else(|| {
                let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
                format!("there is no kind `{}`; there are {}", name.trim(), names.join(", "))
            })?;
            let rule = match value.trim() {
                "off" => Rule { is_on: Some(false), threshold: None },
                "on" => Rule { is_on: Some(true), threshold: None },
                number => Rule { is_on: Some(true), threshold: Some(check_threshold(kind, number)?) },
            };
            rules.insert(kind.name, rule);
        }
        Ok(Self(rules))
    }
}

/// Reads a threshold of a kind.
///
/// # Errors
/// What would be right.
pub(crate) fn check_threshold(kind: &Kind, text: &str) -> Result<i32, String> {
    let Some(threshold) = &kind.threshold else {
        return Err(format!("`{}` is `on` or `off`; it has no number", kind.name));
    };
    let number = text.parse::<i32>().ok().filter(|number| (threshold.min..=threshold.max).contains(number));
    number.ok_or_else(|| {
        format!(
            "`{}` must be `on`, `off` or a whole number from {} to {} ({})",
            kind.name,
            threshold.min,
            threshold.max,
            threshold.unit.as_str()
        )
    })
}

/// Where alerts are posted.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) url: Url,
    pub(crate) secret: Secret,
    /// Set on the dashboard: called as an address that a project names. Whoever has the dashboard need not have the
    /// machine's own network.
    pub(crate) is_guarded: bool,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) email: Option<Mailbox>,
    pub(crate) webhook: Option<Webhook>,
    by_variable: Rules,
    by_dashboard: Rules,
}

impl Settings {
    /// What the variables alone say: while the database does not answer and never has.
    pub(crate) fn of_variables(app: &App) -> Self {
        let config = &app.config;
        let webhook = config.alerts.webhook.clone();
        Self {
            email: config.operator_email.clone(),
            webhook: webhook.map(|(url, secret)| Webhook { url, secret, is_guarded: false }),
            by_variable: config.alerts.rules.clone(),
            by_dashboard: Rules::default(),
        }
    }

    /// The settings in force now.
    pub(crate) async fn find(app: &App, conn: &mut PgConnection) -> anyhow::Result<Self> {
        let own = Self::of_variables(app);
        let row = store::get_settings(conn).await?;
        let email = match row.email.as_deref() {
            // It was checked when it was set.
            Some(text) => text.parse().ok().or(own.email),
            None => own.email,
        };
        let webhook = match (row.webhook_url.as_deref(), row.webhook_secret_sealed.as_deref()) {
            (Some(url), Some(sealed)) => {
                let secret = String::from_utf8(app.sealer.open(SECRET_PURPOSE, sealed)?)?;
                Some(Webhook { url: Url::parse(url)?, secret: Secret::parse(&secret)?, is_guarded: true })
            }
            _ => own.webhook,
        };
        let rules = store::list_rules(conn).await?.into_iter().filter_map(|row| {
            let kind = Kind::find(&row.kind)?;
            Some((kind.name, Rule { is_on: Some(row.is_on), threshold: row.threshold }))
        });
        Ok(Self { email, webhook, by_variable: own.by_variable, by_dashboard: Rules(rules.collect()) })
    }

    /// Whether alerts of a kind are told.
    pub(crate) fn is_on(&self, kind: &Kind) -> bool {
        let said = |rules: &Rules| rules.0.get(kind.name).and_then(|rule| rule.is_on);
        said(&self.by_dashboard).or_else(|| said(&self.by_variable)).unwrap_or(true)
    }

    /// The number that a kind begins at; 0 if it has none.
    pub(crate) fn threshold(&self, kind: &Kind) -> i32 {
        let said = |rules: &Rules| rules.0.get(kind.name).and_then(|rule| rule.threshold);
        let default = kind.threshold.as_ref().map_or(0, |threshold| threshold.default);
        said(&self.by_dashboard).or_else(|| said(&self.by_variable)).unwrap_or(default)
    }

    /// Whether the dashboard says something of a kind.
    pub(crate) fn is_of_dashboard(&self, kind: &Kind) -> bool {
        self.by_dashboard.0.contains_key(kind.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_every_mistake_says_what_would_be_right() {
        let rules: Rules = "queue_old=600, case_open=off,disk_full = 5".parse().unwrap();
        assert_eq!(rules.0["queue_old"], Rule { is_on: Some(true), threshold: Some(600) });
        assert_eq!(rules.0["case_open"].is_on, Some(false));
        assert_eq!("".parse::<Rules>().unwrap(), Rules::default());
        for (wrong, hint) in [
            ("queue_old", "no `=`"),
            ("queues=1", "there are endpoint_disabled"),
            ("case_open=3", "`on` or `off`"),
            ("queue_old=1", "from 30 to"),
            ("disk_full=x", "percent"),
        ] {
            let said = wrong.parse::<Rules>().unwrap_err();
            assert!(said.contains(hint), "{wrong}: {said}");
        }
    }

    #[test]
    fn a_webhook_needs_an_address_and_its_secret_and_no_mistake_repeats_them() {
        let text = |text: &str| Some(text.to_owned());
        assert!(webhook(None, text("whsec_x")).unwrap().is_none());
        let secret = "whsec_bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaC1mb3ItaXQ=";
        assert!(webhook(text("https://ops.example.com/hunter2"), text(secret)).unwrap().is_some());
        for (url, secret, variable) in [
            ("ops.example.com/hunter2", text(secret), "TRASTIENDA_ALERT_WEBHOOK_URL"),
            ("https://ops.example.com/hunter2", None, "TRASTIENDA_ALERT_WEBHOOK_SECRET"),
            ("https://ops.example.com/hunter2", text("hunter2"), "TRASTIENDA_ALERT_WEBHOOK_SECRET"),
        ] {
            let said = webhook(text(url), secret).unwrap_err();
            assert!(said.starts_with(variable) && !said.contains("hunter2"), "{said}");
        }
    }
}
