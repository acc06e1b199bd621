//! What the operator is told by mail: what needs a person and is nobody's request.
//!
//! Invariants:
//! - A mail is written in the transaction of what it tells; the row is the job. Its key says what it is about, so that
//!   nothing is told twice.
//! - What is told is logged and counted too, also when nobody is to be written to (`TRASTIENDA_OPERATOR_EMAIL`).
//!
//! It goes through the hub's own SMTP servers, in their order, and counts for no project's quota.

mod mail;
mod refused;
mod store;

use sqlx::PgConnection;

use crate::app::App;
use crate::queue::worker::{self, Queue as _};

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

/// Starts the queue. Without an address or a server nothing is sent; what is written waits.
pub fn start(app: &App) {
    match mail::OperatorMails::new(app) {
        Ok(Some(mails)) => drop(worker::start(app, mails)),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "mail to the operator is not sent"),
    }
}

/// Tells the operator, within the caller's transaction. Wake with [`wake`] after the commit.
pub(crate) async fn tell(app: &App, conn: &mut PgConnection, alert: Alert) -> sqlx::Result<()> {
    if app.config.operator_email.is_some() {
        let now = app.clock.now();
        if !store::insert_mail(conn, app.ids.uuid(now), &alert, now).await? {
            return Ok(());
        }
    }
    metrics::counter!("trastienda_operator_alerts_total", "kind" => alert.kind).increment(1);
    tracing::warn!(alert = alert.kind, key = alert.key, "the operator is told");
    Ok(())
}

/// After a commit that told something.
pub(crate) fn wake(app: &App) {
    app.wakes.wake(mail::OperatorMails::NAME);
}
