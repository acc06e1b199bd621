//! Sending mail: ask the servers in their order, decide, write down.
//!
//! A server took it: `sent`. It refuses the mail for good (5xx): `failed`, and a recipient that does not exist goes on the
//! suppression list. It refuses for now (4xx), refuses us (a wrong password says nothing about the mail) or is away: the
//! next server is asked, and when none is left it is tried again, from a minute to six hours later, for about a day. A
//! server that may have taken the mail without our hearing of it gets it again, with the same Message-ID; no other does.

mod attachments;
mod attempt;
mod retry;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::{Mailbox, Message};
use secrecy::ExposeSecret as _;
use tokio::sync::OwnedSemaphorePermit;
use trastienda_protocol::ids::{Id as _, NotificationId};

use self::attempt::{Outcome, Try};
use super::channel::email::{self, Envelope};
use super::model::{EmailPayload, detail};
use super::over::{self, Over};
use super::smtp::health::Health;
use super::smtp::lanes::{AHEAD_MAX, Lane, Lanes, OPERATORS_MAX, OWN_MAX, Place};
use super::smtp::pool::Pool;
use super::smtp::{Server, accounts, senders};
use super::store::{self, ClaimedMail, Room};
use super::suppressions::Suppression;
use crate::app::App;
use crate::http;
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};

/// Mails at once from one hub, over all lanes, those that wait for their turn among them.
const CONCURRENCY: usize = 512;
/// Mails at once through one project's own accounts while the hub has few places left.
const FEW: usize = 2;
/// For a whole attempt; well within a lease.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(45);
/// For so long it is believed that no project has an account of its own.
const OWN_UNKNOWN: Duration = Duration::from_secs(1);
/// For the files that it names by address.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
/// For how long an address that a server refused is not written to.
const SUPPRESSED: TimeDelta = TimeDelta::days(30);
/// Characters of a server's answer that are kept.
const ANSWER_MAX: usize = 500;

/// The queue of mail.
pub struct Emails {
    app: App,
    operators: Arc<[Server]>,
    pool: Pool,
    health: Health,
    lanes: Lanes,
    /// When no project had an account of its own.
    nobody_has_own: Mutex<Option<Instant>>,
}

/// A mail to be sent, in its place.
#[derive(Debug)]
pub struct Job {
    mail: ClaimedMail,
    place: Place,
}

/// What became of a mail's turn.
#[derive(Debug)]
pub struct Attempted {
    pub(crate) mail: ClaimedMail,
    pub(crate) tries: Vec<Try>,
    pub(crate) detail: Option<&'static str>,
    pub(crate) verdict: Verdict,
    /// Why the recipient is not to be written to again.
    hard: Option<String>,
    /// Given up once this is written down.
    held: Option<(Place, OwnedSemaphorePermit)>,
}

impl Attempted {
    fn new(mail: ClaimedMail, verdict: Verdict, detail: Option<&'static str>) -> Self {
        Self { mail, tries: Vec::new(), detail, verdict, hard: None, held: None }
    }

    /// It was not its turn: as if it had not been claimed.
    fn put_back(mail: ClaimedMail, now: DateTime<Utc>) -> Self {
        Self::new(mail, Verdict::Retry { at: now }, None)
    }

    /// Whether a server was asked.
    pub(crate) fn is_counted(&self) -> bool {
        self.tries.iter().any(|one| one.server.is_some())
    }
}

impl Emails {
    /// The queue for a hub. Without an SMTP server of the operator's, the mail of projects without one stays pending.
    pub fn new(app: &App) -> Result<Self, String> {
        let operators = if let Some(urls) = &app.config.smtp_url {
            Server::operators(urls.expose_secret())?
        } else {
            tracing::warn!(
                "TRASTIENDA_SMTP_URL is not set: e-mail of projects without an SMTP account stays pending"
            );
            Vec::new()
        };
        let connections = operators.first().and_then(|server| server.connections).unwrap_or(OPERATORS_MAX);
        let lanes = Lanes::new(connections, app.wakes.of(Self::NAME));
        let (pool, health) = (Pool::default(), Health::default());
        Ok(Self {
            app: app.clone(),
            operators: operators.into(),
            pool,
            health,
            lanes,
            nobody_has_own: Mutex::default(),
        })
    }

