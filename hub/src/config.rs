//! Configuration: read once from arguments and environment, checked as a whole, passed down typed.
//!
//! Every mistake is reported, one line each, naming its variable. `.env.example` lists the same
//! variables; a test holds the two equal.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use clap::Args;
use secrecy::SecretString;
use trastienda_protocol::webhook;
use url::Url;

use crate::alerts;
use crate::outbound::{AllowList, Manner};
use crate::server::{Limits, tls};
use crate::webhooks::pull;

/// Where the hub keeps its data: every command needs it.
#[derive(Args, Clone)]
pub struct StoreArgs {
    /// PostgreSQL to use, as `postgres://user:password@host/database`. Unset: the hub runs its own
    /// PostgreSQL under the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// A file that holds it instead.
    #[arg(long, env = "DATABASE_URL_FILE")]
    pub database_url_file: Option<String>,
    /// Directory for the embedded PostgreSQL and the master key that goes with it.
    #[arg(long, env = "TRASTIENDA_DATA_DIR", default_value = "/var/lib/trastienda")]
    pub data_dir: PathBuf,
    /// 32 bytes in base64 that seal the secrets in the database. Made and kept in the data directory
    /// with the embedded PostgreSQL; required with `DATABASE_URL`.
    #[arg(long, env = "TRASTIENDA_MASTER_KEY", hide_env_values = true)]
    pub master_key: Option<String>,
    /// A file that holds it instead.
    #[arg(long, env = "TRASTIENDA_MASTER_KEY_FILE")]
    pub master_key_file: Option<String>,
    /// The master key until now, while it is changed: it opens too, until `seal rotate` has sealed everything with
    /// the new one.
    #[arg(long, env = "TRASTIENDA_MASTER_KEY_OLD", hide_env_values = true)]
    pub master_key_old: Option<String>,
    /// A file that holds it instead.
    #[arg(long, env = "TRASTIENDA_MASTER_KEY_OLD_FILE")]
    pub master_key_old_file: Option<String>,
}

/// What the programs write about themselves.
#[derive(Args, Clone)]
pub struct LogArgs {
    /// What is logged: a tracing filter, as `info,trastienda_hub=debug`.
    #[arg(long, env = "TRASTIENDA_LOG", default_value = "info,sqlx=warn")]
    pub log: String,
    /// `pretty` for people, `json` for machines.
    #[arg(long, env = "TRASTIENDA_LOG_FORMAT", default_value = "pretty")]
    pub log_format: String,
}

