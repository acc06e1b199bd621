//! Accepting: a request is rendered, checked in full and stored, or refused; nothing is left for later to find out.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{Id as _, NotificationId, ProjectId};
use trastienda_protocol::notification::{Channel, NewNotification};
use trastienda_protocol::problem::{FieldError, Problem};

use super::channel::{email, whatsapp};
use super::model::{NotificationAccepted, WhatsappLink, detail};
use super::render::{self, Rendered};
use super::store::{self, NewRow};
use super::templates::{self, Wanted};
use crate::app::App;
use crate::events::ingest::check_id;
use crate::http::{Error, Result, idempotency};
use crate::projects::model::{ProjectContext, Service};
use crate::projects::quota;
use crate::queue::worker::Queue as _;

/// How long a WhatsApp link waits for somebody to tap it.
const WHATSAPP_EXPIRES: TimeDelta = TimeDelta::days(7);

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

/// Stores a notification in one transaction, in a task of its own: a caller who hangs up cuts nothing.
pub async fn accept(app: &App, context: Arc<ProjectContext>, accept: Accept) -> Result<Accepted> {
    let app = app.clone();
    let task = tokio::spawn(async move {
        let mut tx = app.db.begin().await?;
        let accepted = store_new(&app, &mut tx, &context, accept).await?;
        tx.commit().await?;
        if !accepted.replayed {
            let channel = accepted.answer.channel.as_str();
            metrics::counter!("trastienda_notifications_total", "channel" => channel, "outcome" => "accepted")
                .increment(1);
            app.wakes.wake(super::send::Emails::NAME);
        }
        Ok(accepted)
    });
    task.await.map_err(|error| Error::Internal(error.into()))?
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
    let row = prepare(app, conn, context, Request { id, new, fingerprint, now }).await?;
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

struct Request {
    id: NotificationId,
    new: NewNotification,
    fingerprint: [u8; 32],
    now: DateTime<Utc>,
}

/// Renders and checks; the row is all that sending needs.
async fn prepare(
    app: &App,
    conn: &mut PgConnection,
    context: &ProjectContext,
    request: Request,
) -> Result<NewRow> {
    let Request { id, new, fingerprint, now } = request;
    let project = context.project.id;
    let mut errors = Vec::new();
    let phone = match new.channel {
        Channel::Email => {
            errors.extend(email::check(&new));
            None
        }
        Channel::Whatsapp => whatsapp::recipient(&new.to)
            .await
            .map_err(|message| errors.push(FieldError::new("/to", message)))
            .ok(),
    };
    let texts = match texts(conn, context, &new).await {
        Ok(texts) => Some(texts),
        Err(Error::Invalid(wrong)) => {
            errors.extend(wrong);
            None
        }
        Err(other) => return Err(other),
    };
    let (Some(texts), true) = (texts, errors.is_empty()) else { return Err(errors.into()) };
    let send_at = new.send_at.unwrap_or(now).max(now);
    let mut row = NewRow {
        project,
        id,
        channel: new.channel.as_str(),
        recipient: new.to.clone(),
        payload: Value::Null,
        template: new.template.clone(),
        template_version: texts.version,
        locale: texts.locale,
        order_id: new.order_id.clone(),
        metadata: Value::Object(new.metadata.clone()),
        status: "pending",
        detail: None,
        problem: None,
        open_token_hash: None,
        run_at: send_at,
        expires_at: new.expires_at,
        fingerprint,
        created_at: now,
        finished_at: None,
    };
    if let Some(phone) = phone {
        let payload = whatsapp::payload(&phone, &texts.rendered.text.unwrap_or_default());
        row.payload = serde_json::to_value(payload).map_err(anyhow::Error::from)?;
        row.recipient = phone.e164();
        row.open_token_hash = Some(whatsapp::token_hash(&whatsapp::open_token(app, project, id)).to_vec());
        row.expires_at = Some(new.expires_at.unwrap_or(send_at + WHATSAPP_EXPIRES));
    } else {
        let payload = email::payload(&new, texts.rendered);
        row.payload = serde_json::to_value(payload).map_err(anyhow::Error::from)?;
    }
    Ok(row)
}

struct Texts {
    rendered: Rendered,
    version: Option<i32>,
    locale: Option<String>,
}

/// The texts of a request: its own, or its template's with its data.
async fn texts(conn: &mut PgConnection, context: &ProjectContext, new: &NewNotification) -> Result<Texts> {
    let texts = match &new.template {
        None => {
            let rendered =
                Rendered { subject: new.subject.clone(), html: new.html.clone(), text: new.text.clone() };
            Texts { rendered, version: None, locale: new.locale.clone() }
        }
        Some(name) => {
            let wanted = Wanted {
                name,
                channel: new.channel,
                version: new.template_version,
                locale: new.locale.as_deref(),
            };
            let found = templates::lookup(conn, context.project.id, wanted).await?;
            let own = templates::own_variables(&context.project);
            // Amounts are written as in the locale that was asked for, even where the words fall back.
            let written_in = new.locale.as_deref().unwrap_or(&found.locale);
            let rendered = render::render(found.parts(), written_in, "/data", &new.data, &own)?;
            Texts { rendered, version: Some(found.version), locale: Some(found.locale) }
        }
    };
    if new.channel == Channel::Whatsapp {
        let length = texts.rendered.text.as_deref().unwrap_or_default().chars().count();
        if length == 0 || length > whatsapp::TEXT_MAX {
            let pointer = if new.template.is_some() { "/data" } else { "/text" };
            let message =
                format!("makes a message of {length} characters; WhatsApp takes 1 to {}", whatsapp::TEXT_MAX);
            return Err(Error::field(pointer, message));
        }
    } else if texts.rendered.subject.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::field("/data", "makes an empty subject"));
    }
    Ok(texts)
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

