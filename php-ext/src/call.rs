//! One call to the agent: its budget, its headers, and what its failure means.

use std::time::Duration;

use trastienda_protocol::prefer::WAIT_MAX;
use trastienda_protocol::problem::Problem;

use crate::client::{self, Failure, Request, Route};
use crate::error::{self, Error};
use crate::ini;
use crate::response::Response;

/// How much longer than the hub's wait the agent may take, and so must we.
const AGENT_MARGIN: Duration = Duration::from_secs(5);

/// A call in the making.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: &'a str,
    target: String,
    budget: Duration,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    id: Option<String>,
    repeatable: bool,
}

impl<'a> Call<'a> {
    /// A call that reads.
    pub(crate) fn get(target: String, budget: Duration) -> Call<'static> {
        Call::new("GET", target, budget)
    }

    /// A call that makes something which has an id, and so may be repeated.
    pub(crate) fn create(target: &str, id: String, body: Vec<u8>, budget: Duration) -> Call<'static> {
        let call = Call::new("POST", target.to_owned(), budget);
        Call { body: Some(body), id: Some(id), repeatable: true, ..call }
    }

    /// Any other call.
    pub(crate) fn new(method: &'a str, target: String, budget: Duration) -> Self {
        // RFC 9110, section 9.2.2: sending these twice does what sending them once does.
        let repeatable = matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS");
        Self { method, target, budget, headers: Vec::new(), body: None, id: None, repeatable }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        // A key makes the hub answer a repeat with the first outcome.
        self.repeatable |= name.eq_ignore_ascii_case("idempotency-key");
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a header that is only sometimes there.
    pub(crate) fn maybe_header(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Sets the body.
    pub(crate) fn body(mut self, body: Option<Vec<u8>>) -> Self {
        self.body = body;
        self
    }

    /// Sends it; any answer is a success here.
    pub(crate) fn send(&self) -> Result<Response, Error> {
        if !ini::enabled() {
            return Err(Error::AgentUnavailable(
                "the extension is switched off by trastienda.enabled".to_owned(),
            ));
        }
        let route = Route { socket: ini::socket(), connect: ini::connect_timeout(), total: self.budget };
        let request = Request {
            method: self.method,
            target: &self.target,
            headers: &self.headers,
            body: self.body.as_deref(),
            repeatable: self.repeatable,
        };
        client::exchange(&route, &request).map_err(|failure| match failure {
            Failure::NotSent(message) => Error::AgentUnavailable(message),
            // A read that got no answer has changed nothing: there is no outcome to be unsure of.
            Failure::NoAnswer(message) if matches!(self.method, "GET" | "HEAD" | "OPTIONS") => {
                Error::AgentUnavailable(message)
            }
            Failure::NoAnswer(message) => self.outcome_unknown(message, None),
        })
    }

    /// Sends it; an answer that says no is an error.
    pub(crate) fn succeed(&self) -> Result<Response, Error> {
        let response = self.send()?;
        match response.status {
            200..=299 => Ok(response),
            // The agent had handed on what was to be made, and waited in vain.
            504 if self.id.is_some() => Err(self.lost_on_the_way(&response)),
            // Money may have moved before the failure; 503 and 507 say that nothing was done.
            500 | 502 if self.is_payment() => Err(self.lost_on_the_way(&response)),
            _ => Err(Error::from_response(&response)),
        }
    }

    fn is_payment(&self) -> bool {
        self.id.as_deref().is_some_and(|id| id.starts_with("pay_"))
    }

    fn lost_on_the_way(&self, response: &Response) -> Error {
        let problem = error::problem_of(response);
        self.outcome_unknown(problem.detail.clone(), Some(problem))
    }

    fn outcome_unknown(&self, message: String, problem: Option<Problem>) -> Error {
        let id = self.id.clone().unwrap_or_default();
        Error::OutcomeUnknown { id, message, problem: problem.map(Box::new) }
    }
}

/// The seconds that the hub may be waited for within a budget: less than the budget by what the agent
/// may take on top, so that its answer still finds us listening.
pub(crate) fn wait_within(budget: Duration, wanted: Option<u64>) -> u64 {
    let margin = AGENT_MARGIN.min(budget / 2);
    let most = budget.saturating_sub(margin).min(WAIT_MAX).as_secs();
    wanted.unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_always_shorter_than_the_budget() {
        let wait = |milliseconds, wanted| wait_within(Duration::from_millis(milliseconds), wanted);
        assert_eq!(wait(15_000, None), 10);
        assert_eq!(wait(15_000, Some(3)), 3);
        assert_eq!(wait(15_000, Some(60)), 10);
        assert_eq!(wait(4_000, None), 2);
        assert_eq!(wait(900, None), 0);
        assert_eq!(wait(600_000, None), 25);
    }
}
