//! One server asked once, and how it is written down.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::Message;
use uuid::Uuid;

use super::{ANSWER_MAX, Attempted, Emails};
use crate::notifications::channel::Transport as _;
use crate::notifications::smtp::handover::Smtp;
use crate::notifications::smtp::{Account, Server};
use crate::notifications::store::{AccountNote, TryRows};
use crate::queue::Verdict;

/// What one server said.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) at: DateTime<Utc>,
    pub(crate) duration: Duration,
    /// `None`: no server was asked.
    pub(crate) server: Option<String>,
    pub(crate) account: Option<Account>,
    pub(crate) response_code: Option<i32>,
    pub(crate) response: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) is_doubtful: bool,
    /// What went wrong says something about the server.
    pub(crate) is_servers: bool,
}

impl Try {
    pub(super) fn failed(at: DateTime<Utc>, error: String) -> Self {
        Self {
            at,
            duration: Duration::ZERO,
            server: None,
            account: None,
            response_code: None,
            response: None,
            error: Some(error),
            is_doubtful: false,
            is_servers: false,
        }
    }
}

/// What follows.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The server has it.
    Taken,
    /// The server refused it for good; `hard`: because there is no such recipient.
    Refused { hard: Option<String> },
    /// The server may have it.
    Doubtful,
    /// The server does not have it.
    Elsewhere,
}

impl Emails {
    /// Asks one server.
    pub(super) async fn attempt(
        &self,
        server: &Server,
        message: &Message,
        deadline: tokio::time::Instant,
    ) -> (Try, Outcome) {
        let (at, started) = (self.app.clock.now(), Instant::now());
        let transport = Smtp { server, pool: &self.pool, outbound: &self.app.outbound };
        let answer = transport.hand_over(message, deadline).await;
        let now = self.app.clock.now();
        let mut one = Try {
            duration: started.elapsed(),
            server: Some(server.label.clone()),
            account: server.account.clone(),
            error: None,
            ..Try::failed(at, String::new())
        };
        let outcome = match answer {
            Ok(taken) => {
                self.health.note(&server.key, true, now);
                self.lanes.set_rest(server.lane(), None);
                one.response_code = Some(i32::from(taken.code));
                one.response = Some(excerpt(&taken.answer));
                Outcome::Taken
            }
            Err(not_taken) => {
                one.is_servers = not_taken.is_servers;
                self.health.note(&server.key, !one.is_servers, now);
                if !one.is_servers {
                    self.lanes.set_rest(server.lane(), None);
                }
                one.response_code = not_taken.code.map(i32::from);
                one.error = Some(excerpt(&not_taken.what));
                one.is_doubtful = not_taken.is_doubtful;
                if not_taken.is_final {
                    let code = not_taken.code.unwrap_or_default();
                    let reason = || format!("refused: {code} {}", not_taken.what).chars().take(200).collect();
                    Outcome::Refused { hard: not_taken.is_hard.then(reason) }
                } else if one.is_doubtful {
                    metrics::counter!("trastienda_email_doubtful_total").increment(1);
                    Outcome::Doubtful
                } else {
                    Outcome::Elsewhere
                }
            }
        };
        (one, outcome)
    }
}

/// What each server said, as rows.
pub(super) fn rows(done: &[Attempted], mut new_id: impl FnMut(DateTime<Utc>) -> Uuid) -> TryRows {
    let mut rows = TryRows::default();
    for attempted in done {
        let last = attempted.tries.len().saturating_sub(1);
        for (index, one) in attempted.tries.iter().enumerate() {
            let is_sent = index == last && attempted.verdict == Verdict::Done;
            rows.projects.push(attempted.mail.project_id);
            rows.ids.push(new_id(one.at));
            rows.notifications.push(attempted.mail.id);
            rows.attempts.push(attempted.mail.attempts + 1);
            rows.statuses.push(if is_sent { "sent" } else { "failed" }.to_owned());
            rows.servers.push(one.server.clone());
            rows.doubtful.push(one.is_doubtful);
            rows.codes.push(one.response_code);
            rows.responses.push(one.response.clone());
            rows.errors.push(one.error.clone());
            rows.durations.push(i32::try_from(one.duration.as_millis()).unwrap_or(i32::MAX));
            // In the order in which they were asked, whatever the clock says.
            rows.times.push(one.at + TimeDelta::microseconds(i64::try_from(index).unwrap_or(0)));
        }
    }
    rows
}

/// How each project's account did.
pub(super) fn accounts(done: &[Attempted]) -> BTreeMap<(Uuid, Uuid), AccountNote> {
    let mut accounts: BTreeMap<(Uuid, Uuid), AccountNote> = BTreeMap::new();
    for one in done.iter().flat_map(|attempted| &attempted.tries) {
        let Some(account) = &one.account else { continue };
        let note = accounts.entry((account.project_id, account.id)).or_default();
        if one.is_servers {
            note.failures += 1;
            note.error.clone_from(&one.error);
        } else {
            *note = AccountNote { has_worked: true, ..AccountNote::default() };
        }
    }
    accounts
}

fn excerpt(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(ANSWER_MAX).collect()
}