/// Stores a notification that a batch's rules refuse: the shop was told that it is safe, so it is not dropped.
pub(crate) async fn record_refused(
    app: &App,
    context: &ProjectContext,
    id: NotificationId,
    body: &Value,
    problem: &Problem,
) -> Result<()> {
    let now = app.clock.now();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(clean);
    let channel = text("channel").and_then(|channel| Channel::parse(&channel)).unwrap_or(Channel::Email);
    let mut refused = body.clone();
    if let Some(map) = refused.as_object_mut() {
        // Up to 7 MiB that nobody will send.
        map.remove("attachments");
    }
    let row = NewRow {
        project: context.project.id,
        id,
        channel: channel.as_str(),
        recipient: text("to").unwrap_or_default(),
        payload: serde_json::json!({ "refused": cleaned(refused) }),
        template: text("template"),
        template_version: None,
        locale: None,
        order_id: text("order_id"),
        metadata: Value::Object(serde_json::Map::new()),
        status: "failed",
        detail: Some(detail::REFUSED),
        problem: Some(cleaned(serde_json::to_value(problem).unwrap_or_default())),
        open_token_hash: None,
        run_at: now,
        expires_at: None,
        fingerprint: fingerprint(&app.fingerprint_key, body),
        created_at: now,
        finished_at: Some(now),
    };
    let mut tx = app.db.begin().await?;
    let is_new = store::insert_notification(&mut tx, &row).await?;
    if is_new {
        let over = super::over::Over::refused(&row);
        super::over::announce(app, &mut tx, over).await?;
    }
    tx.commit().await?;
    if is_new {
        crate::events::wake(app);
        metrics::counter!("trastienda_refused_after_acknowledgement_total", "kind" => "notification")
            .increment(1);
    }
    Ok(())
}

/// PostgreSQL holds no NUL; one in the body may be the very reason for the refusal.
fn clean(text: &str) -> String {
    text.chars().take(320).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => items.into_iter().map(cleaned).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), cleaned(value))).collect()
        }
        other => other,
    }
}