/// The settings of `trastienda-hub serve`.
#[derive(Args, Clone)]
pub struct ServeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on the type")]
    pub store: StoreArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented on the type")]
    pub log: LogArgs,
    /// Address to listen on.
    #[arg(long, env = "TRASTIENDA_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Certificate, in PEM, the server's own first: the hub speaks TLS itself. Read again at SIGHUP. Unset: plain HTTP.
    #[arg(long, env = "TRASTIENDA_TLS_CERT")]
    pub tls_cert: Option<String>,
    /// Its private key, in PEM.
    #[arg(long, env = "TRASTIENDA_TLS_KEY")]
    pub tls_key: Option<String>,
    /// Connections at once; who comes past them is told 503 `overloaded`.
    #[arg(long, env = "TRASTIENDA_MAX_CONNECTIONS", default_value = "4096")]
    pub max_connections: String,
    /// Requests at once, without those that wait for something to happen; more are told 503 `overloaded`.
    #[arg(long, env = "TRASTIENDA_MAX_REQUESTS", default_value = "512")]
    pub max_requests: String,
    /// A second address that serves `/metrics` without a token. Unset: only with the admin token.
    #[arg(long, env = "TRASTIENDA_METRICS_LISTEN")]
    pub metrics_listen: Option<String>,
    /// Redis that several hubs on one database share limits and wake-ups by, as `redis://:password@host:6379/0` or
    /// `rediss://…`. Unset: they do so through PostgreSQL.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// A file that holds it instead.
    #[arg(long, env = "REDIS_URL_FILE")]
    pub redis_url_file: Option<String>,
    /// The hub's address as customers and payment providers reach it. Unset: `http://` and the
    /// listening address, which a provider outside this machine cannot call.
    #[arg(long, env = "TRASTIENDA_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Opens `/admin` and the dashboard; at least 32 characters. Unset: both answer 404.
    #[arg(long, env = "TRASTIENDA_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// A file that holds it instead.
    #[arg(long, env = "TRASTIENDA_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<String>,
    /// Private addresses that webhooks may reach, also over plain HTTP: `CIDR[:port]`, comma-separated.
    #[arg(long, env = "TRASTIENDA_OUTBOUND_ALLOW", default_value = "")]
    pub outbound_allow: String,
    /// SMTP server, as `smtp://user:password@host:587?tls=required`; several, with spaces between them, are tried in
    /// their order. Unset: e-mail of projects without an account of their own stays `pending`.
    #[arg(long, env = "TRASTIENDA_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// A file that holds it instead; its password then is in no environment.
    #[arg(long, env = "TRASTIENDA_SMTP_URL_FILE")]
    pub smtp_url_file: Option<String>,
    /// Sender of e-mail that names none, as `Shop <shop@example.com>`.
    #[arg(long, env = "TRASTIENDA_MAIL_FROM", default_value = "Trastienda <no-reply@localhost.localdomain>")]
    pub mail_from: String,
    /// Who is told, by mail, what needs the operator, as endpoints about to be disabled. Unset: it is only
    /// logged and counted.
    #[arg(long, env = "TRASTIENDA_OPERATOR_EMAIL")]
    pub operator_email: Option<String>,
    /// Where alerts are posted, signed as any webhook; the dashboard's setting counts more. Unset: nowhere.
    #[arg(long, env = "TRASTIENDA_ALERT_WEBHOOK_URL", hide_env_values = true)]
    pub alert_webhook_url: Option<String>,
    /// What they are signed with, as `whsec_…`. Required with `TRASTIENDA_ALERT_WEBHOOK_URL`.
    #[arg(long, env = "TRASTIENDA_ALERT_WEBHOOK_SECRET", hide_env_values = true)]
    pub alert_webhook_secret: Option<String>,
    /// Kinds of alerts that are off or begin elsewhere than by default, as `case_open=off,queue_old=600`; the
    /// dashboard's settings count more.
    #[arg(long, env = "TRASTIENDA_ALERT_RULES", default_value = "")]
    pub alert_rules: String,
    /// Mercado Pago's address; another one is for its simulator.
    #[arg(long, env = "TRASTIENDA_MERCADOPAGO_URL", default_value = "https://api.mercadopago.com")]
    pub mercadopago_url: String,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Database {
    /// A PostgreSQL that somebody else runs. The URL may hold a password.
    External(SecretString),
    /// The hub's own, under this directory.
    Embedded(PathBuf),
}

/// Checked settings of the store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where the database is.
    pub database: Database,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The master key, unless it is to be read from (or made in) the data directory.
    pub master_key: Option<SecretString>,
    /// The one that it takes the place of, while it is changed.
    pub old_master_key: Option<SecretString>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// Checked settings of `serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the hub listens.
    pub listen: SocketAddr,
    /// What callers may cost.
    pub limits: Limits,
    /// Where the certificates are.
    pub tls: Option<tls::Files>,
    /// Where `/metrics` is open.
    pub metrics_listen: Option<SocketAddr>,
    /// Where several hubs share limits and wake-ups, if not in the database.
    pub redis_url: Option<SecretString>,
    /// The address that others call.
    pub public_url: Url,
    /// What opens `/admin`.
    pub admin_token: Option<SecretString>,
    /// Private addresses that may be called.
    pub outbound_allow: AllowList,
    /// How addresses that projects name are called; no variable changes it.
    pub outbound_manner: Manner,
    /// How agents that pull are waited for.
    pub pull_manner: pull::Manner,
    /// The SMTP servers, in the order in which they are tried.
    pub smtp_url: Option<SecretString>,
    /// The default sender.
    pub mail_from: lettre::message::Mailbox,
    /// Who is told what needs the operator.
    pub operator_email: Option<lettre::message::Mailbox>,
    /// What alerts are told, and where else.
    pub alerts: alerts::Configured,
    /// Mercado Pago.
    pub mercadopago_url: Url,
}

