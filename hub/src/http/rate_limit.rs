//! The bucket of each project, after authentication, told in the headers of IETF draft 11
//! (`RateLimit-Policy`, `RateLimit`).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use trastienda_protocol::ids::ProjectId;

use super::Error;

const WINDOW_SECONDS: u32 = 60;
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// One bucket per project that has called.
#[derive(Default)]
pub struct ProjectLimiter {
    buckets: Mutex<HashMap<ProjectId, (u32, Arc<Bucket>)>>,
}

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

impl ProjectLimiter {
    /// Takes one request from the project's bucket.
    pub fn check(&self, project: ProjectId, per_minute: u32) -> Result<LimitState, PastLimit> {
        let limit = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        match self.bucket(project, limit).check() {
            Ok(snapshot) => {
                Ok(LimitState { limit: limit.get(), remaining: snapshot.remaining_burst_capacity() })
            }
            Err(refused) => {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                let state = LimitState { limit: limit.get(), remaining: 0 };
                Err(PastLimit { state, retry_after: wait.as_secs() + 1 })
            }
        }
    }

    // A changed limit starts with a full bucket.
    fn bucket(&self, project: ProjectId, limit: NonZeroU32) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let quota = Quota::per_minute(limit);
            (
                limit.get(),
                Arc::new(RateLimiter::direct(quota).with_middleware::<StateInformationMiddleware>()),
            )
        };
        let entry = buckets.entry(project).or_insert_with(new);
        if entry.0 != limit.get() {
            *entry = new();
        }
        entry.1.clone()
    }
}

impl LimitState {
    /// Writes the two headers.
    pub fn write(self, headers: &mut HeaderMap) {
        let Self { limit, remaining } = self;
        // The bucket fills evenly: so long until it is full again.
        let seconds =
            (u64::from(limit - remaining.min(limit)) * u64::from(WINDOW_SECONDS)).div_ceil(u64::from(limit));
        let policy = format!("\"default\";q={limit};w={WINDOW_SECONDS}");
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

impl std::fmt::Debug for ProjectLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProjectLimiter")
    }
}
