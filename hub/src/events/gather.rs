//! Ingests that arrive while a transaction runs share the next one.
//!
//! A lone call never waits for company: its lane writes it at once. Under load a lane's next transaction takes all
//! that came during the last one, so that many callers share a commit; and while one commits, the next is written. A
//! project always has the same lane, which keeps its events in the order of their arrival, and one project's trouble
//! out of most others' way.
//!
//! Whoever submits may go away: what was submitted is written all the same.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use chrono::NaiveDate;
use tokio::sync::{mpsc, oneshot};
use trastienda_protocol::ids::ProjectId;

use super::ingest::{Ingest, Ingested};
use super::lane::Lane;
use crate::app::App;
use crate::http::{Error, Result};
use crate::projects::model::ProjectContext;

const LANES: usize = 4;

/// Where ingests are submitted.
#[derive(Debug)]
pub struct Gatherer(Vec<mpsc::UnboundedSender<Submitted>>);

/// What was submitted, for [`run`].
#[derive(Debug)]
pub struct Lanes(Vec<mpsc::UnboundedReceiver<Submitted>>);

/// An ingest and who waits for it.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) context: Arc<ProjectContext>,
    pub(super) ingest: Ingest,
    pub(super) reply: oneshot::Sender<Result<Ingested>>,
}

/// The projects that are past their quota on a day: their calls are not tried together with others'.
#[derive(Debug, Default)]
pub(super) struct OverQuota {
    day: NaiveDate,
    projects: HashSet<ProjectId>,
}

impl Gatherer {
    /// A place to submit to, and the lanes that must be [`run`].
    pub fn new() -> (Self, Lanes) {
        let (senders, receivers) = (0..LANES).map(|_| mpsc::unbounded_channel()).unzip();
        (Self(senders), Lanes(receivers))
    }

    /// Submits an ingest; the answer may be awaited, or not.
    pub fn submit(
        &self,
        context: Arc<ProjectContext>,
        ingest: Ingest,
    ) -> impl Future<Output = Result<Ingested>> + use<> {
        let (reply, answer) = oneshot::channel();
        let mut hasher = DefaultHasher::new();
        context.project.id.hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % LANES as u64).unwrap_or(0);
        let sent =
            self.0.get(lane).is_some_and(|lane| lane.send(Submitted { context, ingest, reply }).is_ok());
        async move {
            let gone = || Error::Internal(anyhow::anyhow!("the events' writer has ended"));
            if sent { answer.await.map_err(|_| gone())? } else { Err(gone()) }
        }
    }
}

/// Writes what is submitted, until the process ends.
pub fn run(app: &App, lanes: Lanes) {
    for lane in lanes.0 {
        tokio::spawn(Lane::new(app.clone()).run(lane));
    }
}

impl OverQuota {
    pub(super) fn contains(&self, day: NaiveDate, project: ProjectId) -> bool {
        self.day == day && self.projects.contains(&project)
    }

    pub(super) fn insert(&mut self, day: NaiveDate, project: ProjectId) {
        if self.day != day {
            self.projects.clear();
            self.day = day;
        }
        self.projects.insert(project);
    }

    pub(super) fn remove(&mut self, project: ProjectId) {
        self.projects.remove(&project);
    }
}
