//! Accepting: a request is rendered, checked in full and stored, or refused; nothing is left for later to find out.

mod gather;
mod prepare;
mod refused;

use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{Id as _, NotificationId, ProjectId};
use trastienda_protocol::notification::{Channel, NewNotification};

pub use self::gather::Gate;
use self::prepare::{Lookups, Request, prepare};
pub(crate) use self::refused::record_refused;
use super::channel::whatsapp;
use super::model::{NotificationAccepted, WhatsappLink};
use super::store;
use crate::app::App;
use crate::events::ingest::check_id;
use crate::http::{Error, Result, idempotency};
use crate::projects::model::{ProjectContext, Service};
use crate::projects::quota;
use crate::queue::worker::Queue as _;

/// A notification to be accepted, from outside.
#[derive(Debug)]
pub struct Accept {
    /// The checked body.
    pub notification: NewNotification,
    /// The digest of the body.
    pub fingerprint: [u8; 32],
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Whether an agent has acknowledged it already: then no quota refuses it.
    pub acknowledged: bool,
}

/// A notification that is accepted, now or by an earlier call.
#[derive(Debug)]
pub struct Accepted {
    /// The answer.
    pub answer: NotificationAccepted,
    /// Whether an earlier call made it.
    pub replayed: bool,
}

impl Accept {
    /// What makes it the same as another one.
    fn keys(&self) -> impl Iterator<Item = String> {
        let id = self.notification.id.map(|id| id.to_string());
        let key = self.idempotency_key.as_ref().map(|key| format!("key/{key}"));
        id.into_iter().chain(key)
    }

    /// Reads a body.
    pub fn parse(app: &App, body: &Value) -> Result<Self> {
        let notification = NewNotification::parse(body)?;
        Ok(Self {
            notification,
            fingerprint: fingerprint(&app.fingerprint_key, body),
            idempotency_key: None,
            acknowledged: false,
        })
    }
}

/// Stores a notification, in a task of its own: a caller who hangs up cuts nothing.
pub async fn accept(app: &App, context: Arc<ProjectContext>, accept: Accept) -> Result<Accepted> {
    let (context, accept) = match app.accepting.pass(context, accept).await {
        Ok(outcome) => return outcome,
        Err(alone) => alone,
    };
    let task = {
        let app = app.clone();
        tokio::spawn(async move { accept_alone(&app, context, accept).await })
    };
    let accepted = task.await.map_err(|error| Error::Internal(error.into()))??;
    if !accepted.replayed {
        wake(app);
    }
    Ok(accepted)
}

/// In a transaction of its own.
async fn accept_alone(app: &App, context: Arc<ProjectContext>, accept: Accept) -> Result<Accepted> {
    let mut tx = app.db.begin().await?;
    let accepted = store_new(app, &mut tx, &context, accept).await?;
    tx.commit().await?;
    if !accepted.replayed {
        let channel = accepted.answer.channel.as_str();
        metrics::counter!("trastienda_notifications_total", "channel" => channel, "outcome" => "accepted")
            .increment(1);
    }
    Ok(accepted)
}

fn wake(app: &App) {
    app.wakes.wake(super::send::Emails::NAME);
}

async fn store_new(
    app: &App,
    conn: &mut PgConnection,
    context: &ProjectContext,
    accept: Accept,
) -> Result<Accepted> {
    let now = app.clock.now();
    let project = context.project.id;
    let Accept { notification: new, fingerprint, idempotency_key, acknowledged } = accept;
    let id = match new.id {
        Some(id) => check_id(id, now, context.limits.retention_days)?,
        None => app.new_id(),
    };
    if let Some(key) = &idempotency_key {
        let claim = idempotency::Claim {
            project,
            key,
            fingerprint: &fingerprint,
            kind: "notification",
            resource: id.uuid(),
            lease_until: None,
        };
        if let Some(existing) = idempotency::claim(conn, claim, now).await? {
            let existing = NotificationId::from_uuid(existing);
            let replayed = replay(app, conn, project, existing, &fingerprint).await?;
            return replayed.ok_or_else(|| {
                anyhow::anyhow!("the notification {existing} of an idempotency key is gone").into()
            });
        }
    }
    if acknowledged {
        // An agent's dead letter that is tried again: what was refused under this id gives way.
        store::delete_refused(conn, project, id).await?;
    }
    // Before it is rendered: a repeat is the thing as it is now, whatever became of its template.
    if new.id.is_some()
        && let Some(replayed) = replay(app, conn, project, id, &fingerprint).await?
    {
        return Ok(replayed);
    }
    let service = match new.channel {
        Channel::Email => Service::Emails,
        Channel::Whatsapp => Service::Whatsapp,
    };
    let request = Request { id, new: &new, fingerprint, now };
    let row = prepare(app, conn, &mut Lookups::default(), context, request).await?;
    if !store::insert_notification(conn, &row).await? {
        let replayed = replay(app, conn, project, id, &fingerprint).await?;
        return replayed.ok_or_else(|| anyhow::anyhow!("the notification {id} is taken and gone").into());
    }
    quota::take(conn, context, service, now, acknowledged).await?;
    let whatsapp = match service {
        Service::Whatsapp => link_of(app, project, id, &row.payload),
        _ => None,
    };
    let channel = if whatsapp.is_some() { Channel::Whatsapp } else { Channel::Email };
    let answer = NotificationAccepted { id, channel, status: row.status.to_owned(), whatsapp };
    Ok(Accepted { answer, replayed: false })
}

async fn replay(
    app: &App,
    conn: &mut PgConnection,
    project: ProjectId,
    id: NotificationId,
    digest: &[u8; 32],
) -> Result<Option<Accepted>> {
    let Some(row) = store::find_notification(conn, project, id).await? else { return Ok(None) };
    if row.fingerprint != digest {
        return Err(idempotency::reused());
    }
    let notification = super::show(app, row)?;
    let answer = NotificationAccepted {
        id,
        channel: notification.channel,
        status: notification.status,
        whatsapp: notification.whatsapp,
    };
    Ok(Some(Accepted { answer, replayed: true }))
}

fn link_of(app: &App, project: ProjectId, id: NotificationId, payload: &Value) -> Option<WhatsappLink> {
    let link = payload.get("link")?.as_str()?.to_owned();
    Some(whatsapp::link(app, project, id, link))
}
