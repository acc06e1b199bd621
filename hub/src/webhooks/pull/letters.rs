//! What hubs tell each other about pulled deliveries: that a project has something to pull, at which hubs its agents poll,
//! and results for leases of another hub. Results always go by `NOTIFY`.
//!
//! A hub that does not hear is no member any more, and its leases are void: a letter that is lost has nobody to miss it.
//! As with [`crate::queue::wake`], none is sent inside a writing transaction, and wake-ups go at most once per 5 ms.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::pull::{PullResult, cut};
use uuid::Uuid;

use super::queue::parse_lease;
use crate::app::App;

/// The channel of letters; the payload is one as JSON.
pub(crate) const CHANNEL: &str = "trastienda_pull";
const GATHER: Duration = Duration::from_millis(5);
/// How often it is said again at which hubs agents poll.
const SAY: Duration = Duration::from_secs(20);
/// What PostgreSQL takes as a payload.
const PAYLOAD_MAX: usize = 7_999;
/// Projects in one letter: each is 39 bytes of it.
const PROJECTS_MAX: usize = 150;

/// One letter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Letter {
    /// These projects have something to pull.
    Due {
        /// Who says so.
        from: Option<i32>,
        projects: Vec<ProjectId>,
    },
    /// Agents of these projects poll at this hub.
    Here {
        /// Where.
        from: i32,
        projects: Vec<ProjectId>,
    },
    /// The result of a lease.
    Result {
        /// Whose lease it is.
        to: i32,
        project: ProjectId,
        agent: String,
        /// As it stands on the wire.
        lease: String,
        result: PullResult,
    },
}

impl Letter {
    /// As a payload. A reply that makes it too long is cut shorter.
    fn payload(&mut self) -> Option<String> {
        loop {
            let text = serde_json::to_string(self).ok()?;
            if text.len() <= PAYLOAD_MAX {
                return Some(text);
            }
            let Self::Result { result, .. } = self else { return None };
            let over = text.len() - PAYLOAD_MAX;
            result.headers.clear();
            let error = result.error.take().unwrap_or_default();
            result.error = Some(cut(&error, 256).to_owned());
            // A character may have become six.
            let kept = result.response.len().checked_sub(over.div_ceil(6).max(1))?;
            result.response = cut(&result.response, kept).to_owned();
        }
    }
}

/// Sends letters that somebody waits for.
pub(super) async fn post(db: &PgPool, mut letters: Vec<Letter>) -> sqlx::Result<()> {
    let payloads: Vec<String> = letters.iter_mut().filter_map(Letter::payload).collect();
    sqlx::query!("select pg_notify($1, payload) from unnest($2::text[]) as payload", CHANNEL, &payloads)
        .fetch_all(db)
        .await?;
    Ok(())
}

/// Tells the other hubs whose agents have something to pull, until the program is to stop.
pub(super) async fn announce(app: App) {
    while !app.shutdown.token.is_cancelled() {
        tokio::select! {
            () = app.pull.exchange.to_tell.notified() => {}
            () = tokio::time::sleep(SAY) => app.pull.exchange.say_all(),
            () = app.shutdown.token.cancelled() => return,
        }
        let from = app.member.number();
        let due = ids(app.pull.exchange.take_announced());
        let due = due.chunks(PROJECTS_MAX).map(|part| Letter::Due { from, projects: part.to_vec() });
        let here = ids(app.pull.exchange.take_said());
        let here = here
            .chunks(PROJECTS_MAX)
            .filter_map(|part| Some(Letter::Here { from: from?, projects: part.to_vec() }));
        for mut letter in due.chain(here) {
            let Some(payload) = letter.payload() else { continue };
            if let Err(error) = app.fleet.tell(&app.db, CHANNEL, &payload).await {
                tracing::debug!(%error, "the other hubs were not told; they look once a second");
            }
        }
        tokio::time::sleep(GATHER).await;
    }
}

fn ids(projects: Vec<Uuid>) -> Vec<ProjectId> {
    projects.into_iter().map(ProjectId::from_uuid).collect()
}

/// Takes in what a hub said.
pub(crate) fn heard(app: &App, payload: &str) {
    let own = app.member.number();
    match serde_json::from_str(payload) {
        Ok(Letter::Due { from, projects }) if from != own => {
            for project in projects {
                app.pull.exchange.look(project.uuid());
            }
        }
        Ok(Letter::Here { from, projects }) if Some(from) != own => {
            app.pull.exchange.poll_elsewhere(from, projects.into_iter().map(ProjectId::uuid));
        }
        Ok(Letter::Result { to, project, agent, lease, result }) if Some(to) == own => {
            if let Some((_, lease)) = parse_lease(&lease) {
                app.pull.exchange.report(project.uuid(), &agent, lease, result);
            }
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "a letter was not understood"),
    }
}

#[cfg(test)]
mod tests {
    use trastienda_protocol::clock::SystemClock;
    use trastienda_protocol::ids::{self, RandomIds};

    use super::*;

    #[test]
    fn a_reply_that_is_too_long_for_a_letter_is_cut_and_nothing_else_is() {
        for response in ["\u{1}".repeat(1_024), "ñ".repeat(512), "x".repeat(1_024), String::new()] {
            let result = PullResult {
                response_code: Some(200),
                error: Some("\u{1}".repeat(512)),
                response,
                ..PullResult::default()
            };
            let agent = "a".repeat(128);
            let project = ids::new::<ProjectId>(&RandomIds, &SystemClock);
            let lease = "x".repeat(64);
            let mut letter = Letter::Result { to: 7, project, agent, lease, result };
            let payload = letter.payload().unwrap();
            assert!(payload.len() <= PAYLOAD_MAX);
            let Ok(Letter::Result { to, result, .. }) = serde_json::from_str(&payload) else { panic!() };
            assert_eq!((to, result.response_code), (7, Some(200)));
        }
    }

    #[test]
    fn as_many_projects_as_fit_are_told_in_one_letter() {
        let mut letter = Letter::Due {
            from: Some(i32::MAX),
            projects: vec![ids::new::<ProjectId>(&RandomIds, &SystemClock); PROJECTS_MAX],
        };
        assert!(letter.payload().unwrap().len() <= PAYLOAD_MAX);
    }
}
