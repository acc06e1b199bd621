//! A request from a door to its answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::door::{self, Door};
use super::{intake, request_id};
use crate::agent::Core;

/// What answers the requests that come in by one door.
#[derive(Debug)]
pub(super) struct Entrance {
    core: Arc<Core>,
    door: Door,
    /// What answers everything but the calls that are kept here.
    others: Router,
}

impl Entrance {
    pub(super) fn new(core: &Arc<Core>, door: Door, others: Router) -> Self {
        Self { core: Arc::clone(core), door, others }
    }

    /// Checks what the door asks for, answers, and writes the request's id on whatever goes out.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response {
        let mut request = request.map(Body::new);
        let id = request_id::of(&self.core, &mut request);
        request_id::complete(self.admit(request).await, id)
    }

    async fn admit(&self, request: Request) -> Response {
        if let Err(refusal) = door::check(&self.core, self.door, request.headers()) {
            return refusal.into_response();
        }
        // What shops wait for does not go through the router: boxing and copying it there costs as much as reading it.
        // Nor does keeping a call log anything that a span would have to be made for.
        let core = Arc::clone(&self.core);
        let kept = match (request.method(), request.uri().path()) {
            (&Method::POST, "/v1/events") => intake::event(core, request).await,
            (&Method::POST, "/v1/notifications") => intake::notification(core, request).await,
            (&Method::POST, "/v1/payments") => intake::payment(core, request).await,
            _ => {
                let span = request_id::span(request.headers());
                let Ok(response) = self.others.clone().oneshot(request).instrument(span).await;
                return response;
            }
        };
        kept.into_response()
    }
}
