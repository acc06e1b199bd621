//! One server asked once, and how it is written down.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::Message;
use lettre::transport::smtp::response::Response;
use uuid::Uuid;

use super::{ANSWER_MAX, Attempted, Emails};
use crate::notifications::smtp::pool::Pooled;
use crate::notifications::smtp::talk::{self, Failure, Step};
use crate::notifications::smtp::{Account, Server};
use crate::notifications::store::TryRows;
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
        let answer = self.hand_over(server, message, deadline).await;
        let now = self.app.clock.now();
        let mut one = Try {
            duration: started.elapsed(),
            server: Some(server.label.clone()),
            account: server.account.clone(),
            error: None,
            ..Try::failed(at, String::new())
        };
        let outcome = match answer {
            Ok(response) => {
                self.health.note(&server.key, true, now);
                self.lanes.set_rest(server.lane(), None);
                one.response_code = Some(i32::from(u16::from(response.code())));
                one.response = Some(excerpt(&response.message().collect::<Vec<_>>().join(" ")));
                Outcome::Taken
            }
            Err(failure) => {
                one.is_servers = failure.is_servers();
                self.health.note(&server.key, !one.is_servers, now);
                if !one.is_servers {
                    self.lanes.set_rest(server.lane(), None);
                }
                one.response_code = failure.code.map(i32::from);
                one.error = Some(excerpt(&failure.what));
                one.is_doubtful = failure.is_doubtful();
                if failure.is_final() {
                    let hard = failure.is_hard().then(|| format!("refused: {}", excerpt(&failure.told())));
                    Outcome::Refused { hard: hard.map(|reason| reason.chars().take(200).collect()) }
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

    async fn hand_over(
        &self,
        server: &Server,
        message: &Message,
        deadline: tokio::time::Instant,
    ) -> Result<Response, Failure> {
        let (envelope, bytes) = (message.envelope(), message.formatted());
        if let Some(mut pooled) = self.pool.take(&server.key) {
            match talk::hand_over(&mut pooled.connection, envelope, &bytes, deadline).await {
                Ok(response) => {
                    self.pool.put(&server.key, pooled);
                    return Ok(response);
                }
                // The server hung up on an idle connection: it has heard nothing of this mail.
                Err(failure)
                    if failure.step == Step::Sender && failure.code.is_none() && !failure.is_unfit => {}
                Err(failure) => {
                    // What was said of this mail says nothing of the next; RSET would cost what connecting costs.
                    return Err(failure);
                }
            }
        }
        let connection = talk::open(server, &self.app.outbound, deadline).await?;
        let mut pooled = Pooled { connection, mails: 0 };
        let response = talk::hand_over(&mut pooled.connection, envelope, &bytes, deadline).await?;
        self.pool.put(&server.key, pooled);
        Ok(response)
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

/// How each project's account was in the end; an error of its server's.
pub(super) fn accounts(done: &[Attempted]) -> Vec<((Uuid, Uuid), Option<String>)> {
    let mut accounts = std::collections::BTreeMap::new();
    for one in done.iter().flat_map(|attempted| &attempted.tries) {
        if let Some(account) = &one.account {
            let error = one.error.clone().filter(|_| one.is_servers);
            accounts.insert((account.project_id, account.id), error);
        }
    }
    accounts.into_iter().collect()
}

fn excerpt(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(ANSWER_MAX).collect()
}