    /// The servers for a mail, in their order.
    async fn servers(&self, mail: &ClaimedMail) -> anyhow::Result<Arc<[Server]>> {
        if !mail.is_own {
            return Ok(self.operators.clone());
        }
        let mut conn = self.app.db.acquire().await?;
        let rows = store::list_accounts(&mut conn, mail.project_id).await?;
        let enabled = rows.iter().filter(|row| row.is_enabled);
        enabled.map(|row| accounts::server(&self.app.sealer, row).map_err(anyhow::Error::msg)).collect()
    }

    /// Whether the mail's sender may still be used where it goes: the rules, or the accounts, may have changed.
    async fn may_write_as(&self, mail: &ClaimedMail, payload: &EmailPayload) -> anyhow::Result<bool> {
        let Some(from) = payload.from.as_deref().and_then(email::parse_mailbox) else { return Ok(true) };
        if mail.is_own {
            return Ok(true);
        }
        let mut conn = self.app.db.acquire().await?;
        let project = (mail.project_id, mail.project_domain.as_str());
        Ok(senders::is_allowed(&mut conn, project, &self.app.config.mail_from, &from).await?)
    }

    fn message(
        &self,
        mail: &ClaimedMail,
        payload: &EmailPayload,
        server: &Server,
    ) -> Result<Message, String> {
        let id = NotificationId::from_uuid(mail.id).to_string();
        let own = server.account.as_ref().and_then(|account| email::parse_mailbox(&account.sender));
        let hubs = || Mailbox::new(Some(mail.project_name.clone()), self.app.config.mail_from.email.clone());
        let envelope = Envelope {
            to: &mail.recipient,
            sender: own.unwrap_or_else(hubs),
            message_id: email::message_id(&id, &self.app.config.public_url),
            date: SystemTime::from(self.app.clock.now()),
        };
        email::message(payload.clone(), envelope).map_err(|error| error.to_string())
    }

