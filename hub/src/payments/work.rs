//! The queue of payments: makes them at their providers, asks how they stand, withdraws them, gives money back.
//!
//! Never twice: the row, the provider's key and the claim are committed before a call leaves. Each claim counts, so
//! a second claim knows that an earlier call may have had its effect (also when a hub died over it): it looks for
//! what was made before it sends anything, and sends under the same key.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::at_once;
use super::calls::Calls;
use super::credentials::{self, Credentials};
use super::lanes::{self, Pass, Side};
use super::model::{Action, Payment};
use super::provider::{self, CallError, Created, Order, Provider, Snapshot, Withdrawal};
use super::settle::{self, Moved};
use super::status::Status;
use super::store::{self, Attempts, ClaimedPayment, Next};
use super::{refunds, schedule, waiters};
use crate::app::App;
use crate::events;
use crate::http::idempotency;
use crate::queue::Lease;
use crate::queue::in_hand::Hold;
use crate::queue::worker::Queue;

/// How long the calls of one job may take together: well within the lease.
const WORK_MAX: Duration = Duration::from_secs(50);

/// The queue of payments: those that are only asked about (`SYNC`), or all others. Apart, so that however many
/// are asked about, nobody waits for them.
pub(crate) struct Jobs<const SYNC: bool>(pub(crate) App);

/// A payment to be worked on: claimed, or handed over as soon as it was written.
pub(crate) struct Job {
    pub(crate) claimed: ClaimedPayment,
    pub(crate) ready: Option<Box<Ready>>,
}

/// What a payment that was just written needs no more reading for.
pub(crate) struct Ready {
    pub(crate) payment: Payment,
    pub(crate) credentials: Credentials,
    /// Its place on the account's lane.
    pub(crate) pass: Pass,
    /// The caller's `Idempotency-Key`, if it is held until the outcome is written.
    pub(crate) key: Option<String>,
}

/// A job that was worked on.
#[derive(Debug)]
pub(crate) struct Done {
    job: ClaimedPayment,
    key: Option<String>,
    calls: Calls,
    account_id: Option<String>,
    outcome: Outcome,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is made.
    Made(Box<Created>),
    /// The provider will not make it.
    Refused(String),
    /// Its time was over before it was ever sent.
    Expired,
    /// How the provider's payments stand.
    Seen(Vec<Snapshot>),
    /// It can no longer be paid; how the provider's payments stand after that.
    Withdrawn(Vec<Snapshot>),
    /// What came of a refund, and how the payment stands after it.
    Refunded(Box<refunds::Outcome>),
    /// Later.
    Retry(DateTime<Utc>),
    /// The account's lane is shut: nothing was tried.
    Postponed(DateTime<Utc>),
    /// There was nothing to do.
    Nothing,
}

impl<const SYNC: bool> Queue for Jobs<SYNC> {
    type Job = Job;
    type Done = Done;
    const NAME: &'static str = if SYNC { "payment_syncs" } else { "payments" };
    const CONCURRENCY: usize = if SYNC { 16 } else { 64 };
    // One transaction each: a payment that cannot be written holds up no other.
    const WRITERS: usize = 8;
    const BATCH: usize = 1;

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<Job>> {
        let rooms = lanes::rooms(Self::SIDE, lease.now);
        let claimed = store::claim_payments(&self.0.db, lease, limit, SYNC, &rooms).await?;
        let jobs: Vec<Job> = claimed.into_iter().map(|claimed| Job { claimed, ready: None }).collect();
        if !SYNC {
            at_once::learn(&rooms, &jobs, limit);
        }
        Ok(jobs)
    }

    fn hold(job: &Job) -> Option<&Hold> {
        Some(&job.claimed.lease)
    }

