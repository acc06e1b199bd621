//! Passing through: what the agent does not keep goes to the hub as it came, with the project's key.
//!
//! Streamed both ways, with a deadline. The agent does not try again on behalf of the caller: whoever
//! asked knows whether that is safe. A hub that does not answer several times in a row is left alone for
//! some seconds ([`breaker`]). When no connection could be made, nothing was done and the answer
//! is 503 `hub_unreachable`; when a change was sent and no answer came, nobody knows, and the answer is
//! 504 `outcome_unknown`. What needs no project key, or must not be within reach of a shop's host, is
//! not passed ([`gate`]).

mod breaker;
mod gate;
mod headers;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use trastienda_protocol::heartbeat::HubState;
use trastienda_protocol::problem::Problem;

use crate::agent::Core;
use crate::server::{Refusal, prefer, request_span};
pub(crate) use breaker::Breaker;

const DEADLINE: Duration = Duration::from_secs(30);
/// What is added to the time that the caller lets the hub take.
const DEADLINE_MARGIN: Duration = Duration::from_secs(5);

/// Sends a request to the hub and its answer back.
///
/// # Errors
/// A path that does not go through here, or a hub that does not answer.
pub(crate) async fn pass(State(core): State<Arc<Core>>, request: Request) -> Result<Response, Refusal> {
    gate::check(request.method(), request.uri().path())?;
    let workers = core.workers.clone();
    let span = request_span(request.headers());
    // The doors' thread commits; the hub is waited for elsewhere. Who hangs up ends it.
    let passing = AbortOnDropHandle::new(workers.spawn(send(core, request).instrument(span)));
    passing.await.unwrap_or_else(|error| {
        Err(Problem::new(500, "internal_error", "Internal error", format!("it broke off: {error}")).into())
    })
}

async fn send(core: Arc<Core>, request: Request) -> Result<Response, Refusal> {
    if !core.breaker.lets_through(core.clock.now()) {
        core.metrics.pass_spared.add(1);
        let reason = "the hub has not answered lately; it is asked again within seconds".to_owned();
        return Err(unanswered(request.method(), false, reason));
    }
    let deadline = deadline(&request);
    let (parts, body) = request.into_parts();
    let hub = core.hub();
    let address = hub.address(parts.uri.path(), parts.uri.query());
    let mut outgoing =
        hub.request(parts.method.clone(), address).headers(headers::onward(&parts.headers)).timeout(deadline);
    if !hyper::body::Body::is_end_stream(&body) {
        outgoing = outgoing.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match outgoing.send().await {
        Ok(answer) => {
            core.metrics.passed.add(1);
            core.breaker.answered();
            if core.hub_view.state() == HubState::Down && !answer.status().is_server_error() {
                core.hub_seen.notify_one();
            }
            let status = answer.status();
            let answered = headers::back(answer.headers());
            let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
            *response.status_mut() = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
            *response.headers_mut() = answered;
            Ok(response)
        }
        Err(error) => {
            core.metrics.pass_failed.add(1);
            if core.breaker.failed(core.clock.now()) {
                tracing::warn!(
                    "the hub does not answer what passes through: it is left alone for some seconds"
                );
            }
            let sent = !error.is_connect();
            let reason = crate::hub::chain(&error.without_url());
            tracing::info!(reason, sent, "a call could not be passed through");
            Err(unanswered(&parts.method, sent, reason))
        }
    }
}

fn deadline(request: &Request) -> Duration {
    let waits_by_default = request.method() == Method::POST && request.uri().path() == "/v1/payments";
    let prefer = prefer(request.headers());
    match prefer.wait {
        _ if waits_by_default => prefer.payment_wait() + DEADLINE_MARGIN,
        Some(wait) => wait + DEADLINE_MARGIN,
        None => DEADLINE,
    }
}

fn unanswered(method: &Method, sent: bool, reason: String) -> Refusal {
    if sent && !method.is_safe() {
        return Problem::new(
            504,
            "outcome_unknown",
            "Outcome unknown",
            format!(
                "the call was sent and not answered ({reason}): it may have been done; \
                 repeat it with the same `id` and `Idempotency-Key`, or ask for it"
            ),
        )
        .into();
    }
    Problem::new(503, "hub_unreachable", "Hub unreachable", format!("nothing was done: {reason}")).into()
}
