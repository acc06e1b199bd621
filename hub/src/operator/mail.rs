//! Sending mail to the operator: tried again for two days, from a minute to an hour later.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::{Mailbox, Message, SinglePart};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::store::{self, ClaimedMail};
use crate::app::App;
use crate::notifications::channel::Transport as _;
use crate::notifications::smtp::Server;
use crate::notifications::smtp::handover::Smtp;
use crate::notifications::smtp::pool::Pool;
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};

/// For a whole attempt, over however many servers; well within a lease.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(45);
const ATTEMPTS_MAX: i32 = 54;

/// The queue of mail to the operator.
pub(super) struct OperatorMails {
    app: App,
    servers: Vec<Server>,
    pool: Pool,
    to: Mailbox,
}

/// An attempt that was made.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) mail: ClaimedMail,
    pub(super) error: Option<String>,
    pub(super) verdict: Verdict,
}

impl OperatorMails {
    pub(super) fn new(app: &App) -> anyhow::Result<Option<Self>> {
        let (Some(url), Some(to)) = (&app.config.smtp_url, &app.config.operator_email) else {
            return Ok(None);
        };
        let servers = Server::operators(url.expose_secret())
            .map_err(|error| anyhow::anyhow!("TRASTIENDA_SMTP_URL: {error}"))?;
        Ok(Some(Self { app: app.clone(), servers, pool: Pool::default(), to: to.clone() }))
    }

    /// Hands a message to the first of the operator's servers that takes it; another is asked only while nobody can
    /// have it yet.
    async fn hand_over(&self, message: &Message) -> Result<(), String> {
        let share = ATTEMPT_TIMEOUT / u32::try_from(self.servers.len()).unwrap_or(1).max(1);
        let mut last = "there is no server".to_owned();
        for server in &self.servers {
            let smtp = Smtp { server, pool: &self.pool, outbound: &self.app.outbound };
            match smtp.hand_over(message, Instant::now() + share).await {
                Ok(_) => return Ok(()),
                Err(not_taken) if not_taken.is_servers && !not_taken.is_doubtful => last = not_taken.what,
                Err(not_taken) => return Err(not_taken.what),
            }
        }
        Err(last)
    }

    fn message(&self, mail: &ClaimedMail) -> Result<Message, lettre::error::Error> {
        let domain = self.app.config.public_url.domain().unwrap_or("invalid");
        Message::builder()
            .from(self.app.config.mail_from.clone())
            .to(self.to.clone())
            .subject(mail.subject.clone())
            // The same in every attempt.
            .message_id(Some(format!("<operator-{}@trastienda.{domain}>", mail.id.as_simple())))
            .date(SystemTime::from(self.app.clock.now()))
            .singlepart(SinglePart::plain(mail.body.clone()))
    }
}

impl Queue for OperatorMails {
    type Job = ClaimedMail;
    type Done = Attempted;
    const NAME: &'static str = "operator_mails";
    const CONCURRENCY: usize = 2;

    async fn claim(&self, lease: Lease, limit: i64) -> anyhow::Result<Vec<ClaimedMail>> {
        Ok(store::claim_mails(&self.app.db, lease, limit).await?)
    }

    async fn run(&self, mail: ClaimedMail) -> Attempted {
        let message = match self.message(&mail) {
            Ok(message) => message,
            Err(error) => {
                return Attempted { mail, error: Some(error.to_string()), verdict: Verdict::Failed };
            }
        };
        let error = self.hand_over(&message).await.err();
        let verdict = if error.is_none() {
            Verdict::Done
        } else {
            next_attempt(mail.attempts + 1, self.app.clock.now())
                .map_or(Verdict::Failed, |at| Verdict::Retry { at })
        };
        Attempted { mail, error, verdict }
    }

    async fn finish(&self, done: &[Attempted]) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.begin().await?;
        for attempted in done {
            store::finish_mail(&mut tx, attempted, now).await?;
            if attempted.error.is_some() {
                // What the server said may hold an address; it is in the row.
                let attempts = attempted.mail.attempts + 1;
                tracing::error!(
                    attempts,
                    "mail to the operator was not taken: operator_mails.last_error says why"
                );
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

/// After a minute, two, four … and then every hour.
fn next_attempt(attempts: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let minutes = 1i64 << u32::try_from(attempts - 1).unwrap_or(0).min(6);
    now.checked_add_signed(TimeDelta::minutes(minutes.min(60)))
}