    async fn run(&self, job: Job) -> Done {
        let Job { claimed, ready } = job;
        let (pass, known, key) = if let Some(ready) = ready {
            let Ready { payment, credentials, pass, key } = *ready;
            (Ok(pass), Some((payment, credentials)), key)
        } else {
            let pass = lanes::enter(&self.0, claimed.project, &claimed.provider, Self::SIDE, Self::NAME);
            (pass, None, None)
        };
        let mut done =
            Done { job: claimed, key, calls: Calls::default(), account_id: None, outcome: Outcome::Nothing };
        done.calls = match pass {
            Ok(pass) => Calls::on(pass),
            Err(at) => return Done { outcome: Outcome::Postponed(at), ..done },
        };
        let outcome = match tokio::time::timeout(WORK_MAX, work(&self.0, &mut done, known)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::error!(payment.id = %done.job.id, error = format!("{error:#}"), "a payment's job failed");
                Outcome::Retry(schedule::after_unknown(done.job.attempts, self.0.clock.now()))
            }
            Err(_) => {
                tracing::warn!(payment.id = %done.job.id, "a payment's job ran out of time");
                Outcome::Retry(schedule::after_unknown(done.job.attempts, self.0.clock.now()))
            }
        };
        done.outcome = outcome;
        done.calls.leave();
        done
    }

    async fn finish(&self, done: &[Done]) -> anyhow::Result<()> {
        for done in done {
            finish(&self.0, done).await?;
        }
        Ok(())
    }
}

impl<const SYNC: bool> Jobs<SYNC> {
    const SIDE: Side = if SYNC { Side::Back } else { Side::Front };
}

async fn work(app: &App, done: &mut Done, known: Option<(Payment, Credentials)>) -> anyhow::Result<Outcome> {
    let job = done.job.clone();
    let provider = provider::find(&job.provider)
        .ok_or_else(|| anyhow::anyhow!("payment_transactions.provider of {} is not known", job.id))?;
    let (payment, credentials) = match known {
        Some(known) => known,
        // No connection is held while the provider is called.
        None => read(app, &job, provider).await?,
    };
    let Some(action) = payment.action else { return Ok(Outcome::Nothing) };
    done.account_id.clone_from(&credentials.account_id);
    let desk = Desk { app, provider, credentials: &credentials, payment: &payment, attempts: job.attempts };
    Ok(match action {
        Action::Create => desk.create(&mut done.calls).await,
        Action::Sync => match desk.ask(&mut done.calls).await {
            Ok(snapshots) => Outcome::Seen(snapshots),
            Err(error) => Outcome::Retry(desk.ask_again(&error)),
        },
        Action::Cancel => desk.cancel(&mut done.calls).await,
        Action::Refund => refunds::work(&desk, &mut done.calls).await?,
    })
}

async fn read(
    app: &App,
    job: &ClaimedPayment,
    provider: &dyn Provider,
) -> anyhow::Result<(Payment, Credentials)> {
    let mut conn = app.db.acquire().await?;
    let payment = store::get_payment(&mut conn, job.project, job.id).await?;
    let credentials = credentials::open(app, &mut conn, job.project, provider).await?;
    let credentials =
        credentials.ok_or_else(|| anyhow::anyhow!("the project has no credentials at {}", job.provider))?;
    Ok((payment, credentials))
}

/// One payment and what is needed to work on it.
pub(crate) struct Desk<'a> {
    pub(crate) app: &'a App,
    pub(crate) provider: &'a dyn Provider,
    pub(crate) credentials: &'a Credentials,
    pub(crate) payment: &'a Payment,
    /// Claims of the action, this one included.
    pub(crate) attempts: i32,
}

