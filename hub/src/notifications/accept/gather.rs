//! Calls that arrive together share a transaction: what they ask for is looked up once, and they are committed once.
//!
//! Only what is plain goes this way: a mail that is new, and within its quota. A repeat, a refusal that an agent retries, a
//! lost race: anything else is done by itself, as if there were no gathering. Nobody waits for company: while one
//! transaction runs the next calls collect, and when none does the first goes at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};
use trastienda_protocol::ids::{Id as _, NotificationId, ProjectId};
use trastienda_protocol::notification::Channel;
use uuid::Uuid;

use super::prepare::{Lookups, Request, prepare};
use super::{Accept, Accepted, accept_alone};
use crate::app::App;
use crate::events::ingest::check_id;
use crate::http::{Result, idempotency};
use crate::notifications::model::NotificationAccepted;
use crate::notifications::store::{self, NewRow};
use crate::projects::model::{ProjectContext, Service};
use crate::projects::quota;

/// Calls of one transaction.
const TOGETHER_MAX: usize = 100;
/// Calls that wait for theirs; more are done by themselves.
const WAITING_MAX: usize = 10_000;

/// Where calls wait for the next transaction.
#[derive(Default)]
pub struct Gate(OnceLock<mpsc::Sender<Waiting>>);

struct Waiting {
    context: Arc<ProjectContext>,
    accept: Accept,
    answer: oneshot::Sender<Result<Accepted>>,
}

/// Not everything was plain after all.
#[derive(Debug)]
struct NotPlain;

impl Gate {
    /// Hands a call over; gives it back if it has to be done by itself.
    pub(super) async fn pass(
        &self,
        context: Arc<ProjectContext>,
        accept: Accept,
    ) -> Result<Result<Accepted>, (Arc<ProjectContext>, Accept)> {
        let new = &accept.notification;
        // Others ask around while they are checked.
        let is_plain = new.channel == Channel::Email && new.from.is_none() && new.attachments.is_empty();
        let (Some(sender), true) = (self.0.get(), is_plain) else { return Err((context, accept)) };
        let (answer, answered) = oneshot::channel();
        if let Err(error) = sender.try_send(Waiting { context, accept, answer }) {
            let waiting = error.into_inner();
            return Err((waiting.context, waiting.accept));
        }
        Ok(answered.await.unwrap_or_else(|_| Err(anyhow::anyhow!("a gathered call got no answer").into())))
    }

    /// Starts the gathering.
    pub(in crate::notifications) fn start(app: &App) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        if app.accepting.0.set(sender).is_ok() {
            app.shutdown.spawn(run(app.clone(), receiver));
        }
    }
}

async fn run(app: App, mut receiver: mpsc::Receiver<Waiting>) {
    let mut together = Vec::new();
    loop {
        tokio::select! {
            count = receiver.recv_many(&mut together, TOGETHER_MAX) => {
                if count == 0 {
                    return;
                }
                take(&app, std::mem::take(&mut together)).await;
            }
            // Who waits is answered still; who comes later does it by himself.
            () = app.shutdown.token.cancelled(), if !receiver.is_closed() => receiver.close(),
        }
    }
}

async fn take(app: &App, waiting: Vec<Waiting>) {
    let outcomes = match take_together(app, &waiting).await {
        Ok(outcomes) => outcomes,
        Err(Failed::NotPlain) => waiting.iter().map(|_| None).collect(),
        Err(Failed::Database(error)) => {
            tracing::warn!(error = format!("{error:#}"), "calls that came together are done one by one");
            waiting.iter().map(|_| None).collect()
        }
    };
    let mut is_new = false;
    for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
        if let Some(outcome) = outcome {
            is_new |= outcome.is_ok();
            let _ = waiting.answer.send(outcome);
            continue;
        }
        let app = app.clone();
        tokio::spawn(async move {
            let _ = waiting.answer.send(accept_alone(&app, waiting.context, waiting.accept).await);
        });
    }
    if is_new {
        super::wake(app);
    }
}

