//! A lane: writes what is submitted to it group by group, the next while the last one commits.
//!
//! The events of a commit that failed come back to the lane. They are never written again beside the next group: that one
//! may hold a row that they wait for, and would itself wait for their end. So it is undone, they are written one by one,
//! and then it is written again, which also keeps the order in which events came.

use std::collections::HashSet;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use trastienda_protocol::ids::ProjectId;

use super::gather::{OverQuota, Submitted};
use super::group::{self, Outcome, Prepared, Written};
use super::ingest::{self, Ingested};
use crate::app::App;
use crate::http::Result;

/// Events in one transaction at most.
const GROUP_MAX: usize = 256;

/// An event and who waits for it.
type Awaited = (Prepared, oneshot::Sender<Result<Ingested>>);

/// Writes groups of events, and remembers what it needs from one to the next.
pub(super) struct Lane {
    app: App,
    over: OverQuota,
    /// The commit under way; gives back what it could not commit.
    landing: Option<JoinHandle<Vec<Awaited>>>,
}

impl Lane {
    pub(super) fn new(app: App) -> Self {
        Self { app, over: OverQuota::default(), landing: None }
    }

    /// Writes what is submitted, until nobody can submit any more.
    pub(super) async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Submitted>) {
        let mut submitted = Vec::new();
        loop {
            tokio::select! {
                came = receiver.recv_many(&mut submitted, GROUP_MAX) => {
                    if came == 0 {
                        break;
                    }
                    let prepared = prepare(&self.app, submitted.drain(..));
                    self.write(prepared).await;
                }
                failed = landed(&mut self.landing), if self.landing.is_some() => self.write_alone(failed).await,
            }
        }
        let failed = landed(&mut self.landing).await;
        self.write_alone(failed).await;
    }

    /// Writes events and answers those who wait for them. The commit goes on after this returns.
    async fn write(&mut self, prepared: Vec<Awaited>) {
        let (mut together, mut alone) = part(prepared, &self.over);
        while !together.is_empty() {
            let events: Vec<&Prepared> = together.iter().map(|(event, _)| event).collect();
            match group::write_together(&self.app, &events, &mut self.over).await {
                Ok(Outcome::Written(written)) => {
                    let failed = landed(&mut self.landing).await;
                    if failed.is_empty() {
                        let events = std::mem::take(&mut together);
                        self.landing = Some(tokio::spawn(land(self.app.clone(), written, events)));
                    } else {
                        written.undo().await;
                        self.write_alone(failed).await;
                    }
                }
                Ok(Outcome::Refused(places)) => {
                    let mut place = 0;
                    let refused = together.extract_if(.., |_| {
                        place += 1;
                        places.contains(&(place - 1))
                    });
                    alone.extend(refused);
                }
                Err(error) => alone.extend(cannot(&error, &mut together)),
            }
        }
        if !alone.is_empty() {
            let failed = landed(&mut self.landing).await;
            self.write_alone(failed).await;
            self.write_alone(alone).await;
        }
    }

    /// Writes events one by one; no other transaction of this lane is open.
    async fn write_alone(&mut self, events: Vec<Awaited>) {
        for (prepared, reply) in events {
            let project = prepared.event.project_id;
            let result = ingest::write_alone(&self.app, prepared).await;
            if result.as_ref().is_ok_and(|ingested| !ingested.replayed) {
                self.over.remove(project);
            }
            // Whoever asked may have gone.
            drop(reply.send(result));
        }
    }
}

fn prepare(app: &App, submitted: impl Iterator<Item = Submitted>) -> Vec<Awaited> {
    let mut prepared = Vec::new();
    for Submitted { context, ingest, reply } in submitted {
        match Prepared::new(app, context, ingest) {
            Ok(event) => prepared.push((event, reply)),
            // Whoever asked may have gone.
            Err(error) => drop(reply.send(Err(error))),
        }
    }
    prepared
}

/// Waits for the commit under way, if any; gives the events that it could not commit. Given up on, it can be waited for
/// again.
async fn landed(landing: &mut Option<JoinHandle<Vec<Awaited>>>) -> Vec<Awaited> {
    let Some(handle) = landing.as_mut() else { return Vec::new() };
    let failed = handle.await;
    *landing = None;
    failed.unwrap_or_else(|_| {
        tracing::error!("the end of a transaction panicked");
        Vec::new()
    })
}

/// Commits and answers; gives back what is to be written again.
async fn land(app: App, written: Written, mut events: Vec<Awaited>) -> Vec<Awaited> {
    if let Err(error) = written.commit(&app).await {
        return cannot(&error.into(), &mut events);
    }
    for (prepared, reply) in events {
        group::count(&prepared.event);
        // Whoever asked may have gone.
        drop(reply.send(Ok(Ingested { event: prepared.event, replayed: false })));
    }
    Vec::new()
}

/// What to write one by one because it could not be written together: one that the database refuses is found so, and
/// the end of an outage. A single one that failed has failed.
fn cannot(error: &anyhow::Error, together: &mut Vec<Awaited>) -> Vec<Awaited> {
    if together.len() > 1 {
        tracing::warn!(error = format!("{error:#}"), events = together.len(), "writing events one by one");
        return std::mem::take(together);
    }
    for (_, reply) in together.drain(..) {
        drop(reply.send(Err(anyhow::anyhow!("{error:#}").into())));
    }
    Vec::new()
}

/// Parts what can be written together from what must be written alone: whatever is twice in the group, and the
/// direct calls of projects past their quota.
fn part(prepared: Vec<Awaited>, over: &OverQuota) -> (Vec<Awaited>, Vec<Awaited>) {
    let mut seen: HashSet<(ProjectId, &'static str, String)> = HashSet::new();
    prepared.into_iter().partition(|(prepared, _)| {
        let project = prepared.event.project_id;
        let key = prepared.idempotency_key.clone().map(|key| ("key", key));
        let order = prepared.paid_order().map(|order| ("order", order.to_owned()));
        let id = Some(("id", prepared.event.id.to_string()));
        // Each is noted, also after one was found twice.
        let mut is_new = true;
        for (kind, it) in [key, order, id].into_iter().flatten() {
            is_new &= seen.insert((project, kind, it));
        }
        is_new && (prepared.acknowledged || !over.contains(prepared.day(), project))
    })
}