impl Desk<'_> {
    async fn create(&self, calls: &mut Calls) -> Outcome {
        let Self { app, provider, payment, .. } = self;
        // A notice was faster than the answer to our own call: the provider has it.
        if payment.standing.status != Status::Pending || payment.standing.external_id.is_some() {
            return Outcome::Nothing;
        }
        let access = &self.credentials.access;
        let address = super::inbound::address(app, provider.name(), payment.project_id);
        let order = Order {
            reference: payment.id.to_string(),
            key: &payment.provider_key,
            method: payment.method,
            amount: payment.amount,
            request: &payment.request,
            expires_at: payment.expires_at,
            notification_url: provider.notification_url(app, &address),
        };
        if self.attempts > 1 {
            let now = app.clock.now();
            let found = calls.record("look for it", now, provider.find_created(access, &order).await);
            match found {
                Ok(Some(created)) => return Outcome::Made(Box::new(created)),
                Ok(None) => {}
                Err(error) => return Outcome::Retry(self.later(&error)),
            }
        }
        let now = app.clock.now();
        if payment.expires_at.is_some_and(|at| at <= now) || now >= schedule::end(None, payment.created_at) {
            return Outcome::Expired;
        }
        match calls.record("create", now, provider.create(access, &order).await) {
            Ok(created) => Outcome::Made(Box::new(created)),
            Err(CallError::Refused { code, .. } | CallError::Unauthorized { code }) => Outcome::Refused(code),
            Err(CallError::NotFound) => Outcome::Refused("not_found".to_owned()),
            Err(error) => Outcome::Retry(self.later(&error)),
        }
    }

    /// How the provider's payments for this one stand.
    pub(crate) async fn ask(&self, calls: &mut Calls) -> Result<Vec<Snapshot>, CallError> {
        let Self { app, provider, payment, .. } = self;
        let access = &self.credentials.access;
        let reference = payment.id.to_string();
        let listed = provider.list_payments(access, &reference).await;
        let mut seen = calls.record("search", app.clock.now(), listed)?;
        // A search may lag behind; what is known by its number is asked for by it.
        if let Some(external_id) = &payment.standing.external_id {
            let found = provider.find_payment(access, external_id).await;
            seen.extend(calls.record("read", app.clock.now(), found)?);
        }
        Ok(seen)
    }

    async fn cancel(&self, calls: &mut Calls) -> Outcome {
        let Self { app, provider, payment, .. } = self;
        let now = app.clock.now();
        let withdrawal = Withdrawal {
            provider_reference: payment.provider_reference.as_deref(),
            external_id: payment.standing.external_id.as_deref(),
            now,
        };
        let withdrawn = provider.withdraw(&self.credentials.access, &withdrawal).await;
        let snapshot = match calls.record("withdraw", now, withdrawn) {
            Ok(snapshot) => snapshot,
            // It is not in a state to be withdrawn: how it stands says why.
            Err(CallError::Refused { .. } | CallError::NotFound) => {
                return match self.ask(calls).await {
                    Ok(snapshots) => Outcome::Seen(snapshots),
                    Err(error) => Outcome::Retry(self.later(&error)),
                };
            }
            Err(error) => return Outcome::Retry(self.later(&error)),
        };
        // It may have been paid a moment before.
        match self.ask(calls).await {
            Ok(mut snapshots) => {
                snapshots.extend(snapshot);
                Outcome::Withdrawn(snapshots)
            }
            Err(error) => Outcome::Retry(self.later(&error)),
        }
    }

    /// When a call that makes something is looked into.
    pub(crate) fn later(&self, error: &CallError) -> DateTime<Utc> {
        let now = self.app.clock.now();
        match error {
            CallError::Busy { retry_after } => schedule::after_busy(self.attempts, *retry_after, now),
            _ => schedule::after_unknown(self.attempts, now),
        }
    }

    /// When a question is asked again: it does no harm, so at least every five minutes.
    fn ask_again(&self, error: &CallError) -> DateTime<Utc> {
        let now = self.app.clock.now();
        match error {
            CallError::Busy { retry_after } => schedule::after_busy(self.attempts.min(3), *retry_after, now),
            CallError::Unauthorized { .. } => schedule::after_unknown(4, now),
            _ => schedule::after_unknown(self.attempts.min(3), now),
        }
    }
}

/// Writes what came of a job.
async fn finish(app: &App, done: &Done) -> anyhow::Result<()> {
    match write(app, done).await {
        Ok((moved, payment)) => {
            if moved.told {
                events::wake(app);
            }
            match payment {
                Some(payment) => waiters::tell(payment),
                None => waiters::wake(done.job.id),
            }
            Ok(())
        }
        Err(error) => Err(error.context(format!("the outcome of {}", done.job.id))),
    }
}

