//! Sending mail to the operator: tried again for two days, from a minute to an hour later.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::{Mailbox, Message, SinglePart};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::store::{self, ClaimedMail};
use crate::alerts::settings::Settings;
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

/// The operator's own servers.
pub(crate) struct Post {
    servers: Vec<Server>,
    pool: Pool,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Post")
    }
}

/// The queue of mail to the operator.
pub(super) struct OperatorMails {
    app: App,
    post: Post,
}

/// An attempt that was made.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) mail: ClaimedMail,
    pub(super) error: Option<String>,
    pub(super) verdict: Verdict,
}

impl Post {
    /// Nothing without a server.
    pub(crate) fn new(app: &App) -> anyhow::Result<Option<Self>> {
        let Some(url) = &app.config.smtp_url else { return Ok(None) };
        let servers = Server::operators(url.expose_secret())
            .map_err(|error| anyhow::anyhow!("TRASTIENDA_SMTP_URL: {error}"))?;
        Ok(Some(Self { servers, pool: Pool::default() }))
    }

    /// Sends a mail; its id makes the Message-ID, the same in every attempt.
    pub(crate) async fn send(
        &self,
        app: &App,
        to: &Mailbox,
        (id, subject, body): (Uuid, &str, &str),
    ) -> Result<(), NotSent> {
        let domain = app.config.public_url.domain().unwrap_or("invalid");
        let message = Message::builder()
            .from(app.config.mail_from.clone())
            .to(to.clone())
            .subject(subject)
            .message_id(Some(format!("<operator-{}@trastienda.{domain}>", id.as_simple())))
            .date(SystemTime::from(app.clock.now()))
            .singlepart(SinglePart::plain(body.to_owned()))
            .map_err(|error| NotSent { what: error.to_string(), is_final: true })?;
        self.hand_over(app, &message).await.map_err(|what| NotSent { what, is_final: false })
    }

    /// Hands a message to the first of the operator's servers that takes it; another is asked only while nobody can
    /// have it yet.
    async fn hand_over(&self, app: &App, message: &Message) -> Result<(), String> {
        let share = ATTEMPT_TIMEOUT / u32::try_from(self.servers.len()).unwrap_or(1).max(1);
        let mut last = "there is no server".to_owned();
        for server in &self.servers {
            let smtp = Smtp { server, pool: &self.pool, outbound: &app.outbound };
            match smtp.hand_over(message, Instant::now() + share).await {
                Ok(_) => return Ok(()),
                Err(not_taken) if not_taken.is_servers && !not_taken.is_doubtful => last = not_taken.what,
                Err(not_taken) => return Err(not_taken.what),
            }
        }
        Err(last)
    }
}

/// Why a mail was not sent.
#[derive(Debug)]
pub(crate) struct NotSent {
    /// What the server said, which may hold an address.
    pub(crate) what: String,
    /// It never will be.
    pub(crate) is_final: bool,
}

impl OperatorMails {
    pub(super) fn new(app: &App) -> anyhow::Result<Option<Self>> {
        Ok(Post::new(app)?.map(|post| Self { app: app.clone(), post }))
    }

    async fn attempt(&self, mail: &ClaimedMail) -> Result<(), NotSent> {
        let later = |what: String| NotSent { what, is_final: false };
        let settings = async { Settings::find(&self.app, &mut *self.app.db.acquire().await?).await };
        let to = settings.await.map_err(|error| later(error.to_string()))?.email;
        let to = to.ok_or_else(|| later("nobody is to be written to".to_owned()))?;
        self.post.send(&self.app, &to, (mail.id, &mail.subject, &mail.body)).await
    }
}

impl Queue for OperatorMails {
    type Job = ClaimedMail;
    type Done = Attempted;
    const NAME: &'static str = "operator_mails";
    const CONCURRENCY: usize = 2;

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<ClaimedMail>> {
        Ok(store::claim_mails(&self.app.db, lease, limit).await?)
    }

    async fn run(&self, mail: ClaimedMail) -> Attempted {
        let error = self.attempt(&mail).await.err();
        let verdict = match &error {
            None => Verdict::Done,
            Some(error) if error.is_final => Verdict::Failed,
            Some(_) => next_attempt(mail.attempts + 1, self.app.clock.now())
                .map_or(Verdict::Failed, |at| Verdict::Retry { at }),
        };
        let error = error.map(|error| error.what);
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