#[derive(Debug)]
enum Failed {
    NotPlain,
    Database(anyhow::Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<NotPlain> for Failed {
    fn from(_: NotPlain) -> Self {
        Self::NotPlain
    }
}

/// What became of each call; `None`: it has to be done by itself.
async fn take_together(app: &App, waiting: &[Waiting]) -> Result<Vec<Option<Result<Accepted>>>, Failed> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let known = Known::of(&mut tx, waiting).await?;
    let mut seen = HashSet::new();
    let mut lookups = Lookups::default();
    let mut outcomes: Vec<Option<Result<Accepted>>> = Vec::with_capacity(waiting.len());
    let mut rows: Vec<(usize, NewRow)> = Vec::new();
    for (index, one) in waiting.iter().enumerate() {
        let project = one.context.project.id;
        let is_twice = one.accept.keys().any(|key| !seen.insert((project, key)));
        if is_twice || known.has(project, &one.accept) {
            outcomes.push(None);
            continue;
        }
        match row(app, &mut tx, &mut lookups, one, now).await {
            Ok(row) => {
                rows.push((index, row));
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(Err(error))),
        }
    }
    write(&mut tx, waiting, &rows, now).await?;
    tx.commit().await?;
    for (index, row) in rows {
        metrics::counter!("trastienda_notifications_total", "channel" => row.channel, "outcome" => "accepted")
            .increment(1);
        let answer = NotificationAccepted {
            id: row.id,
            channel: Channel::Email,
            status: row.status.to_owned(),
            whatsapp: None,
        };
        outcomes[index] = Some(Ok(Accepted { answer, replayed: false }));
    }
    Ok(outcomes)
}

async fn row(
    app: &App,
    conn: &mut PgConnection,
    lookups: &mut Lookups,
    one: &Waiting,
    now: DateTime<Utc>,
) -> Result<NewRow> {
    let Accept { notification: new, fingerprint, .. } = &one.accept;
    let id: NotificationId = match new.id {
        Some(id) => check_id(id, now, one.context.limits.retention_days)?,
        None => app.new_id(),
    };
    prepare(app, conn, lookups, &one.context, Request { id, new, fingerprint: *fingerprint, now }).await
}

/// Writes keys, rows and use, all or nothing.
async fn write(
    conn: &mut PgConnection,
    waiting: &[Waiting],
    rows: &[(usize, NewRow)],
    now: DateTime<Utc>,
) -> Result<(), Failed> {
    let claims: Vec<idempotency::Claim<'_>> = rows
        .iter()
        .filter_map(|(index, row)| {
            let key = waiting[*index].accept.idempotency_key.as_deref()?;
            Some(idempotency::Claim {
                project: row.project,
                key,
                fingerprint: &row.fingerprint,
                kind: "notification",
                resource: row.id.uuid(),
                lease_until: None,
            })
        })
        .collect();
    if idempotency::claim_new(conn, &claims, now).await?.len() != claims.len() {
        return Err(NotPlain.into());
    }
    let new: Vec<&NewRow> = rows.iter().map(|(_, row)| row).collect();
    if store::insert_notifications(conn, &new).await? != rows.len() {
        return Err(NotPlain.into());
    }
    let mut used: HashMap<ProjectId, (usize, &ProjectContext)> = HashMap::new();
    for (index, row) in rows {
        used.entry(row.project).or_insert((0, &waiting[*index].context)).0 += 1;
    }
    let mut used: Vec<_> = used.into_values().collect();
    // Always in the same order: two hubs must not wait for each other.
    used.sort_unstable_by_key(|(_, context)| context.project.id);
    for (count, context) in used {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if !quota::has_room(conn, context, Service::Emails, now, count).await? {
            return Err(NotPlain.into());
        }
    }
    Ok(())
}

/// What is there already of the keys and ids that came along.
struct Known {
    keys: HashSet<(Uuid, String)>,
    ids: HashSet<(Uuid, Uuid)>,
}

impl Known {
    async fn of(conn: &mut PgConnection, waiting: &[Waiting]) -> sqlx::Result<Self> {
        let of = |one: &Waiting| one.context.project.id.uuid();
        let keys: Vec<(Uuid, String)> =
            waiting.iter().filter_map(|one| Some((of(one), one.accept.idempotency_key.clone()?))).collect();
        let ids: Vec<(Uuid, Uuid)> =
            waiting.iter().filter_map(|one| Some((of(one), one.accept.notification.id?.uuid()))).collect();
        let keys = if keys.is_empty() { HashSet::new() } else { idempotency::list_known(conn, keys).await? };
        let ids = if ids.is_empty() { HashSet::new() } else { store::list_known_ids(conn, ids).await? };
        Ok(Self { keys, ids })
    }

    fn has(&self, project: ProjectId, accept: &Accept) -> bool {
        let key = accept.idempotency_key.clone();
        let id = accept.notification.id.map(trastienda_protocol::ids::Id::uuid);
        key.is_some_and(|key| self.keys.contains(&(project.uuid(), key)))
            || id.is_some_and(|id| self.ids.contains(&(project.uuid(), id)))
    }
}