/// Writes it, and gives the payment as it stands then.
async fn write(app: &App, done: &Done) -> anyhow::Result<(Moved, Option<Payment>)> {
    let mut tx = app.db.begin().await?;
    let job = &done.job;
    let locked = store::lock_payment(&mut tx, job.project, job.id, Some(job.lease.token())).await?;
    // Another hub took the lease over: what it finds out is as true.
    let Some(mut payment) = locked else { return Ok((Moved::default(), None)) };
    let now = app.clock.now();
    let mut moved = Moved::default();
    let mut asked_at = None;
    let account = done.account_id.as_deref();
    if !matches!(done.outcome, Outcome::Seen(_)) {
        done.calls.write(app, &mut tx, &payment).await?;
    }
    match &done.outcome {
        Outcome::Made(created) => {
            keep_made(&mut payment, created);
            if let Some(snapshot) = &created.payment {
                moved = settle::take_in(app, &mut tx, &mut payment, snapshot, account).await?;
            }
        }
        Outcome::Refused(code) => {
            payment.request.card = None;
            moved = settle::close(app, &mut tx, &mut payment, &format!("rejected_{code}")).await?;
        }
        Outcome::Expired => {
            payment.request.card = None;
            moved = settle::close(app, &mut tx, &mut payment, "expired").await?;
        }
        Outcome::Seen(snapshots) | Outcome::Withdrawn(snapshots) => {
            asked_at = Some(now);
            moved = settle::take_in_all(app, &mut tx, &mut payment, snapshots, account).await?;
            // Of questions that told nothing new the timeline keeps none: there are thousands.
            if matches!(done.outcome, Outcome::Seen(_)) && moved.changed {
                done.calls.write(app, &mut tx, &payment).await?;
            }
            let is_over = now >= schedule::end(payment.expires_at, payment.created_at);
            let is_withdrawn = matches!(done.outcome, Outcome::Withdrawn(_));
            // An attempt that is being decided, or held, may yet be paid.
            let undecided = payment.standing.detail.is_some();
            if is_withdrawn && !undecided {
                moved = moved.and(settle::close(app, &mut tx, &mut payment, "cancelled").await?);
            } else if is_over {
                moved = moved.and(settle::close(app, &mut tx, &mut payment, "expired").await?);
            }
        }
        Outcome::Refunded(outcome) => {
            moved = refunds::write(app, &mut tx, &mut payment, outcome, account).await?;
        }
        Outcome::Retry(_) | Outcome::Postponed(_) | Outcome::Nothing => {}
    }
    let next = match &done.outcome {
        Outcome::Retry(at) => Next { action: payment.action, run_at: *at, attempts: Attempts::Kept },
        Outcome::Postponed(at) => Next { action: payment.action, run_at: *at, attempts: Attempts::Unspent },
        _ => next(&mut tx, &payment, now).await?,
    };
    payment.action = next.action;
    if matches!(done.outcome, Outcome::Made(_) | Outcome::Refused(_) | Outcome::Expired) {
        store::release_made(&mut tx, &payment, next).await?;
    } else {
        store::release_payment(&mut tx, &payment, next, asked_at).await?;
    }
    if let Some(key) = done.key.as_deref().filter(|_| payment.is_made()) {
        idempotency::release(&mut tx, payment.project_id, key).await?;
    }
    tx.commit().await?;
    Ok((moved, Some(payment)))
}

/// What is to be done next about a payment that stands as it does.
async fn next(conn: &mut sqlx::PgConnection, payment: &Payment, now: DateTime<Utc>) -> anyhow::Result<Next> {
    let refunds = match payment.standing.status {
        Status::Pending => Vec::new(),
        _ => store::list_refunds(conn, payment.project_id, payment.id).await?,
    };
    let (action, run_at) = if payment.standing.status == Status::Pending {
        (Some(Action::Sync), schedule::next_sync(payment.method, payment.created_at, now))
    } else if refunds.iter().any(|refund| refund.status == "pending") {
        (Some(Action::Refund), now)
    } else {
        (None, now)
    };
    Ok(Next { action, run_at, attempts: Attempts::Anew })
}

/// Puts what was made into the row. A card's token has done its work.
fn keep_made(payment: &mut Payment, created: &Created) {
    payment.request.card = None;
    let keep = |ours: &mut Option<String>, made: &Option<String>| {
        if made.is_some() {
            ours.clone_from(made);
        }
    };
    keep(&mut payment.provider_reference, &created.provider_reference);
    keep(&mut payment.checkout_url, &created.checkout_url);
    if let Some(snapshot) = &created.payment {
        keep(&mut payment.qr_code, &snapshot.qr_code);
        keep(&mut payment.qr_code_base64, &snapshot.qr_code_base64);
        keep(&mut payment.ticket_url, &snapshot.ticket_url);
        payment.expires_at = payment.expires_at.or(snapshot.expires_at);
    }
}