/// All mistakes of a configuration, one line each.
#[derive(Debug)]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn check<T, E: fmt::Display>(&mut self, variable: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{variable}: {error}"))).ok()
    }

    /// A secret that is given itself or in a file. The outer `None`: a mistake, which is noted; the inner: not given.
    fn secret(
        &mut self,
        variable: &str,
        value: Option<&String>,
        file: Option<&String>,
    ) -> Option<Option<String>> {
        let value = value.filter(|value| !value.is_empty());
        let Some(file) = file.filter(|file| !file.is_empty()) else { return Some(value.cloned()) };
        let read = match value {
            Some(_) => Err(format!("{variable} is set too: leave one of them out")),
            None => read_secret(Path::new(file)),
        };
        self.check(&format!("{variable}_FILE"), read).map(Some)
    }
}

/// What a secret's file holds, without the white space around it: editors end a file with a line end.
fn read_secret(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {}", file.display(), error.kind()))?;
    match text.trim() {
        "" => Err(format!("{} is empty", file.display())),
        secret => Ok(secret.to_owned()),
    }
}

impl StoreArgs {
    /// Checks the settings.
    pub fn check(&self) -> Result<StoreConfig, ConfigErrors> {
        let mut mistakes = Mistakes::default();
        let store = self.check_into(&mut mistakes);
        store.filter(|_| mistakes.0.is_empty()).ok_or(ConfigErrors(mistakes.0))
    }

    fn check_into(&self, mistakes: &mut Mistakes) -> Option<StoreConfig> {
        let url =
            mistakes.secret("DATABASE_URL", self.database_url.as_ref(), self.database_url_file.as_ref());
        let database = url.and_then(|url| match url {
            None => Some(Database::Embedded(self.data_dir.join("postgresql"))),
            Some(url) => mistakes.check("DATABASE_URL", database_url(&url)),
        });
        let key =
            mistakes.secret("TRASTIENDA_MASTER_KEY", self.master_key.as_ref(), self.master_key_file.as_ref());
        let master_key_now = key.and_then(|key| match key {
            Some(key) => mistakes.check("TRASTIENDA_MASTER_KEY", master_key(&key)).map(Some),
            None if matches!(database, Some(Database::External(_))) => {
                mistakes.0.push(
                    "TRASTIENDA_MASTER_KEY: is required with DATABASE_URL; make one with `openssl rand -base64 32` and keep it safe"
                        .to_owned(),
                );
                None
            }
            None => Some(None),
        });
        let (old, old_file) = (self.master_key_old.as_ref(), self.master_key_old_file.as_ref());
        let old_master_key = mistakes.secret("TRASTIENDA_MASTER_KEY_OLD", old, old_file).and_then(|key| {
            optional(key.map(|key| mistakes.check("TRASTIENDA_MASTER_KEY_OLD", master_key(&key))))
        });
        Some(StoreConfig {
            database: database?,
            data_dir: self.data_dir.clone(),
            master_key: master_key_now?,
            old_master_key: old_master_key?,
        })
    }
}

impl LogArgs {
    /// The format, checked.
    pub fn format(&self) -> Result<LogFormat, String> {
        match self.log_format.as_str() {
            "pretty" => Ok(LogFormat::Pretty),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("must be `pretty` or `json`, not `{other}`")),
        }
    }

    fn check_into(&self, mistakes: &mut Mistakes) {
        mistakes.check("TRASTIENDA_LOG_FORMAT", self.format());
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log);
        mistakes.check("TRASTIENDA_LOG", filter.map_err(|error| format!("is not a tracing filter: {error}")));
    }
}

