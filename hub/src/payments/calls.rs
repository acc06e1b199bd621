//! The calls of one job: each is made, timed, counted and remembered for the timeline.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::lanes::Pass;
use super::model::{Payment, TimelineEntry};
use super::provider::{CallError, Exchange};
use super::{settle, store};
use crate::app::App;

/// What was called, for the timeline.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    entries: Vec<TimelineEntry>,
    /// The lane that they are made on.
    pass: Option<Pass>,
}

impl Calls {
    /// Calls on a lane, which hears how they go.
    pub(crate) fn on(pass: Pass) -> Self {
        Self { entries: Vec::new(), pass: Some(pass) }
    }

    /// There are no more: the lane's place is free.
    pub(crate) fn leave(&mut self) {
        self.pass = None;
    }

    /// Remembers a call and gives its result.
    pub(crate) fn record<T>(
        &mut self,
        what: &'static str,
        at: DateTime<Utc>,
        exchange: Exchange<T>,
    ) -> Result<T, CallError> {
        let Exchange { result, request_id, duration } = exchange;
        if let Some(pass) = &self.pass {
            pass.report(&result, at);
        }
        let outcome = match &result {
            Ok(_) => "ok",
            Err(CallError::NotReached(_)) => "not_reached",
            Err(CallError::Unknown(_)) => "unknown",
            Err(CallError::Busy { .. }) => "busy",
            Err(CallError::Unauthorized { .. }) => "unauthorized",
            Err(CallError::NotFound) => "not_found",
            Err(CallError::Refused { .. }) => "refused",
        };
        metrics::counter!("trastienda_provider_calls_total", "call" => what, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("trastienda_provider_call_seconds", "call" => what)
            .record(duration.as_secs_f64());
        let text = match &result {
            Ok(_) => format!("{what}: ok"),
            Err(error) => format!("{what}: {error}"),
        };
        if let Err(CallError::Unauthorized { code }) = &result {
            tracing::error!(
                call = what,
                code,
                "the provider refuses the project's credentials: set them again"
            );
        }
        let duration_ms = i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        self.entries.push(settle::call_entry(at, text, request_id, duration_ms));
        result
    }

    /// Writes them.
    pub(crate) async fn write(
        &self,
        app: &App,
        conn: &mut PgConnection,
        payment: &Payment,
    ) -> sqlx::Result<()> {
        for entry in &self.entries {
            store::insert_entry(conn, payment, app.ids.uuid(entry.at), entry).await?;
        }
        Ok(())
    }
}
