//! The limit of each project, after authentication, told in the headers of IETF draft 11
//! (`RateLimit-Policy`, `RateLimit`). It holds for all hubs together: see [`crate::fleet`].

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::Error;
use crate::app::App;
use crate::fleet::{Cell, Key, Rate, Scope};

const WINDOW: Duration = Duration::from_mins(1);
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// What is left after a request.
#[derive(Debug, Clone, Copy)]
pub struct LimitState {
    limit: u32,
    remaining: u32,
}

/// A request past the limit.
#[derive(Debug)]
pub struct PastLimit {
    state: LimitState,
    retry_after: u64,
}

/// Takes one request from the project's bucket of this kind.
pub async fn check(
    app: &App,
    project: ProjectId,
    scope: Scope,
    per_minute: u32,
) -> Result<LimitState, PastLimit> {
    let limit = per_minute.max(1);
    let key = Key { project: project.uuid(), scope, id: project.uuid() };
    match app.fleet.take(&app.db, key, Rate::burst(limit, WINDOW)).await {
        Cell::Granted { left, .. } => Ok(LimitState { limit, remaining: left.min(limit) }),
        Cell::Refused { wait } => {
            Err(PastLimit { state: LimitState { limit, remaining: 0 }, retry_after: wait.as_secs() + 1 })
        }
    }
}

impl LimitState {
    /// Writes the two headers.
    pub fn write(self, headers: &mut HeaderMap) {
        let Self { limit, remaining } = self;
        // The bucket fills evenly: so long until it is full again.
        let seconds = (u64::from(limit - remaining.min(limit)) * WINDOW.as_secs()).div_ceil(u64::from(limit));
        let policy = format!("\"default\";q={limit};w={}", WINDOW.as_secs());
        let state = format!("\"default\";r={remaining};t={seconds}");
        for (name, value) in [(POLICY, policy), (STATE, state)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

impl axum::response::IntoResponse for PastLimit {
    fn into_response(self) -> axum::response::Response {
        let detail = format!("the project may send {} requests a minute", self.state.limit);
        let error = Error::TooMany { code: "rate_limited", detail, retry_after: self.retry_after };
        let mut response = error.into_response();
        self.state.write(response.headers_mut());
        response
    }
}