impl ServeArgs {
    /// Checks all settings together.
    pub fn check(&self) -> Result<(Config, StoreConfig), ConfigErrors> {
        let mut mistakes = Mistakes::default();
        let store = self.store.check_into(&mut mistakes);
        self.log.check_into(&mut mistakes);
        let listen = mistakes.check("TRASTIENDA_LISTEN", socket_address(&self.listen));
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let limits = self.check_limits(&mut mistakes);
        let tls = match (set(&self.tls_cert), set(&self.tls_key)) {
            (None, None) => Some(None),
            (Some(certificates), Some(key)) => {
                Some(Some(tls::Files { certificates: certificates.into(), key: key.into() }))
            }
            (Some(_), None) => {
                mistakes.check("TRASTIENDA_TLS_KEY", Err("is needed with TRASTIENDA_TLS_CERT"))
            }
            (None, Some(_)) => {
                mistakes.check("TRASTIENDA_TLS_CERT", Err("is needed with TRASTIENDA_TLS_KEY"))
            }
        };
        let metrics_listen = set(&self.metrics_listen)
            .map(|text| mistakes.check("TRASTIENDA_METRICS_LISTEN", socket_address(&text)));
        let url = mistakes.secret("REDIS_URL", self.redis_url.as_ref(), self.redis_url_file.as_ref());
        let redis_url = url.flatten().map(|url| mistakes.check("REDIS_URL", redis_url(url)));
        let public_url = match set(&self.public_url) {
            Some(text) => mistakes.check("TRASTIENDA_PUBLIC_URL", http_url(&text)),
            None => listen.and_then(|listen| {
                let scheme = if matches!(tls, Some(Some(_))) { "https" } else { "http" };
                Url::parse(&format!("{scheme}://{listen}")).ok()
            }),
        };
        let token = mistakes.secret(
            "TRASTIENDA_ADMIN_TOKEN",
            self.admin_token.as_ref(),
            self.admin_token_file.as_ref(),
        );
        let admin_token =
            token.flatten().map(|token| mistakes.check("TRASTIENDA_ADMIN_TOKEN", admin_token(token)));
        let outbound_allow =
            mistakes.check("TRASTIENDA_OUTBOUND_ALLOW", self.outbound_allow.parse::<AllowList>());
        let urls =
            mistakes.secret("TRASTIENDA_SMTP_URL", self.smtp_url.as_ref(), self.smtp_url_file.as_ref());
        let smtp_url = urls.flatten().map(|url| mistakes.check("TRASTIENDA_SMTP_URL", smtp_url(url)));
        let mail_from =
            self.mail_from.parse().map_err(|_| "must be an address, as `Shop <shop@example.com>`");
        let mail_from = mistakes.check("TRASTIENDA_MAIL_FROM", mail_from);
        let operator_email = set(&self.operator_email).map(|text| {
            let address = text.parse().map_err(|_| "must be an address, as `ops@example.com`");
            mistakes.check("TRASTIENDA_OPERATOR_EMAIL", address)
        });
        let alert_webhook =
            alert_webhook(&mut mistakes, set(&self.alert_webhook_url), set(&self.alert_webhook_secret));
        let alert_rules = mistakes.check("TRASTIENDA_ALERT_RULES", self.alert_rules.parse::<alerts::Rules>());
        let mercadopago_url = mistakes.check("TRASTIENDA_MERCADOPAGO_URL", http_url(&self.mercadopago_url));
        let config = (|| {
            Some(Config {
                listen: listen?,
                limits: limits?,
                tls: tls?,
                metrics_listen: optional(metrics_listen)?,
                redis_url: optional(redis_url)?,
                public_url: public_url?,
                admin_token: optional(admin_token)?,
                outbound_allow: outbound_allow?,
                outbound_manner: Manner::default(),
                pull_manner: pull::Manner::default(),
                smtp_url: optional(smtp_url)?,
                mail_from: mail_from?,
                operator_email: optional(operator_email)?,
                alerts: alerts::Configured {
                    webhook: alert_webhook,
                    rules: alert_rules?,
                    data_dir: Some(self.store.data_dir.clone()),
                    is_watching: true,
                },
                mercadopago_url: mercadopago_url?,
            })
        })();
        match (config, store) {
            (Some(config), Some(store)) if mistakes.0.is_empty() => Ok((config, store)),
            _ => Err(ConfigErrors(mistakes.0)),
        }
    }
}

