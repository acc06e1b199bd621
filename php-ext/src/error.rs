//! Why a call failed. Plain Rust: [`crate::exception`] turns it into PHP's exceptions.

use trastienda_protocol::problem::{FieldError, Problem};

use crate::response::Response;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nothing reached the agent: no socket, no answer to the connect, or not the whole request.
    AgentUnavailable(String),
    /// The whole request was sent, and no answer came. The thing may or may not exist.
    OutcomeUnknown {
        /// The id that the thing has, if it exists.
        id: String,
        /// What happened, for a person.
        message: String,
        /// The agent's own words, if it was the agent that waited in vain.
        problem: Option<Box<Problem>>,
    },
    /// The caller's arguments are refused here, before anything is sent.
    Invalid(FieldError),
    /// The agent or the hub answered with a problem.
    Refused(Box<Refusal>),
    /// A webhook is not believed.
    Signature(String),
    /// A defect: ours, or an answer that makes no sense.
    Internal(String),
    /// PHP code that was called has thrown; its exception is already pending.
    Pending,
}

/// An answer that says no.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What was answered, or made up from the status when the body was no problem document.
    pub(crate) problem: Problem,
    /// `Retry-After` in seconds.
    pub(crate) retry_after: Option<u32>,
}

impl Error {
    /// An argument that is refused before anything is sent.
    pub(crate) fn invalid(pointer: &str, message: impl Into<String>) -> Self {
        Self::Invalid(FieldError::new(pointer, message))
    }

    /// A problem found here that the hub would answer with.
    pub(crate) fn problem(problem: Problem) -> Self {
        Self::Refused(Box::new(Refusal { problem, retry_after: None }))
    }

    /// An answer whose status is not a success.
    pub(crate) fn from_response(response: &Response) -> Self {
        let retry_after = response.header("retry-after").and_then(|value| value.trim().parse().ok());
        Self::Refused(Box::new(Refusal { problem: problem_of(response), retry_after }))
    }
}

/// The problem that a response is about.
pub(crate) fn problem_of(response: &Response) -> Problem {
    let problem = serde_json::from_slice(&response.body).unwrap_or_else(|_| {
        let detail = format!("the answer has status {} and no problem document", response.status);
        Problem::new(response.status, "unexpected_answer", "Unexpected answer", detail)
    });
    // The status line decides: the document may come from a hub whose status a proxy replaced.
    Problem { status: response.status, ..problem }
}
