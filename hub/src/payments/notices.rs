//! Handling what the provider sent: the notice only says which payment to ask about.

use chrono::{DateTime, Utc};
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};

use super::lanes::{self, Side};
use super::model::{Payment, TimelineEntry};
use super::provider::{self, CallError, Exchange, Snapshot};
use super::settle::{self, Moved};
use super::store::{self, ClaimedNotice};
use super::{credentials, schedule, waiters};
use crate::app::App;
use crate::events;
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};

/// How often a payment that the provider does not know is asked about: its notice may come before it can be read.
const NOT_FOUND_MAX: i32 = 5;

/// The queue of notices.
pub(crate) struct Notices(pub(crate) App);

/// A notice that was looked into.
#[derive(Debug)]
pub(crate) struct Done {
    notice: ClaimedNotice,
    at: DateTime<Utc>,
    account_id: Option<String>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// The provider's payment as it is now.
    Payment { snapshot: Box<Snapshot>, request_id: Option<String>, duration_ms: i32 },
    /// It is about nothing that could be ours.
    Ignored(&'static str),
    /// The provider did not say.
    Retry(DateTime<Utc>),
    /// The account's lane is shut: it was not asked.
    Postponed(DateTime<Utc>),
}

impl Queue for Notices {
    type Job = ClaimedNotice;
    type Done = Done;
    const NAME: &'static str = "notices";
    const CONCURRENCY: usize = 32;
    // One transaction each: a notice that cannot be written holds up no other.
    const WRITERS: usize = 8;
    const BATCH: usize = 1;

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<ClaimedNotice>> {
        let rooms = lanes::rooms(Side::Back, lease.now);
        Ok(store::claim_notices(&self.0.db, lease, limit, &rooms).await?)
    }

    async fn run(&self, notice: ClaimedNotice) -> Done {
        let at = self.0.clock.now();
        let (answer, account_id) = match ask(&self.0, &notice).await {
            Ok(answered) => answered,
            Err(error) => {
                tracing::error!(notice.id = %notice.id, error = format!("{error:#}"), "a notice was not looked into");
                (Answer::Retry(schedule::after_unknown(notice.attempts, at)), None)
            }
        };
        Done { notice, at, account_id, answer }
    }

    async fn finish(&self, done: &[Done]) -> anyhow::Result<()> {
        for done in done {
            finish(&self.0, done).await?;
        }
        Ok(())
    }
}

async fn ask(app: &App, notice: &ClaimedNotice) -> anyhow::Result<(Answer, Option<String>)> {
    let provider = provider::find(&notice.provider)
        .ok_or_else(|| anyhow::anyhow!("payment_notices.provider is `{}`", notice.provider))?;
    if !provider.notices().is_some_and(|notices| notices.is_followed(&notice.topic)) {
        return Ok((Answer::Ignored("topic"), None));
    }
    let project = ProjectId::from_uuid(notice.project_id);
    let opened = credentials::open(app, &mut *app.db.acquire().await?, project, provider).await?;
    let Some(credentials) = opened else { return Ok((Answer::Ignored("not_configured"), None)) };
    let pass = match lanes::enter(app, project, provider.name(), Side::Back, Notices::NAME) {
        Ok(pass) => pass,
        Err(at) => return Ok((Answer::Postponed(at), None)),
    };
    let exchange = provider.find_payment(&credentials.access, &notice.resource_id).await;
    pass.report(&exchange.result, app.clock.now());
    Ok((answer(notice, exchange, app.clock.now()), credentials.account_id))
}

fn answer(notice: &ClaimedNotice, exchange: Exchange<Option<Snapshot>>, now: DateTime<Utc>) -> Answer {
    let duration_ms = i32::try_from(exchange.duration.as_millis()).unwrap_or(i32::MAX);
    match exchange.result {
        Ok(Some(snapshot)) => {
            Answer::Payment { snapshot: Box::new(snapshot), request_id: exchange.request_id, duration_ms }
        }
        // A stranger's hint names anything; a signed notice is never in vain for long.
        Ok(None) if notice.attempts >= NOT_FOUND_MAX || !notice.is_signed => Answer::Ignored("not_found"),
        Err(CallError::Refused { .. }) => Answer::Ignored("refused"),
        Err(CallError::Busy { retry_after }) => {
            Answer::Retry(schedule::after_busy(notice.attempts, retry_after, now))
        }
        Ok(None) | Err(_) => Answer::Retry(schedule::after_unknown(notice.attempts.min(4), now)),
    }
}

async fn finish(app: &App, done: &Done) -> anyhow::Result<()> {
    match write(app, done).await {
        Ok((moved, id)) => {
            if moved.told {
                events::wake(app);
            }
            if let Some(id) = id {
                waiters::wake(id);
            }
            Ok(())
        }
        Err(error) => Err(error.context(format!("the notice {}", done.notice.id))),
    }
}

async fn write(app: &App, done: &Done) -> anyhow::Result<(Moved, Option<PaymentId>)> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let (verdict, outcome) = match &done.answer {
        Answer::Payment { .. } => (Verdict::Done, "handled"),
        Answer::Ignored(why) => (Verdict::Failed, *why),
        Answer::Retry(at) => (Verdict::Retry { at: *at }, "retry"),
        Answer::Postponed(at) => (Verdict::Retry { at: *at }, "postponed"),
    };
    let is_unspent = matches!(done.answer, Answer::Postponed(_));
    if !store::finish_notice(&mut tx, &done.notice, &verdict, is_unspent, now).await? {
        return Ok((Moved::default(), None));
    }
    let mut result = (Moved::default(), None);
    let mut label = outcome;
    if let Answer::Payment { snapshot, request_id, duration_ms } = &done.answer {
        if let Some(mut payment) = lock(&mut tx, &done.notice, snapshot).await? {
            let call = settle::call_entry(done.at, said(&done.notice), request_id.clone(), *duration_ms);
            let entry = TimelineEntry { kind: "notice".to_owned(), ..call };
            store::insert_entry(&mut tx, &payment, app.ids.uuid(done.at), &entry).await?;
            let account = done.account_id.as_deref();
            let moved = settle::take_in(app, &mut tx, &mut payment, snapshot, account).await?;
            result = (moved, Some(payment.id));
        } else {
            label = "not_ours";
            store::mark_notice_ignored(&mut tx, &done.notice).await?;
        }
    }
    tx.commit().await?;
    metrics::counter!("trastienda_payment_notices_handled_total", "outcome" => label).increment(1);
    Ok(result)
}

fn said(notice: &ClaimedNotice) -> String {
    let kind = if notice.is_signed { "signed notice" } else { "unsigned hint" };
    format!("{kind} about {}: asked the provider", notice.resource_id)
}

/// Our payment that the provider's is for; payments of other programs have other references.
async fn lock(
    conn: &mut sqlx::PgConnection,
    notice: &ClaimedNotice,
    snapshot: &Snapshot,
) -> anyhow::Result<Option<Payment>> {
    let Some(id) = snapshot.reference.as_deref().and_then(|text| PaymentId::parse(text).ok()) else {
        return Ok(None);
    };
    let project = ProjectId::from_uuid(notice.project_id);
    let payment = store::lock_payment(conn, project, id, None).await?;
    Ok(payment.filter(|payment| payment.provider == notice.provider))
}
