//! What a handler returns when it refuses: one enum, one envelope (RFC 9457).
//!
//! An internal error is logged once, here, with its chain; the caller sees only the request id.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use trastienda_protocol::problem::{CONTENT_TYPE, FieldError, Problem};

/// When a caller may come back who was refused for want of room.
const OVERLOAD_SECONDS: u64 = 2;

/// A handler's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request is refused.
#[derive(Debug)]
pub enum Error {
    /// 401: no key, or one that is not (or no longer) valid.
    Unauthorized(&'static str),
    /// 403: known, and not allowed.
    Forbidden {
        /// The stable code.
        code: &'static str,
        /// Why.
        detail: String,
    },
    /// 404: nothing of this project has this name or id.
    NotFound(&'static str),
    /// 409: it clashes with what is there or under way.
    Conflict {
        /// The stable code.
        code: &'static str,
        /// Why.
        detail: String,
    },
    /// 422: the body's fields are refused.
    Invalid(Vec<FieldError>),
    /// 429: too many; come back after so many seconds.
    TooMany {
        /// The stable code: `rate_limited` or `quota_exceeded`.
        code: &'static str,
        /// Why.
        detail: String,
        /// Seconds.
        retry_after: u64,
    },
    /// Any other refusal, as a whole document.
    Problem(Box<Problem>),
    /// 503: more to do than the hub can.
    Overloaded,
    /// 503: something that the hub needs does not answer.
    Unavailable(&'static str),
    /// 500: our fault.
    Internal(anyhow::Error),
}

/// Something that the hub needs does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0} does not answer")]
pub struct Unavailable(&'static str);

impl Error {
    /// The reason, for those who answer no request.
    pub fn into_cause(self) -> anyhow::Error {
        match self {
            Self::Internal(error) => error,
            Self::Unavailable(what) => Unavailable(what).into(),
            other => anyhow::anyhow!("{}", other.problem().detail),
        }
    }

    /// One refused field.
    pub fn field(pointer: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, message)])
    }

    /// The document that answers it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Unauthorized(detail) => Problem::new(401, "unauthorized", "Unauthorized", *detail),
            Self::Forbidden { code, detail } => Problem::new(403, code, "Forbidden", detail),
            Self::NotFound(what) => {
                Problem::new(404, "not_found", "Not found", format!("there is no such {what}"))
            }
            Self::Conflict { code, detail } => Problem::new(409, code, "Conflict", detail),
            Self::Invalid(errors) => Problem::validation(errors.clone()),
            Self::TooMany { code, detail, .. } => Problem::new(429, code, "Too many requests", detail),
            Self::Problem(problem) => (**problem).clone(),
            Self::Overloaded => Problem::new(
                503,
                "overloaded",
                "Overloaded",
                "the hub has more to do than it can; try again after the seconds that Retry-After says",
            ),
            Self::Unavailable(what) => Problem::new(
                503,
                "unavailable",
                "Unavailable",
                format!("{what} does not answer; try again shortly"),
            ),
            Self::Internal(_) => Problem::new(
                500,
                "internal",
                "Internal error",
                "something went wrong here; quote the request id when you ask about it",
            ),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

/// The SQLSTATE of a text with a NUL in it.
const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                tracing::error!(%error, "the database does not answer");
                Self::Unavailable("the database")
            }
            // No text of PostgreSQL's holds it, so nothing has such a name, and nothing can be given one.
            sqlx::Error::Database(error) if error.code().as_deref() == Some(CHARACTER_NOT_IN_REPERTOIRE) => {
                let detail = "the address or a value in it holds the NUL character, which no text here can";
                Problem::new(400, "bad_request", "Bad request", detail).into()
            }
            other => Self::Internal(other.into()),
        }
    }
}

impl From<crate::seal::SealError> for Error {
    fn from(error: crate::seal::SealError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Vec<FieldError>> for Error {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::Internal(error) = &self {
            tracing::error!(error = format!("{error:#}"), "a request failed");
        }
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        let retry_after = match self {
            Self::TooMany { retry_after, .. } => Some(retry_after),
            Self::Overloaded => Some(OVERLOAD_SECONDS),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The request id's layer knows the id and writes the body.
        response.extensions_mut().insert(problem);
        response
    }
}

/// A named constraint of the schema decides; the code says what it means to the caller.
pub fn on_constraint<T>(
    result: sqlx::Result<T>,
    constraint: &str,
    meaning: impl FnOnce() -> Error,
) -> Result<T> {
    match result {
        Err(sqlx::Error::Database(error)) if error.constraint() == Some(constraint) => Err(meaning()),
        other => Ok(other?),
    }
}
