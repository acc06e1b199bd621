//! `trastienda-hub doctor`: what is wrong with a deployment, and how to mend it.
//!
//! Reads the same settings as `serve`. Each finding is `ok`, `warning` or `error`; any error makes it exit 1.

use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::say;
use crate::config::{Config, Database, ServeArgs, StoreConfig};
use crate::db::{MIGRATOR, Store};
use crate::fleet::Redis;
use crate::queue::members;
use crate::seal;

enum Level {
    Ok,
    Warning,
    Error,
}

struct Finding {
    level: Level,
    what: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: impl Into<String>) {
        self.0.push(Finding { level: Level::Ok, what: what.into() });
    }

    fn warning(&mut self, what: impl Into<String>) {
        self.0.push(Finding { level: Level::Warning, what: what.into() });
    }

    fn error(&mut self, what: impl Into<String>) {
        self.0.push(Finding { level: Level::Error, what: what.into() });
    }
}

pub(super) async fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    match args.check() {
        Ok((config, store)) => {
            findings.ok("the configuration is complete");
            check_config(&config, &store, &mut findings);
            check_mail(&config, &mut findings).await;
            check_redis(&config, &mut findings).await;
            check_store(&store, &mut findings).await;
        }
        Err(errors) => {
            for line in errors.lines() {
                findings.error(line.clone());
            }
        }
    }
    let failed = findings.0.iter().any(|finding| matches!(finding.level, Level::Error));
    for finding in findings.0 {
        let level = match finding.level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Error => "error  ",
        };
        say(&format!("{level}  {}", finding.what));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check_config(config: &Config, store: &StoreConfig, findings: &mut Findings) {
    if config.admin_token.is_none() {
        findings.warning("TRASTIENDA_ADMIN_TOKEN is unset: /admin and the dashboard answer 404; set at least 32 characters to open them");
    }
    let public = config.public_url.host_str().unwrap_or_default();
    if config.public_url.scheme() == "http" && !is_local(public) {
        findings.warning("TRASTIENDA_PUBLIC_URL is plain HTTP: payment providers refuse to call it; put TLS before the hub");
    } else if is_local(public) {
        findings.warning("TRASTIENDA_PUBLIC_URL is this machine: payment providers and customers cannot reach it; set the public address");
    }
    if config.operator_email.is_none() {
        findings.warning("TRASTIENDA_OPERATOR_EMAIL is unset: nobody is written to when a webhook endpoint fails for days; it is only logged and counted");
    }
    if config.mercadopago_url.host_str() != Some("api.mercadopago.com") {
        findings.warning(format!(
            "TRASTIENDA_MERCADOPAGO_URL is {}: payments go to a simulator",
            config.mercadopago_url
        ));
    }
    if matches!(store.database, Database::Embedded(_)) {
        findings.ok("DATABASE_URL is unset: the hub runs its own PostgreSQL; back up the data directory and its master.key");
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "[::1]" || host == "0.0.0.0"
}

async fn check_mail(config: &Config, findings: &mut Findings) {
    let Some(smtp_url) = &config.smtp_url else {
        findings
            .warning("TRASTIENDA_SMTP_URL is unset: e-mail stays `pending` until it is set, except that of projects with an SMTP account of their own; nothing is lost");
        return;
    };
    for url in smtp_url.expose_secret().split_whitespace().filter_map(|url| url::Url::from_str(url).ok()) {
        check_server(&url, findings).await;
    }
}

async fn check_redis(config: &Config, findings: &mut Findings) {
    let Some(url) = &config.redis_url else { return };
    crate::serve::install_tls();
    let checked = match Redis::new(url.expose_secret(), "doctor") {
        Ok(redis) => redis.check().await,
        Err(error) => Err(error.into()),
    };
    match checked {
        Ok(()) => findings.ok("the Redis of REDIS_URL answers"),
        Err(error) => findings.warning(format!(
            "REDIS_URL: it does not answer ({error:#}); several hubs keep equal shares of every limit until it does"
        )),
    }
}

async fn check_server(url: &url::Url, findings: &mut Findings) {
    let port = url.port().unwrap_or(match (url.scheme(), url.query()) {
        ("smtps", _) => 465,
        (_, None) => 25,
        (_, Some(_)) => 587,
    });
    let host = url.host_str().unwrap_or_default().to_owned();
    let connect = tokio::net::TcpStream::connect((host.as_str(), port));
    match tokio::time::timeout(Duration::from_secs(5), connect).await {
        Ok(Ok(_)) => findings.ok(format!("the SMTP server {host}:{port} takes connections")),
        Ok(Err(error)) => findings.error(format!("TRASTIENDA_SMTP_URL: {host}:{port} takes no connection ({error}); check the address and the firewall")),
        Err(_) => findings.error(format!("TRASTIENDA_SMTP_URL: {host}:{port} does not answer within 5 seconds; check the address and the firewall")),
    }
}

async fn check_store(config: &StoreConfig, findings: &mut Findings) {
    let store = match Store::open(config).await {
        Ok(store) => store,
        Err(error) => {
            findings.error(format!("the database cannot be used: {error:#}"));
            return;
        }
    };
    findings.ok("the database answers");
    if let Err(error) = check_database(&store, findings).await {
        findings.error(format!("the database's state cannot be read: {error:#}"));
    }
    store.close(false).await;
}

async fn check_database(store: &Store, findings: &mut Findings) -> anyhow::Result<()> {
    let version =
        sqlx::query_scalar!(r#"select current_setting('server_version_num')::integer as "version!""#)
            .fetch_one(&store.pool)
            .await?;
    if version < 140_000 {
        findings.error(format!("PostgreSQL {} is too old: 14 or newer is needed", version / 10_000));
    }
    let exists = sqlx::query_scalar!(r#"select to_regclass('_sqlx_migrations') is not null as "exists!""#)
        .fetch_one(&store.pool)
        .await?;
    let applied = if exists {
        sqlx::query_scalar!(r#"select count(*) as "count!" from _sqlx_migrations where success"#)
            .fetch_one(&store.pool)
            .await?
    } else {
        0
    };
    let known = i64::try_from(MIGRATOR.iter().count())?;
    if applied < known {
        findings.error(format!("{applied} of {known} migrations are applied: run `trastienda-hub migrate`"));
        return Ok(());
    }
    findings.ok("the schema is up to date");
    check_secrets(store, findings).await?;
    check_work(&store.pool, findings).await
}

async fn check_secrets(store: &Store, findings: &mut Findings) -> anyhow::Result<()> {
    let rows = sqlx::query!("select name, sealed from hub_secrets").fetch_all(&store.pool).await?;
    for row in rows {
        match store.sealer.open(&format!("hub_secrets.{}", row.name), &row.sealed) {
            Ok(_) => findings.ok("the master key opens the database's secrets"),
            Err(error) => findings.error(format!(
                "TRASTIENDA_MASTER_KEY: {error}; restore the key with which this database was made"
            )),
        }
    }
    let new = store.sealer.new_key().to_string();
    let old = store.sealer.old_key().map(|key| key.to_string());
    for (column, keys) in seal::rotate::count(&store.pool).await? {
        for (key, values) in keys.into_iter().filter(|(key, _)| *key != new) {
            if Some(&key) == old.as_ref() {
                findings.warning(format!("{values} values of {column} are sealed with the old master key: run `trastienda-hub seal rotate` before it goes"));
            } else {
                findings.error(format!("{values} values of {column} are sealed with another master key ({key}) and cannot be opened"));
            }
        }
    }
    Ok(())
}

async fn check_work(pool: &PgPool, findings: &mut Findings) -> anyhow::Result<()> {
    let hubs = members::list_alive(pool).await?.len();
    if hubs == 0 {
        findings.warning("no hub is running on this database: start `trastienda-hub serve`");
    } else {
        findings.ok(format!("hubs running on this database: {hubs}"));
    }
    let cases =
        sqlx::query_scalar!(r#"select count(*) as "count!" from payment_cases where status = 'open'"#)
            .fetch_one(pool)
            .await?;
    if cases > 0 {
        findings.warning(format!(
            "{cases} payment cases are open: look at `GET /v1/payment-cases?status=open` of each project, and close them with a note"
        ));
    }
    let projects =
        sqlx::query_scalar!(r#"select count(*) as "count!" from projects"#).fetch_one(pool).await?;
    if projects == 0 {
        findings.warning("there are no projects: `trastienda-hub project create --name … --domain …`");
    }
    let oldest = sqlx::query_scalar!(
        r#"
        select min(due.run_at)
        from webhook_endpoints e
        cross join lateral (
            select run_at
            from webhook_deliveries
            where endpoint_id = e.id and status = 'pending' and lease_token is null
            order by run_at
            limit 1
        ) due
        where e.disabled_at is null
        "#
    )
    .fetch_one(pool)
    .await?;
    late("webhook deliveries", oldest, findings);
    let oldest = sqlx::query_scalar!(
        r#"
        select min(due.run_at)
        from projects p
        cross join lateral (
            select run_at
            from notifications
            where project_id = p.id and status = 'pending' and channel = 'email' and lease_token is null
            order by run_at
            limit 1
        ) due
        "#
    )
    .fetch_one(pool)
    .await?;
    late("e-mails", oldest, findings);
    let failing = sqlx::query!(
        r#"
        select project_id, name, failures, last_error as "last_error!"
        from smtp_accounts
        where is_enabled and failures >= 3 and last_error is not null
        order by failed_at desc
        limit 20
        "#
    )
    .fetch_all(pool)
    .await?;
    for account in failing {
        let project = ProjectId::from_uuid(account.project_id);
        findings.warning(format!(
            "the SMTP account `{}` of {project} failed {} times in a row: {}",
            account.name, account.failures, account.last_error
        ));
    }
    let disabled = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_endpoints where disabled_at is not null"#
    )
    .fetch_one(pool)
    .await?;
    if disabled > 0 {
        findings.warning(format!("{disabled} webhook endpoints are disabled; their deliveries wait: `POST /v1/webhook-endpoints/{{id}}/enable`"));
    }
    Ok(())
}

fn late(what: &str, oldest: Option<DateTime<Utc>>, findings: &mut Findings) {
    let Some(oldest) = oldest else { return };
    let minutes = (SystemClock.now() - oldest).num_minutes();
    if minutes >= 5 {
        findings.warning(format!(
            "{what} have been due for {minutes} minutes: a receiver or server is down, or no hub is running"
        ));
    }
}
