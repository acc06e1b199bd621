//! Sending mail: connect, hand over, decide.
//!
//! The server took it: `sent`. It refuses the mail for good (5xx): `failed`. It refuses for now (4xx), refuses us (a
//! wrong password says nothing about the mail) or does not answer: tried again, from a minute to six hours later,
//! for about a day. A server that took the mail without our hearing of it gets it again, with the same Message-ID.

use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::Message;
use lettre::transport::smtp::{self, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use rand::RngExt as _;
use secrecy::ExposeSecret as _;
use trastienda_protocol::ids::{Id as _, NotificationId};

use super::channel::email::{self, Envelope};
use super::model::{EmailPayload, detail};
use super::over::{self, Over};
use super::store::{self, ClaimedMail};
use crate::app::App;
use crate::events;
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};

/// Mails, and so connections, at once from one hub.
const CONCURRENCY: usize = 16;
/// For each answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// For a whole attempt; well within a lease.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(45);
/// Minutes before each retry: doubling to six hours, twenty and a half hours together, and one in ten more at worst.
const RETRY_MINUTES: [i64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360];
/// Characters of a server's answer that are kept.
const ANSWER_MAX: usize = 500;

/// The queue of mail.
pub struct Emails {
    app: App,
    server: AsyncSmtpTransport<Tokio1Executor>,
}

/// An attempt that was made, or that the mail did not come to.
#[derive(Debug)]
pub struct Attempted {
    pub(crate) mail: ClaimedMail,
    pub(crate) at: DateTime<Utc>,
    pub(crate) duration: Duration,
    pub(crate) response_code: Option<i32>,
    pub(crate) response: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) detail: Option<&'static str>,
    pub(crate) verdict: Verdict,
}

impl Attempted {
    fn new(mail: ClaimedMail, at: DateTime<Utc>) -> Self {
        let (duration, verdict) = (Duration::ZERO, Verdict::Failed);
        Self { mail, at, duration, response_code: None, response: None, error: None, detail: None, verdict }
    }

    /// Whether the server was asked.
    pub(crate) fn is_counted(&self) -> bool {
        self.duration > Duration::ZERO
    }
}

impl Emails {
    /// The queue for a hub; `None` without an SMTP server: then mail stays pending.
    pub fn new(app: &App) -> anyhow::Result<Option<Self>> {
        let Some(url) = &app.config.smtp_url else { return Ok(None) };
        let pool = PoolConfig::new().max_size(u32::try_from(CONCURRENCY).unwrap_or(u32::MAX));
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
            .map_err(|error| anyhow::anyhow!("TRASTIENDA_SMTP_URL: {error}"))?
            .timeout(Some(ANSWER_TIMEOUT))
            .pool_config(pool)
            .build();
        Ok(Some(Self { app: app.clone(), server }))
    }

    // Takes the payload out of the mail: with its files it may have 10 MB, and nobody needs it twice.
    fn message(&self, mail: &mut ClaimedMail) -> Result<Message, String> {
        let payload: EmailPayload = serde_json::from_value(mail.payload.take())
            .map_err(|error| format!("the payload cannot be read: {error}"))?;
        let id = NotificationId::from_uuid(mail.id).to_string();
        let envelope = Envelope {
            to: &mail.recipient,
            sender: &self.app.config.mail_from,
            shop: &mail.project_name,
            message_id: email::message_id(&id, &self.app.config.public_url),
            date: SystemTime::from(self.app.clock.now()),
        };
        email::message(payload, envelope).map_err(|error| error.to_string())
    }
}

impl Queue for Emails {
    type Job = ClaimedMail;
    type Done = Attempted;
    const NAME: &'static str = "emails";
    const CONCURRENCY: usize = CONCURRENCY;

    async fn claim(&self, lease: Lease, limit: i64) -> anyhow::Result<Vec<ClaimedMail>> {
        Ok(store::claim_mail(&self.app.db, lease, limit).await?)
    }

    async fn run(&self, mut mail: ClaimedMail) -> Attempted {
        let at = self.app.clock.now();
        if mail.is_suppressed {
            return Attempted { detail: Some(detail::SUPPRESSED), ..Attempted::new(mail, at) };
        }
        let message = match self.message(&mut mail) {
            Ok(message) => message,
            Err(error) => {
                let detail = Some(detail::INVALID);
                return Attempted { detail, error: Some(error), ..Attempted::new(mail, at) };
            }
        };
        let started = Instant::now();
        let answer = tokio::time::timeout(ATTEMPT_TIMEOUT, self.server.send(message)).await;
        let duration = started.elapsed().max(Duration::from_millis(1));
        let attempted = decide(Attempted { duration, ..Attempted::new(mail, at) }, answer.ok(), spread());
        let outcome = match &attempted.verdict {
            Verdict::Done => "sent",
            Verdict::Failed => "failed",
            // Without an answer nobody knows whether the server has it.
            Verdict::Retry { .. } if attempted.response_code.is_none() => "unanswered",
            Verdict::Retry { .. } => "postponed",
        };
        metrics::counter!("trastienda_email_attempts_total", "outcome" => outcome).increment(1);
        metrics::histogram!("trastienda_email_attempt_seconds").record(duration.as_secs_f64());
        attempted
    }