impl ServeArgs {
    fn check_limits(&self, mistakes: &mut Mistakes) -> Option<Limits> {
        let connections = mistakes.check("TRASTIENDA_MAX_CONNECTIONS", number_of(&self.max_connections));
        let requests = mistakes.check("TRASTIENDA_MAX_REQUESTS", number_of(&self.max_requests));
        Some(Limits { connections: connections?, requests: requests?, ..Limits::default() })
    }
}

fn number_of(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| format!("must be a number from 1 to 1000000, not `{text}`"))
}

/// Unset is fine, set and wrong is not.
fn optional<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("must be an address and a port, as `127.0.0.1:8080`, not `{text}`"))
}

fn http_url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("must be a URL, as `https://hub.example.com`: {error}"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("must start with `https://` or `http://`".to_owned())
    }
}

// The value may hold a password and is never repeated in the message.
fn database_url(text: &str) -> Result<Database, String> {
    let usable = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let url = usable.then(|| Url::parse(text).ok()).flatten();
    url.map(|_| Database::External(SecretString::from(text)))
        .ok_or_else(|| "must be a URL, as `postgres://user:password@host/database`".to_owned())
}

fn master_key(text: &str) -> Result<SecretString, String> {
    let key = base64::engine::general_purpose::STANDARD.decode(text.trim());
    match key {
        Ok(bytes) if bytes.len() == 32 => Ok(SecretString::from(text.trim())),
        _ => Err("must be 32 bytes in base64; make one with `openssl rand -base64 32`".to_owned()),
    }
}

fn admin_token(token: String) -> Result<SecretString, String> {
    let length = token.chars().count();
    if length < 32 {
        return Err(format!(
            "must have at least 32 characters, not {length}; make one with `openssl rand -hex 32`"
        ));
    }
    Ok(SecretString::from(token))
}

// As above, never repeated.
fn redis_url(text: String) -> Result<SecretString, String> {
    match redis::Client::open(text.as_str()) {
        Ok(_) => Ok(SecretString::from(text)),
        Err(_) => Err("must be a URL, as `redis://:password@host:6379/0` or `rediss://host`".to_owned()),
    }
}

/// Both or neither. The values are not repeated: an address may hold a token.
fn alert_webhook(
    mistakes: &mut Mistakes,
    url: Option<String>,
    secret: Option<String>,
) -> Option<(Url, webhook::Secret)> {
    const SECRET: &str = "TRASTIENDA_ALERT_WEBHOOK_SECRET";
    let url = mistakes.check("TRASTIENDA_ALERT_WEBHOOK_URL", http_url(&url?))?;
    let Some(secret) = secret else {
        mistakes.0.push(format!("{SECRET}: is required with TRASTIENDA_ALERT_WEBHOOK_URL; make one with `echo whsec_$(openssl rand -base64 32)`"));
        return None;
    };
    Some((url, mistakes.check(SECRET, webhook::Secret::parse(&secret))?))
}

