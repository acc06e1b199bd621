//! Storing events: from a shop, from an agent's batch, from the hub itself.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use trastienda_protocol::event::NewEvent;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{self, EventId, Id, ProjectId};
use trastienda_protocol::limits::ID_AHEAD_MAX;
use trastienda_protocol::problem::{FieldError, Problem};

use super::model::{Event, Source};
use super::{catalogue, store};
use crate::app::App;
use crate::db::partitions;
use crate::http::{Error, Result, idempotency};
use crate::projects::model::{ProjectContext, Service};
use crate::projects::quota;

const ORDER_PAID: &str = "order.paid";

/// An event to be stored, from outside.
#[derive(Debug)]
pub struct Ingest {
    /// The checked body.
    pub event: NewEvent,
    /// The digest of the body.
    pub fingerprint: [u8; 32],
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Whether an agent has acknowledged it already: then no quota refuses it.
    pub acknowledged: bool,
    /// What its type's schema says about the data.
    pub schema_errors: Vec<FieldError>,
}

/// An event that is stored, now or by an earlier call.
#[derive(Debug)]
pub struct Ingested {
    /// The event.
    pub event: Event,
    /// Whether an earlier call stored it.
    pub replayed: bool,
}

impl Ingest {
    /// Reads a body.
    pub fn parse(app: &App, body: &Value) -> Result<Self> {
        let event = NewEvent::parse(body)?;
        Ok(Self {
            schema_errors: catalogue::check(&event.event_type, &event.data),
            event,
            fingerprint: fingerprint(&app.fingerprint_key, body),
            idempotency_key: None,
            acknowledged: false,
        })
    }
}

/// Stores an event and what follows from it, in one transaction, in a task of its own: a caller who hangs up
/// cuts nothing.
pub async fn ingest(app: &App, context: std::sync::Arc<ProjectContext>, ingest: Ingest) -> Result<Ingested> {
    let app = app.clone();
    let task = tokio::spawn(async move {
        let mut tx = app.db.begin().await?;
        let ingested = store(&app, &mut tx, &context, ingest).await?;
        tx.commit().await?;
        if !ingested.replayed {
            wake(&app);
        }
        Ok(ingested)
    });
    task.await.map_err(|error| Error::Internal(error.into()))?
}

async fn store(
    app: &App,
    conn: &mut PgConnection,
    context: &ProjectContext,
    ingest: Ingest,
) -> Result<Ingested> {
    let now = app.clock.now();
    let project = context.project.id;
    let id = match ingest.event.id {
        Some(id) => check_id(id, now, context.limits.retention_days)?,
        None => app.new_id(),
    };
    if let Some(key) = &ingest.idempotency_key {
        let claim = idempotency::Claim {
            project,
            key,
            fingerprint: &ingest.fingerprint,
            kind: "event",
            resource: id.uuid(),
            lease_until: None,
        };
        if let Some(existing) = idempotency::claim(conn, claim, now).await? {
            return replay(conn, project, EventId::from_uuid(existing), &ingest.fingerprint).await;
        }
    }
    if ingest.acknowledged {
        // An agent's dead letter that is tried again: what was refused under this id gives way.
        store::delete_rejected(conn, project, id).await?;
    }
    let order_id = ingest.event.order_id().map(str::to_owned);
    let event = Event {
        id,
        project_id: project,
        event_type: ingest.event.event_type,
        source: Source::Shop,
        status: "accepted",
        order_id,
        data: ingest.event.data,
        occurred_at: ingest.event.occurred_at,
        created_at: now,
        duplicate_of: None,
        problem: None,
        schema_errors: None,
        blanked_at: None,
    };
    match write(app, conn, event, &ingest.fingerprint).await? {
        Some(mut event) => {
            catalogue::flag(conn, &mut event, &ingest.schema_errors).await?;
            quota::take(conn, context, Service::Events, now, ingest.acknowledged).await?;
            Ok(Ingested { event, replayed: false })
        }
        None => replay(conn, project, id, &ingest.fingerprint).await,
    }
}

/// Writes an event and hands it to the subscribers, unless its id is taken (`None`).
async fn write(
    app: &App,
    conn: &mut PgConnection,
    mut event: Event,
    digest: &[u8; 32],
) -> Result<Option<Event>> {
    if event.event_type == ORDER_PAID
        && let Some(order_id) = event.order_id.clone()
    {
        let first = store::insert_paid_order(conn, event.project_id, &order_id, event.id).await?;
        event.duplicate_of = first.filter(|first| *first != event.id);
    }
    if !store::insert_event(conn, &event, digest).await? {
        return Ok(None);
    }
    let outcome = if event.duplicate_of.is_some() { "duplicate" } else { "accepted" };
    metrics::counter!("trastienda_events_total", "source" => event.source.as_str(), "outcome" => outcome)
        .increment(1);
    if event.duplicate_of.is_none() {
        for subscriber in &app.subscribers {
            subscriber.on_event(app, conn, &event).await?;
        }
    }
    Ok(Some(event))
}