    /// Asks one server after the other.
    async fn send(&self, mut mail: ClaimedMail) -> Attempted {
        let now = self.app.clock.now();
        let later = |mail| Attempted::new(mail, Verdict::Retry { at: now + TimeDelta::minutes(1) }, None);
        if mail.is_suppressed {
            return Attempted::new(mail, Verdict::Failed, Some(detail::SUPPRESSED));
        }
        let payload = match mail.payload.take() {
            Some(payload) => payload,
            None => match store::load_payload(&self.app.db, &mail).await {
                Ok(Some(payload)) => payload,
                // It has another's lease by now.
                Ok(None) => return Attempted::put_back(mail, now),
                Err(error) => {
                    tracing::error!(%error, "cannot load a mail");
                    return later(mail);
                }
            },
        };
        let payload = match serde_json::from_str::<EmailPayload>(&payload) {
            Ok(payload) => payload,
            Err(error) => return invalid(mail, now, format!("the payload cannot be read: {error}")),
        };
        let prepared =
            async { anyhow::Ok((self.servers(&mail).await?, self.may_write_as(&mail, &payload).await?)) };
        let (servers, may_write) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "cannot prepare a mail");
                return later(mail);
            }
        };
        if !may_write {
            return invalid(
                mail,
                now,
                "its `from` may no longer be used through the hub's SMTP server".to_owned(),
            );
        }
        let deadline = tokio::time::Instant::now() + ATTEMPT_TIMEOUT;
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, attachments::fetch(&self.app, payload)).await;
        let fetched = fetched
            .unwrap_or_else(|_| Err(attachments::Unfetched::Now("the attachments take too long".to_owned())));
        let payload = match fetched {
            Ok(payload) => payload,
            Err(attachments::Unfetched::Never(error)) => return invalid(mail, now, error),
            Err(attachments::Unfetched::Now(error)) => {
                let mut attempted = Attempted::new(mail, Verdict::Failed, None);
                attempted
                    .tries
                    .push(Try { server: Some("attachments".to_owned()), ..Try::failed(now, error) });
                return retry::decide(attempted, self.app.clock.now());
            }
        };
        let mut attempted = Attempted::new(mail, Verdict::Failed, None);
        let well: Vec<&Server> =
            servers.iter().filter(|server| self.health.rests_until(&server.key, now).is_none()).collect();
        for server in well {
            let message = match self.message(&attempted.mail, &payload, server) {
                Ok(message) => message,
                Err(error) => return invalid(attempted.mail, now, error),
            };
            let (one, outcome) = self.attempt(server, &message, deadline).await;
            attempted.tries.push(one);
            match outcome {
                Outcome::Taken => {
                    attempted.verdict = Verdict::Done;
                    return attempted;
                }
                Outcome::Refused { hard } => {
                    (attempted.detail, attempted.hard) = (Some(detail::REJECTED), hard);
                    return attempted;
                }
                // Another server would make a second mail of it.
                Outcome::Doubtful => break,
                Outcome::Elsewhere
                    if deadline.saturating_duration_since(tokio::time::Instant::now()).as_secs() < 5 =>
                {
                    break;
                }
                Outcome::Elsewhere => {}
            }
        }
        self.note_rest(&attempted.mail, &servers);
        if !attempted.is_counted() {
            return later(attempted.mail);
        }
        retry::decide(attempted, self.app.clock.now())
    }

    /// A lane rests when all of its servers do.
    fn note_rest(&self, mail: &ClaimedMail, servers: &[Server]) {
        let now = self.app.clock.now();
        let rests: Option<Vec<DateTime<Utc>>> =
            servers.iter().map(|server| self.health.rests_until(&server.key, now)).collect();
        if let Some(until) = rests.and_then(|rests| rests.into_iter().min()) {
            self.lanes.set_rest(lane(mail), Some(until));
        }
    }

    /// Whether any project has an account of its own; an installation without is not asked for their mail again and again.
    async fn somebody_has_own(&self) -> sqlx::Result<bool> {
        let nobody_since = *self.nobody_has_own.lock().unwrap_or_else(PoisonError::into_inner);
        if nobody_since.is_some_and(|since| since.elapsed() < OWN_UNKNOWN) {
            return Ok(false);
        }
        let asked = Instant::now();
        let somebody = store::exists_enabled_account(&self.app.db).await?;
        *self.nobody_has_own.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(asked).filter(|_| !somebody);
        Ok(somebody)
    }

    async fn claim_own(&self, lease: &Lease, free: i64) -> anyhow::Result<Vec<Job>> {
        if !self.somebody_has_own().await? {
            return Ok(Vec::new());
        }
        // The operator's lane keeps its places, however many servers of projects hang; and so do, nearly, those who have few.
        let limit = free - places(self.lanes.max(Lane::Operators) + AHEAD_MAX);
        let each = if limit > places(CONCURRENCY / 4) { OWN_MAX } else { FEW };
        let (projects, rooms) = self.lanes.taken(lease.now, each);
        let room = Room { is_own: true, limit: limit.max(0), each: places(each), projects, rooms };
        self.claim_lane(lease, room).await
    }

    async fn claim_lane(&self, lease: &Lease, room: Room) -> anyhow::Result<Vec<Job>> {
        if room.limit == 0 {
            return Ok(Vec::new());
        }
        let claimed = store::claim_mail(&self.app.db, lease, &room).await?;
        Ok(claimed.into_iter().map(|mail| Job { place: self.lanes.enter(lane(&mail)), mail }).collect())
    }
}

