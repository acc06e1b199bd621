//! The watch: looks every few seconds, tells what is new and what is over, and tells by itself when the database is what
//! is wrong.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::kinds::{self, KINDS, Kind};
use super::look::{self, Finding, Now, Seen};
use super::post::{self, AlertWebhooks, OPENED, RECOVERED};
use super::settings::Settings;
use super::store::{self, AlertRow};
use super::words;
use crate::app::App;
use crate::operator::{self, Alert, Post};
use crate::queue::worker::Queue as _;

/// How often a hub looks.
pub(crate) const EVERY: Duration = Duration::from_secs(15);
/// How long a look may take before the database counts as not answering.
const PATIENCE: Duration = Duration::from_secs(10);
/// The advisory lock of whichever hub looks now.
const LOCK: i64 = 0x7472_6173_616c_6572;
/// SQLSTATE `disk_full`.
const DISK_FULL_CODE: &str = "53100";

/// A hub's own watch.
pub struct Watch {
    app: App,
    started_at: DateTime<Utc>,
    /// The settings as they last were, for when they cannot be read.
    settings: Settings,
    trouble: Option<Trouble>,
    post: Option<Post>,
}

/// What is wrong with the database, seen from here.
#[derive(Debug)]
struct Trouble {
    /// Of the alert that it becomes.
    id: Uuid,
    since: DateTime<Utc>,
    kind: &'static Kind,
    details: Value,
    is_mailed: bool,
    is_posted: bool,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("trouble", &self.trouble).finish_non_exhaustive()
    }
}

impl Watch {
    /// A watch that has seen nothing yet.
    pub fn new(app: &App) -> Self {
        let post = Post::new(app).unwrap_or_else(|error| {
            tracing::error!(%error, "alerts are not mailed");
            None
        });
        let (started_at, settings) = (app.clock.now(), Settings::of_variables(app));
        Self { app: app.clone(), started_at, settings, trouble: None, post }
    }

    /// Looks once and tells what has changed. That the database does not answer is no error, but news.
    pub async fn look(&mut self) {
        let looked = tokio::time::timeout(PATIENCE, self.look_and_write()).await;
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.remember_trouble(&error).await,
            Err(_) => self.remember_trouble(&anyhow::anyhow!("no answer in {} s", PATIENCE.as_secs())).await,
        }
    }

    async fn look_and_write(&mut self) -> anyhow::Result<()> {
        let app = self.app.clone();
        let mut tx = app.db.begin().await?;
        self.settings = Settings::find(&app, &mut tx).await?;
        let over = self.trouble.as_ref().filter(|trouble| trouble.is_told()).map(Trouble::row);
        if !store::try_lock(&mut tx, LOCK).await? {
            // Another hub looks. It answers, so what nobody was told of is over; what was told is so at the next look.
            let _ = self.trouble.take_if(|trouble| !trouble.is_told());
            return Ok(());
        }
        let now = app.clock.now();
        store::mark_looked(&mut tx, now).await?;
        let data_dir = app.config.alerts.data_dir.as_deref();
        let about = Now { at: now, started_at: self.started_at, settings: &self.settings, data_dir };
        let seen = look::look(&mut tx, about).await?;
        let mut news = compare(&app, &mut tx, &seen, now).await?;
        // What was told from memory is written down, and told to be over as anything else is.
        if let Some(row) = over {
            store::insert_alert(&mut tx, &AlertRow { recovered_at: Some(now), ..row.clone() }).await?;
            news.recovered.push(AlertRow { recovered_at: Some(now), ..row });
        }
        tell(&app, &mut tx, &self.settings, &news).await?;
        tx.commit().await?;
        self.trouble = None;
        news.count();
        if !news.is_empty() {
            operator::wake(&app);
            app.wakes.wake(AlertWebhooks::NAME);
        }
        Ok(())
    }

    /// Told from memory once it has lasted: no row can be written, and none is needed.
    async fn remember_trouble(&mut self, error: &anyhow::Error) {
        let now = self.app.clock.now();
        let code = error.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error()?.code());
        let is_disk = code.as_deref() == Some(DISK_FULL_CODE);
        let kind = if is_disk { &kinds::DISK_FULL } else { &kinds::DATABASE_TROUBLE };
        let failure = code.map_or_else(|| failure(error), |code| format!("SQLSTATE {code}"));
        let what = if is_disk { "refused" } else { "away" };
        let details = json!({"what": what, "host": look::host(), "failure": failure});
        let id = self.app.ids.uuid(now);
        let trouble = self.trouble.get_or_insert(Trouble {
            id,
            since: now,
            kind,
            details,
            is_mailed: false,
            is_posted: false,
        });
        let patience = TimeDelta::seconds(self.settings.threshold(&kinds::DATABASE_TROUBLE).into());
        tracing::error!(failure, since = %trouble.since, "the watch cannot look: the database does not answer");
        if now - trouble.since < patience || !self.settings.is_on(trouble.kind) {
            return;
        }
        let row = trouble.row();
        let was_told = trouble.is_told();
        if let (Some(post), Some(to), false) = (&self.post, &self.settings.email, trouble.is_mailed) {
            let (subject, body) = words::mail(std::slice::from_ref(&row), &[], &address(&self.app));
            let id = self.app.ids.uuid(now);
            trouble.is_mailed = post.send(&self.app, to, (id, &subject, &body)).await.is_ok();
            if !trouble.is_mailed {
                tracing::error!("mail about the database was not taken");
            }
        }
        if let (Some(to), false) = (&self.settings.webhook, trouble.is_posted) {
            let id = self.app.ids.uuid(now);
            let body = post::body(id, OPENED, &post::data(&row), now);
            let answer = post::post(&self.app, to, id, body).await;
            trouble.is_posted = answer.is_ok_and(|status| status.is_success());
            if !trouble.is_posted {
                tracing::error!("an event about the database was not taken by the operator's webhook");
            }
        }
        if trouble.is_told() && !was_told {
            count(trouble.kind.name, OPENED);
        }
    }
}