/// After a commit that stored events.
pub fn wake(app: &App) {
    for subscriber in &app.subscribers {
        app.wakes.wake(subscriber.queue());
    }
}

async fn replay(
    conn: &mut PgConnection,
    project: ProjectId,
    id: EventId,
    digest: &[u8; 32],
) -> Result<Ingested> {
    let found = store::find_event(conn, project, id).await?;
    let (event, stored) =
        found.ok_or_else(|| anyhow::anyhow!("the event {id} of an idempotency key is gone"))?;
    if stored == digest { Ok(Ingested { event, replayed: true }) } else { Err(idempotency::reused()) }
}

/// A client-made id carries its time: not far ahead, and not older than what is kept.
pub fn check_id<I: Id + std::fmt::Display>(id: I, now: DateTime<Utc>, retention_days: u32) -> Result<I> {
    let made_at = ids::timestamp(id.uuid());
    let kept = TimeDelta::days(i64::from(retention_days)).min(partitions::BEHIND);
    if made_at > now + ID_AHEAD_MAX {
        return Err(Error::field(
            "/id",
            "was made more than 5 minutes ahead of the hub's clock: check the clock of whoever made it",
        ));
    }
    if made_at < now - kept {
        return Err(Error::field(
            "/id",
            format!("is older than what is kept here ({} days)", kept.num_days()),
        ));
    }
    Ok(id)
}

/// Stores an event that a batch's rules refuse: the shop was told that it is safe, so it is not dropped.
pub(crate) async fn record_rejected(
    app: &App,
    context: &ProjectContext,
    id: EventId,
    body: &Value,
    problem: &Problem,
) -> Result<()> {
    let now = app.clock.now();
    // An id that is refused for its time has no place in the table; the problem names it.
    let id = check_id(id, now, context.limits.retention_days).unwrap_or_else(|_| app.new_id());
    let text = |name: &str| {
        body.get(name).and_then(Value::as_str).map(|text| text.chars().take(128).collect::<String>())
    };
    let mut data = Map::new();
    data.insert("body".to_owned(), body.clone());
    let event = Event {
        id,
        project_id: context.project.id,
        event_type: text("type").unwrap_or_else(|| "unknown".to_owned()),
        source: Source::Shop,
        status: "rejected",
        order_id: None,
        data,
        occurred_at: None,
        created_at: now,
        duplicate_of: None,
        problem: Some(serde_json::to_value(problem).unwrap_or_default()),
        schema_errors: None,
        blanked_at: None,
    };
    let mut conn = app.db.acquire().await?;
    store::insert_event(&mut conn, &event, &[0; 32]).await?;
    metrics::counter!("trastienda_refused_after_acknowledgement_total", "kind" => "event").increment(1);
    Ok(())
}

/// An event of the hub's own.
#[derive(Debug)]
pub struct Emit {
    /// Its type, as `payment.paid`.
    pub event_type: &'static str,
    /// The order that it is about.
    pub order_id: Option<String>,
    /// What it says.
    pub data: Map<String, Value>,
}

/// Stores an event of the hub's own within the caller's transaction. Call [`wake`] after the commit.
pub async fn emit(app: &App, conn: &mut PgConnection, project: ProjectId, emit: Emit) -> Result<EventId> {
    debug_assert!(
        catalogue::check(emit.event_type, &emit.data).is_empty(),
        "{} does not satisfy its own schema: {:?}",
        emit.event_type,
        catalogue::check(emit.event_type, &emit.data)
    );
    let digest = fingerprint(&app.fingerprint_key, &Value::Object(emit.data.clone()));
    let event = Event {
        id: app.new_id(),
        project_id: project,
        event_type: emit.event_type.to_owned(),
        source: Source::Hub,
        status: "accepted",
        order_id: emit.order_id,
        data: emit.data,
        occurred_at: None,
        created_at: app.clock.now(),
        duplicate_of: None,
        problem: None,
        schema_errors: None,
        blanked_at: None,
    };
    let id = event.id;
    write(app, conn, event, &digest).await?;
    Ok(id)
}

/// Stores an event that is for one endpoint only, and hands it to nobody else.
pub(crate) async fn store_unannounced(app: &App, conn: &mut PgConnection, event: &Event) -> Result<()> {
    let digest = fingerprint(&app.fingerprint_key, &Value::Object(event.data.clone()));
    store::insert_event(conn, event, &digest).await?;
    Ok(())
}
