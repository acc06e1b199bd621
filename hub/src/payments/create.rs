//! Taking a payment: everything that must never be lost or doubled is committed before the provider hears of it.
//!
//! The row, its provider key and the caller's `Idempotency-Key` commit together; the queue makes the call and goes
//! on by itself; the caller waits for as long as they like to.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use trastienda_protocol::payment::NewPayment;
use trastienda_protocol::problem::{FieldError, Problem};

use super::at_once::{self, AtOnce};
use super::model::{Action, Payment};
use super::provider::{self, Provider};
use super::request::Request;
use super::status::{Standing, Status};
use super::store;
use super::waiters::Waiter;
use super::work::Jobs;
use crate::app::App;
use crate::events::ingest::check_id;
use crate::http::{Error, Result, idempotency};
use crate::projects::model::{ProjectContext, Service};
use crate::projects::quota;
use crate::queue::worker::Queue as _;

/// For how long a repeat is told that the first call is still running.
const LEASE: TimeDelta = TimeDelta::seconds(60);

/// A payment to be taken.
#[derive(Debug)]
pub(crate) struct Creation {
    pub(crate) new: NewPayment,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) idempotency_key: String,
    /// How long the caller waits for the outcome.
    pub(crate) wait: Duration,
    /// Whether an agent has acknowledged it already: then no quota refuses it.
    pub(crate) acknowledged: bool,
}

impl Creation {
    /// Reads a body.
    pub(crate) fn parse(app: &App, body: &Value, idempotency_key: String, wait: Duration) -> Result<Self> {
        let new = NewPayment::parse(body)?;
        let fingerprint = fingerprint(&app.fingerprint_key, body);
        Ok(Self { new, fingerprint, idempotency_key, wait, acknowledged: false })
    }
}

/// A payment that was taken, now or by an earlier call.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) payment: Payment,
    pub(crate) replayed: bool,
}

/// Takes a payment and waits for its outcome, in a task of its own: a caller who hangs up cuts nothing.
pub(crate) async fn create(app: &App, context: Arc<ProjectContext>, creation: Creation) -> Result<Taken> {
    let app = app.clone();
    let task = tokio::spawn(async move {
        let project = context.project.id;
        let mut tx = app.db.begin().await?;
        let written = take(&app, &mut tx, &context, &creation).await?;
        tx.commit().await?;
        let (payment, at_once) = match written {
            Written::Before(id) => {
                let waited = Waiter::new(project, id).wait(&app, creation.wait, Payment::is_made).await;
                return Ok(Taken { payment: waited?, replayed: true });
            }
            Written::Now(written) => *written,
        };
        let waiter = Waiter::new(project, payment.id);
        let key = (!creation.wait.is_zero()).then(|| creation.idempotency_key.clone());
        // Whoever makes the call at once gives the key free with its outcome.
        let is_at_once = at_once.is_some();
        match at_once {
            Some(at_once) => at_once.go(payment.clone(), key.clone()),
            None => app.wakes.wake(Jobs::<false>::NAME),
        }
        let waited = waiter.wait_from(&app, payment, creation.wait, Payment::is_made).await;
        let is_free = is_at_once && waited.as_ref().is_ok_and(Payment::is_made);
        if let Some(key) = key.filter(|_| !is_free) {
            idempotency::release(&mut *app.db.acquire().await?, project, &key).await?;
        }
        Ok(Taken { payment: waited?, replayed: false })
    });
    task.await.map_err(|error| Error::Internal(error.into()))?
}

/// What became of a call to take a payment.
enum Written {
    /// It is written now, with the places for its call if that can be made at once.
    Now(Box<(Payment, Option<AtOnce>)>),
    /// An earlier call wrote it.
    Before(PaymentId),
}