fn places(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn lane(mail: &ClaimedMail) -> Lane {
    if mail.is_own { Lane::Own(mail.project_id) } else { Lane::Operators }
}

fn invalid(mail: ClaimedMail, now: DateTime<Utc>, error: String) -> Attempted {
    let mut attempted = Attempted::new(mail, Verdict::Failed, Some(detail::INVALID));
    attempted.tries.push(Try::failed(now, error));
    attempted
}

impl Queue for Emails {
    type Job = Job;
    type Done = Attempted;
    const NAME: &'static str = "emails";
    const CONCURRENCY: usize = CONCURRENCY;
    const PACE: Duration = Duration::from_millis(8);

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<Job>> {
        let mut jobs = Vec::new();
        if !self.operators.is_empty() {
            let limit = limit.min(places(self.lanes.operators_room(lease.now)));
            let each = (limit / 2).max(1);
            let room = Room { is_own: false, limit, each, projects: Vec::new(), rooms: Vec::new() };
            jobs = self.claim_lane(lease, room).await?;
        }
        // What is claimed already must run, whatever becomes of this.
        match self.claim_own(lease, limit).await {
            Ok(own) => jobs.extend(own),
            Err(error) if jobs.is_empty() => return Err(error),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "cannot claim mail of projects' own accounts");
            }
        }
        Ok(jobs)
    }

    async fn run(&self, job: Job) -> Attempted {
        let Job { mail, place } = job;
        let Some(turn) = place.turn(|| self.app.clock.now()).await else {
            return Attempted::put_back(mail, self.app.clock.now());
        };
        let now = self.app.clock.now();
        if self.app.shutdown.token.is_cancelled() || mail.expires_at.is_some_and(|at| at <= now) {
            return Attempted::put_back(mail, now);
        }
        let started = Instant::now();
        let mut attempted = self.send(mail).await;
        // The next one may go before this one is written down.
        drop(turn.connection);
        if attempted.is_counted() {
            place.note_pace(started.elapsed());
            let outcome = match &attempted.verdict {
                Verdict::Done => "sent",
                Verdict::Failed => "failed",
                Verdict::Retry { .. } if attempted.tries.iter().any(|one| one.is_doubtful) => "unanswered",
                Verdict::Retry { .. } => "postponed",
            };
            metrics::counter!("trastienda_email_attempts_total", "outcome" => outcome).increment(1);
            metrics::histogram!("trastienda_email_attempt_seconds").record(started.elapsed().as_secs_f64());
        }
        attempted.held = Some((place, turn.unwritten));
        attempted
    }

    async fn finish(&self, done: &[Attempted]) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.begin().await?;
        let rows = attempt::rows(done, |at| self.app.ids.uuid(at));
        if !rows.ids.is_empty() {
            store::insert_tries(&mut tx, &rows).await?;
        }
        let moved = store::finish_mails(&mut tx, done, now).await?;
        let mut told = Vec::new();
        for attempted in
            done.iter().filter(|attempted| moved.contains(&(attempted.mail.project_id, attempted.mail.id)))
        {
            if let Some(reason) = &attempted.hard {
                let address = attempted.mail.recipient.to_lowercase();
                let id = self.app.ids.uuid(now);
                let suppression = Suppression {
                    id,
                    address,
                    reason: reason.clone(),
                    created_at: now,
                    expires_at: Some(now + SUPPRESSED),
                };
                store::suppress_refused(&mut tx, attempted.mail.project_id, &suppression, attempted.mail.id)
                    .await?;
                metrics::counter!("trastienda_suppressed_total").increment(1);
            }
            if !matches!(attempted.verdict, Verdict::Retry { .. }) {
                let is_sent = attempted.verdict == Verdict::Done;
                told.push(Over::mail(&attempted.mail, is_sent, attempted.detail));
            }
        }
        for (key, note) in attempt::accounts(done) {
            store::note_account(&mut tx, key, &note, now).await?;
        }
        let announced =
            over::announce_all(&self.app, &mut tx, told, true).await.map_err(http::Error::into_cause)?;
        tx.commit().await?;
        for followed in announced {
            followed.committed(&self.app);
        }
        Ok(())
    }
}