    async fn finish(&self, done: &[Attempted]) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.begin().await?;
        let mut is_told = false;
        for attempted in done {
            if attempted.is_counted() || attempted.error.is_some() {
                store::insert_attempt(&mut tx, self.app.ids.uuid(now), attempted).await?;
            }
            let moved = store::finish_mail(&mut tx, attempted, now).await?;
            let is_sent = attempted.verdict == Verdict::Done;
            if moved && !matches!(attempted.verdict, Verdict::Retry { .. }) {
                let over = Over::mail(&attempted.mail, is_sent, attempted.detail);
                over::announce(&self.app, &mut tx, over)
                    .await
                    .map_err(|error| anyhow::anyhow!("{error:?}"))?;
                is_told = true;
            }
        }
        tx.commit().await?;
        if is_told {
            events::wake(&self.app);
        }
        // A claim takes at most a part of the places for one project: more may be due.
        self.app.wakes.of(Self::NAME).notify_one();
        Ok(())
    }
}

/// What follows from the server's answer; `None`: it did not come in time.
fn decide(
    mut attempted: Attempted,
    answer: Option<Result<smtp::response::Response, smtp::Error>>,
    spread: f64,
) -> Attempted {
    let error = match answer {
        Some(Ok(response)) => {
            attempted.response_code = Some(i32::from(u16::from(response.code())));
            attempted.response = Some(excerpt(&response.message().collect::<Vec<_>>().join(" ")));
            attempted.verdict = Verdict::Done;
            return attempted;
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    let code = error.as_ref().and_then(smtp::Error::status).map(u16::from);
    attempted.response_code = code.map(i32::from);
    let is_refused = match (&error, code) {
        // 53x is about our own account, which the operator can mend.
        (_, Some(code)) => (500..600).contains(&code) && code / 10 != 53,
        // The server lacks what this message needs.
        (Some(error), None) => error.is_client(),
        (None, None) => false,
    };
    attempted.error = Some(match &error {
        None => "the server did not answer in time".to_owned(),
        Some(error) => {
            let source = std::error::Error::source(error).map(|source| excerpt(&source.to_string()));
            match (code, source) {
                (Some(code), source) => {
                    attempted.response = source;
                    format!("the server answered {code}")
                }
                (None, Some(source)) => format!("{}: {source}", kind(error)),
                (None, None) => kind(error).to_owned(),
            }
        }
    });
    let ended = attempted.at + TimeDelta::from_std(attempted.duration).unwrap_or_default();
    (attempted.verdict, attempted.detail) = match next_attempt(attempted.mail.attempts + 1, ended, spread) {
        _ if is_refused => (Verdict::Failed, Some(detail::REJECTED)),
        Some(at) => (Verdict::Retry { at }, None),
        None => (Verdict::Failed, Some(detail::GAVE_UP)),
    };
    attempted
}

fn kind(error: &smtp::Error) -> &'static str {
    if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_tls() {
        "no secure connection"
    } else if error.is_client() {
        "the server cannot take this message"
    } else if error.is_response() {
        "the server's answer cannot be read"
    } else {
        "the connection failed"
    }
}

fn excerpt(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(ANSWER_MAX).collect()
}

/// When to try again after so many attempts, or `None` when that was the last.
fn next_attempt(attempts: i32, now: DateTime<Utc>, spread: f64) -> Option<DateTime<Utc>> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let delay = TimeDelta::minutes(*RETRY_MINUTES.get(index)?);
    // Only ever later, by up to a tenth.
    let jitter = Duration::from_secs_f64(delay.as_seconds_f64() * 0.1 * spread.clamp(0.0, 1.0));
    now.checked_add_signed(delay + TimeDelta::from_std(jitter).ok()?)
}

fn spread() -> f64 {
    rand::rng().random_range(0.0..1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_from_a_minute_to_six_hours_and_end_within_a_day() {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        for spread in [0.0, 1.0] {
            let mut now = start;
            let mut attempts = 1;
            let mut delays = Vec::new();
            while let Some(next) = next_attempt(attempts, now, spread) {
                delays.push((next - now).num_minutes());
                (now, attempts) = (next, attempts + 1);
            }
            assert!(now - start < TimeDelta::days(1), "{:?}", now - start);
            if spread == 0.0 {
                assert_eq!(delays, RETRY_MINUTES);
            }
        }
    }
}