/// Writes the payment, unless an earlier call did.
async fn take(
    app: &App,
    conn: &mut PgConnection,
    context: &ProjectContext,
    creation: &Creation,
) -> Result<Written> {
    let now = app.clock.now();
    let project = context.project.id;
    let id = match creation.new.id {
        Some(id) => check_id(id, now, context.limits.retention_days)?,
        None => app.new_id(),
    };
    let claim = idempotency::Claim {
        project,
        key: &creation.idempotency_key,
        fingerprint: &creation.fingerprint,
        kind: "payment",
        resource: id.uuid(),
        lease_until: (!creation.wait.is_zero()).then(|| now + LEASE),
    };
    if let Some(existing) = idempotency::claim(conn, claim, now).await? {
        return Ok(Written::Before(PaymentId::from_uuid(existing)));
    }
    // An id that was made just now is nobody's.
    let known = match creation.new.id {
        Some(_) => store::find_payment(conn, project, id).await?,
        None => None,
    };
    if let Some(existing) = known {
        return replay(conn, &existing, creation).await;
    }
    let (provider, row) = check(conn, project, &creation.new, now).await?;
    let payment = build(app, project, id, provider, creation);
    let at_once = at_once::reserve(app, project, provider, row.as_ref());
    if store::insert_payment(conn, &payment, at_once.as_ref().map(AtOnce::lease)).await? {
        quota::take(conn, context, Service::Payments, now, creation.acknowledged).await?;
        Ok(Written::Now(Box::new((payment, at_once))))
    } else {
        let existing = store::get_payment(conn, project, id).await?;
        replay(conn, &existing, creation).await
    }
}

/// The same id under another key is the same payment, if it is the same call.
async fn replay(conn: &mut PgConnection, existing: &Payment, creation: &Creation) -> Result<Written> {
    if existing.fingerprint != creation.fingerprint {
        return Err(idempotency::reused());
    }
    idempotency::release(conn, existing.project_id, &creation.idempotency_key).await?;
    Ok(Written::Before(existing.id))
}

/// What can be said about it before the provider is asked.
async fn check(
    conn: &mut PgConnection,
    project: ProjectId,
    new: &NewPayment,
    now: DateTime<Utc>,
) -> Result<(&'static dyn Provider, Option<store::ProviderRow>)> {
    let Some(provider) = provider::for_method(new.method) else {
        return Err(Error::field("/method", "is not offered by this version"));
    };
    let configured = store::find_provider(conn, project, provider.name()).await?;
    let mut errors = Vec::new();
    if new.expires_at.is_some_and(|at| at <= now) {
        errors.push(FieldError::new("/expires_at", "must be in the future"));
    }
    let charges_in =
        configured.as_ref().and_then(|row| row.site.as_deref()).and_then(|site| provider.currency(site));
    if let Some(currency) = charges_in.filter(|currency| *currency != new.amount.currency) {
        let message =
            format!("must be {}: the provider's account charges in nothing else", currency.as_str());
        errors.push(FieldError::new("/currency", message));
    }
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    if configured.is_none() && provider.needs_credentials() {
        let detail = format!(
            "the project has no credentials at {0}: set them with `PUT /v1/payment-providers/{0}`",
            provider.name()
        );
        return Err(Problem::new(422, "provider_not_configured", "Provider not configured", detail).into());
    }
    Ok((provider, configured))
}

fn build(
    app: &App,
    project: ProjectId,
    id: PaymentId,
    provider: &dyn Provider,
    creation: &Creation,
) -> Payment {
    let now = app.clock.now();
    let new = &creation.new;
    Payment {
        project_id: project,
        id,
        provider: provider.name().to_owned(),
        method: new.method,
        order_id: new.order_id.clone(),
        amount: new.amount,
        order_amount: new.order_amount,
        request: Request::from(new),
        metadata: new.metadata.clone(),
        standing: Standing {
            status: Status::Pending,
            detail: None,
            refunded_minor: 0,
            external_id: None,
            dispute: None,
        },
        provider_reference: None,
        provider_key: app.ids.uuid(now).to_string(),
        checkout_url: None,
        qr_code: None,
        qr_code_base64: None,
        ticket_url: None,
        action: Some(Action::Create),
        run_at: now,
        synced_at: None,
        expires_at: new.expires_at,
        fingerprint: creation.fingerprint.to_vec(),
        created_at: now,
        updated_at: now,
        paid_at: None,
    }
}
