//! Storing events: from a shop, from an agent's batch, from the hub itself.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use trastienda_protocol::event::NewEvent;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::{self, EventId, Id, ProjectId};
use trastienda_protocol::limits::ID_AHEAD_MAX;
use trastienda_protocol::problem::{FieldError, Problem};

use super::group::{self, Prepared};
use super::model::{Event, Source};
use super::{Followed, catalogue, store};
use crate::app::App;
use crate::db::partitions;
use crate::http::{Error, Result, idempotency};
use crate::operator;
use crate::projects::model::{ProjectContext, Service};
use crate::projects::quota;

pub(super) const ORDER_PAID: &str = "order.paid";

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

/// Stores an event and what follows from it, in one transaction, together with others that arrive meanwhile. A caller
/// who hangs up cuts nothing.
pub async fn ingest(app: &App, context: Arc<ProjectContext>, ingest: Ingest) -> Result<Ingested> {
    app.gatherer.submit(context, ingest).await
}

/// Stores one event in a transaction of its own, and decides what it is if it is not new.
pub(super) async fn write_alone(app: &App, prepared: Prepared) -> Result<Ingested> {
    let mut tx = app.db.begin().await?;
    let Prepared { context, fingerprint, acknowledged, .. } = &prepared;
    let event = &prepared.event;
    let (project, id, now) = (event.project_id, event.id, event.created_at);
    if let Some(claim) = prepared.claim()
        && let Some(existing) = idempotency::claim(&mut tx, claim, now).await?
    {
        return replay(&mut tx, project, EventId::from_uuid(existing), fingerprint).await;
    }
    if *acknowledged {
        // An agent's dead letter that is tried again: what was refused under this id gives way.
        store::delete_rejected(&mut tx, project, id).await?;
    }
    let Some((event, followed)) = write(app, &mut tx, event.clone(), fingerprint, true).await? else {
        let replayed = replay(&mut tx, project, id, fingerprint).await?;
        // A key that came with a known id stands for it from now on.
        tx.commit().await?;
        return Ok(replayed);
    };
    quota::take(&mut tx, context, Service::Events, now, *acknowledged).await?;
    tx.commit().await?;
    for it in followed {
        it.committed(app);
    }
    Ok(Ingested { event, replayed: false })
}

/// Writes an event and hands it to the subscribers, unless its id is taken (`None`).
async fn write(
    app: &App,
    conn: &mut PgConnection,
    mut event: Event,
    digest: &[u8; 32],
    at_once: bool,
) -> Result<Option<(Event, Vec<Box<dyn Followed>>)>> {
    if event.event_type == ORDER_PAID && event.order_id.is_some() {
        event.duplicate_of = store::find_or_take_paid_order(conn, &event).await?;
    }
    if store::insert_events(conn, &[(&event, digest)]).await?.is_empty() {
        return Ok(None);
    }
    catalogue::flag(conn, &event).await?;
    group::count(&event);
    let mut followed = Vec::new();
    if event.duplicate_of.is_none() {
        for subscriber in &app.subscribers {
            followed.push(subscriber.on_events(app, conn, &[&event], at_once).await?);
        }
    }
    Ok(Some((event, followed)))
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
    let mut tx = app.db.begin().await?;
    if store::insert_events(&mut tx, &[(&event, &[0; 32])]).await?.is_empty() {
        // It was handed over before.
        return Ok(());
    }
    let told = operator::Refused {
        project: &context.project,
        kind: "event",
        id: event.id.to_string(),
        listed_at: "/v1/events?status=rejected",
        problem,
        at: now,
    };
    operator::tell_refused(app, &mut tx, &told).await?;
    tx.commit().await?;
    operator::wake(app);
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
    let (event, digest) = hubs_own(app, project, emit);
    let id = event.id;
    write(app, conn, event, &digest, false).await?;
    Ok(id)
}

/// Stores several at once, none of them `order.paid`. With `at_once`, tell what comes back that the transaction has
/// committed; otherwise call [`wake`].
pub async fn emit_all(
    app: &App,
    conn: &mut PgConnection,
    emits: Vec<(ProjectId, Emit)>,
    at_once: bool,
) -> Result<Vec<Box<dyn Followed>>> {
    let rows: Vec<_> = emits.into_iter().map(|(project, emit)| hubs_own(app, project, emit)).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    debug_assert!(rows.iter().all(|(event, _)| event.event_type != ORDER_PAID), "an order is paid once");
    let list: Vec<(&Event, &[u8; 32])> = rows.iter().map(|(event, digest)| (event, digest)).collect();
    store::insert_events(conn, &list).await?;
    let events: Vec<&Event> = rows.iter().map(|(event, _)| event).collect();
    events.iter().for_each(|event| group::count(event));
    let mut followed = Vec::new();
    for subscriber in &app.subscribers {
        followed.push(subscriber.on_events(app, conn, &events, at_once).await?);
    }
    Ok(followed)
}

fn hubs_own(app: &App, project: ProjectId, emit: Emit) -> (Event, [u8; 32]) {
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
    (event, digest)
}

/// Stores an event that is for one endpoint only, and hands it to nobody else.
pub(crate) async fn store_unannounced(app: &App, conn: &mut PgConnection, event: &Event) -> Result<()> {
    let digest = fingerprint(&app.fingerprint_key, &Value::Object(event.data.clone()));
    store::insert_events(conn, &[(event, &digest)]).await?;
    Ok(())
}
