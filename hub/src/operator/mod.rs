//! What the operator is told by mail: what needs a person and is nobody's request.
//!
//! Invariants:
//! - A mail is written in the transaction of what it tells; the row is the job. Its key says what it is about, so that
//!   nothing is told twice.
//! - What is told is logged and counted too, also when nobody is to be written to (`TRASTIENDA_OPERATOR_EMAIL`, or the dashboard's page of alerts).
//!
//! It goes through the hub's own SMTP servers, in their order, and counts for no project's quota.

mod mail;
mod refused;
mod store;

use sqlx::PgConnection;

use crate::alerts::kinds::Kind;
use crate::alerts::settings::Settings;
use crate::app::App;
use crate::queue::worker::{self, Queue as _};

pub(crate) use mail::Post;
pub(crate) use refused::{Refused, tell_refused};

/// Something to tell.
#[derive(Debug)]
pub(crate) struct Alert {
    /// What kind of thing, for metrics.
    pub(crate) kind: &'static str,
    /// What exactly: the same key is told once.
    pub(crate) key: String,
    /// The mail's subject.
    pub(crate) subject: String,
    /// The mail's text: Spanish first, English after.
    pub(crate) body: String,
}

/// Starts the queue. Without a server nothing is sent; what is written waits.
pub fn start(app: &App) {
    match mail::OperatorMails::new(app) {
        Ok(Some(mails)) => drop(worker::start(app, mails)),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "mail to the operator is not sent"),
    }
}

/// Tells the operator, within the caller's transaction. Wake with [`wake`] after the commit. A kind of alerts that is off
/// is not told.
pub(crate) async fn tell(app: &App, conn: &mut PgConnection, alert: Alert) -> anyhow::Result<()> {
    let settings = Settings::find(app, conn).await?;
    let kind = Kind::find(alert.kind);
    if kind.is_some_and(|kind| !settings.is_on(kind)) {
        return Ok(());
    }
    if settings.email.is_some() && !write(app, conn, &alert).await? {
        return Ok(());
    }
    metrics::counter!("trastienda_operator_alerts_total", "kind" => alert.kind).increment(1);
    tracing::warn!(alert = alert.kind, key = alert.key, "the operator is told");
    Ok(())
}

/// Writes a mail, within the caller's transaction; false if its key was told already.
pub(crate) async fn write(app: &App, conn: &mut PgConnection, alert: &Alert) -> sqlx::Result<bool> {
    let now = app.clock.now();
    store::insert_mail(conn, app.ids.uuid(now), alert, now).await
}

/// After a commit that told something.
pub(crate) fn wake(app: &App) {
    app.wakes.wake(mail::OperatorMails::NAME);
}