fn smtp_url(text: String) -> Result<SecretString, String> {
    crate::notifications::smtp::check_urls(&text)?;
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};
    use secrecy::ExposeSecret as _;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn lines(arguments: &[&str]) -> Vec<String> {
        // Whatever the environment of the test run holds.
        let command = Cli::command().mut_args(|argument| argument.env(None));
        let matches = command.get_matches_from(std::iter::once(&"hub").chain(arguments));
        let cli = Cli::from_arg_matches(&matches).unwrap();
        cli.serve.check().err().map(|errors| errors.lines().to_vec()).unwrap_or_default()
    }

    #[test]
    fn the_defaults_need_nothing() {
        assert_eq!(lines(&["--data-dir", "/tmp/x"]), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_has_a_line_that_names_its_variable() {
        let lines = lines(&[
            "--database-url",
            "mysql://x:hunter2@y",
            "--listen",
            "8080",
            "--redis-url",
            "http://u:hunter2@h",
            "--public-url",
            "hub.example.com",
            "--max-connections",
            "many",
            "--max-requests",
            "0",
            "--tls-cert",
            "/etc/cert.pem",
            "--admin-token",
            "short",
            "--outbound-allow",
            "10.0.0.0/99",
            "--smtp-url",
            "smtp://u:secret@h?tls=perhaps",
            "--mail-from",
            "nobody",
            "--operator-email",
            "nobody",
            "--log-format",
            "xml",
            "--master-key",
            "abc",
        ]);
        let variables: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(
            variables,
            [
                "DATABASE_URL",
                "TRASTIENDA_MASTER_KEY",
                "TRASTIENDA_LOG_FORMAT",
                "TRASTIENDA_LISTEN",
                "TRASTIENDA_MAX_CONNECTIONS",
                "TRASTIENDA_MAX_REQUESTS",
                "TRASTIENDA_TLS_KEY",
                "REDIS_URL",
                "TRASTIENDA_PUBLIC_URL",
                "TRASTIENDA_ADMIN_TOKEN",
                "TRASTIENDA_OUTBOUND_ALLOW",
                "TRASTIENDA_SMTP_URL",
                "TRASTIENDA_MAIL_FROM",
                "TRASTIENDA_OPERATOR_EMAIL",
            ]
        );
        assert!(!lines.join(" ").contains("hunter2") && !lines.join(" ").contains("secret"));
    }

    #[test]
    fn every_secret_may_be_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name).to_string_lossy().into_owned();
            std::fs::write(&path, text).unwrap();
            path
        };
        let key = "dGVzdC1tYXN0ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc=";
        let (url, key) = (file("url", "postgres://u:hunter2@h/d\n"), file("key", &format!("{key}\n")));
        let (token, smtp) = (file("token", &"t".repeat(32)), file("smtp", "smtp://u:p@h\r\n"));
        let given = [
            "--database-url-file",
            &url,
            "--master-key-file",
            &key,
            "--admin-token-file",
            &token,
            "--smtp-url-file",
            &smtp,
        ];
        let command = Cli::command().mut_args(|argument| argument.env(None));
        let matches = command.get_matches_from(std::iter::once(&"hub").chain(&given));
        let (config, store) = Cli::from_arg_matches(&matches).unwrap().serve.check().unwrap();
        let Database::External(found) = store.database else { panic!("not the file's database") };
        assert_eq!(found.expose_secret(), "postgres://u:hunter2@h/d");
        assert_eq!(config.admin_token.unwrap().expose_secret(), "t".repeat(32));
        assert_eq!(config.smtp_url.unwrap().expose_secret(), "smtp://u:p@h");
        assert!(store.master_key.is_some());
    }

    #[test]
    fn a_secret_s_file_that_is_wrong_has_a_line_without_what_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("empty"), "\n").unwrap();
        std::fs::write(path("short"), "hunter2").unwrap();
        let lines = lines(&[
            "--database-url-file",
            &path("none"),
            "--master-key",
            "x",
            "--master-key-file",
            &path("short"),
            "--admin-token-file",
            &path("short"),
            "--smtp-url-file",
            &path("empty"),
        ]);
        let starts = [
            "DATABASE_URL_FILE: cannot read ",
            "TRASTIENDA_MASTER_KEY_FILE: TRASTIENDA_MASTER_KEY is set too",
            "TRASTIENDA_ADMIN_TOKEN: must have at least 32",
            "TRASTIENDA_SMTP_URL_FILE: ",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start) && !line.contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn an_external_database_needs_a_master_key() {
        assert!(lines(&["--database-url", "postgres://u:p@h/d"])[0].starts_with("TRASTIENDA_MASTER_KEY"));
    }
}