/// What can be said of a failure: not what the server said, which may hold anything.
fn failure(error: &anyhow::Error) -> String {
    let kind = match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Io(_)) => "no connection",
        Some(sqlx::Error::PoolTimedOut) => "no connection in time",
        Some(sqlx::Error::PoolClosed) => "closed",
        Some(_) => "no answer",
        None => return error.to_string(),
    };
    kind.to_owned()
}

impl Trouble {
    fn row(&self) -> AlertRow {
        AlertRow {
            id: self.id,
            kind: self.kind.name.to_owned(),
            project_id: None,
            subject: format!("from:{}", look::host()),
            details: self.details.clone(),
            opened_at: self.since,
            cleared_at: None,
            recovered_at: None,
        }
    }

    fn is_told(&self) -> bool {
        self.is_mailed || self.is_posted
    }
}

/// What is to be told.
#[derive(Debug, Default)]
struct News {
    opened: Vec<AlertRow>,
    /// Of these somebody else writes the mail.
    opened_and_mailed: Vec<AlertRow>,
    recovered: Vec<AlertRow>,
    /// How many are open now.
    open: Vec<&'static str>,
}

impl News {
    fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.opened_and_mailed.is_empty() && self.recovered.is_empty()
    }

    /// Counts what was committed.
    fn count(&self) {
        for row in self.opened.iter().chain(&self.opened_and_mailed) {
            count(&row.kind, OPENED);
        }
        for row in &self.recovered {
            count(&row.kind, RECOVERED);
        }
        for kind in KINDS {
            let open = self.open.iter().filter(|open| **open == kind.name).count();
            metrics::gauge!("trastienda_alerts_open", "kind" => kind.name)
                .set(f64::from(u32::try_from(open).unwrap_or(u32::MAX)));
        }
    }
}

fn count(kind: &str, what: &'static str) {
    let to = if what == OPENED { "opened" } else { "recovered" };
    metrics::counter!("trastienda_alerts_total", "kind" => kind.to_owned(), "to" => to).increment(1);
    if what == OPENED {
        tracing::warn!(alert = kind, "an alert opened");
    } else {
        tracing::info!(alert = kind, "an alert is over");
    }
}

/// Writes what is new and what is over.
async fn compare(
    app: &App,
    conn: &mut PgConnection,
    seen: &Seen,
    now: DateTime<Utc>,
) -> anyhow::Result<News> {
    let mut news = News::default();
    let open = store::list_open(conn).await?;
    let find = |finding: &Finding| {
        open.iter().find(|row| row.kind == finding.kind.name && row.subject == finding.subject)
    };
    for finding in &seen.findings {
        news.open.push(finding.kind.name);
        match find(finding) {
            Some(row) if row.cleared_at.is_some() || row.details != finding.details => {
                store::mark_seen(conn, row.id, &finding.details).await?;
            }
            Some(_) => {}
            None => {
                let row = new_row(app, finding, now);
                if store::insert_alert(conn, &row).await? {
                    let to = if finding.is_mailed { &mut news.opened_and_mailed } else { &mut news.opened };
                    to.push(row);
                }
            }
        }
    }
    for row in &open {
        let is_seen =
            seen.findings.iter().any(|finding| find(finding).is_some_and(|found| found.id == row.id));
        let Some(kind) = Kind::find(&row.kind).filter(|_| !is_seen) else { continue };
        if !seen.would_have_seen(kind, &row.subject) {
            news.open.push(kind.name);
            continue;
        }
        let settles = TimeDelta::from_std(kind.settles)?;
        if now - row.cleared_at.unwrap_or(now) < settles {
            news.open.push(kind.name);
            store::mark_cleared(conn, row.id, now).await?;
        } else if store::mark_recovered(conn, row.id, now).await? {
            let is_worse = kind.name == kinds::ENDPOINT_FAILING.name
                && seen.findings.iter().any(|finding| {
                    finding.kind.name == kinds::ENDPOINT_DISABLED.name && finding.subject == row.subject
                });
            // An endpoint that is disabled now has not recovered: the one alert takes the other's place.
            if !is_worse {
                news.recovered.push(AlertRow { recovered_at: Some(now), ..row.clone() });
            }
        }
    }
    Ok(news)
}

fn new_row(app: &App, finding: &Finding, now: DateTime<Utc>) -> AlertRow {
    AlertRow {
        id: app.ids.uuid(now),
        kind: finding.kind.name.to_owned(),
        project_id: finding.project,
        subject: finding.subject.clone(),
        details: finding.details.clone(),
        opened_at: now,
        cleared_at: None,
        recovered_at: None,
    }
}

/// Writes the mail, one for all, and an event for each; with what they tell, or not at all. What is off is only written
/// down as over.
async fn tell(app: &App, conn: &mut PgConnection, settings: &Settings, news: &News) -> anyhow::Result<()> {
    let is_on = |row: &&AlertRow| Kind::find(&row.kind).is_some_and(|kind| settings.is_on(kind));
    let recovered: Vec<AlertRow> = news.recovered.iter().filter(is_on).cloned().collect();
    if settings.webhook.is_some() {
        for row in news.opened.iter().chain(&news.opened_and_mailed) {
            post::write(app, conn, (OPENED, Some(row.id)), &post::data(row)).await?;
        }
        for row in &recovered {
            post::write(app, conn, (RECOVERED, Some(row.id)), &post::data(row)).await?;
        }
    }
    if settings.email.is_some() && !(news.opened.is_empty() && recovered.is_empty()) {
        let (subject, body) = words::mail(&news.opened, &recovered, &address(app));
        let key = format!("alerts:{}", app.ids.uuid(app.clock.now()).as_simple());
        operator::write(app, conn, &Alert { kind: "alerts", key, subject, body }).await?;
    }
    Ok(())
}

/// Tells everybody that this is a test; within the caller's transaction.
pub(crate) async fn tell_test(app: &App, conn: &mut PgConnection) -> anyhow::Result<bool> {
    let settings = Settings::find(app, conn).await?;
    if settings.webhook.is_some() {
        post::write(app, conn, (post::TEST, None), &post::test_data()).await?;
    }
    if settings.email.is_some() {
        let address = address(app);
        let body = format!(
            "Si lees esto, las alertas llegan.\n\nPanel:  {address}\n\n--\nIf you read this, alerts arrive.\n\nDashboard:  {address}\n"
        );
        let key = format!("alert-test:{}", app.ids.uuid(app.clock.now()).as_simple());
        let alert = Alert { kind: "alerts", key, subject: "Trastienda: prueba de alertas".to_owned(), body };
        operator::write(app, conn, &alert).await?;
    }
    Ok(settings.webhook.is_some() || settings.email.is_some())
}

/// Where the page is.
fn address(app: &App) -> String {
    app.config.public_url.join("/alerts").map_or_else(|_| app.config.public_url.to_string(), String::from)
}

/// The id of an alert that is older than any.
pub(crate) const FIRST: Uuid = Uuid::max();
