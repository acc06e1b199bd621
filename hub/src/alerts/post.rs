//! Posting events to the operator's webhook: Standard Webhooks, on the schedule of any other webhook.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgConnection;
use trastienda_protocol::ids::{AlertId, Id as _, ProjectId};
use trastienda_protocol::webhook;
use uuid::Uuid;

use super::kinds::Kind;
use super::settings::{Settings, Webhook};
use super::store::{self, AlertRow, ClaimedWebhook, NewWebhook, Posted};
use super::words::{self, Tongue};
use crate::app::App;
use crate::queue::worker::Queue;
use crate::queue::{Lease, Verdict};
use crate::webhooks::schedule;

/// For a whole attempt; well within a lease.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An alert opened.
pub(crate) const OPENED: &str = "alert.opened";
/// It is over.
pub(crate) const RECOVERED: &str = "alert.recovered";
/// Somebody pressed the button.
pub(crate) const TEST: &str = "alert.test";

/// The queue of events to the operator's webhook.
pub(crate) struct AlertWebhooks(pub(crate) App);

/// An event's body, whatever its type.
pub(crate) fn body(id: Uuid, event_type: &str, data: &Value, now: DateTime<Utc>) -> String {
    let timestamp = trastienda_protocol::time::format(now);
    json!({"id": message_id(id), "type": event_type, "timestamp": timestamp, "data": data}).to_string()
}

/// What is said of an alert.
pub(crate) fn data(row: &AlertRow) -> Value {
    let (es, en) = (words::of(row, Tongue::Es), words::of(row, Tongue::En));
    json!({
        "alert_id": AlertId::from_uuid(row.id), "kind": row.kind, "subject": row.subject,
        "project_id": row.project_id.map(ProjectId::from_uuid), "project_name": row.details["project_name"],
        "title": es.title, "message": es.text, "title_en": en.title, "message_en": en.text,
        "runbook": Kind::find(&row.kind).map(Kind::runbook), "details": row.details,
        "opened_at": trastienda_protocol::time::format(row.opened_at),
        "recovered_at": row.recovered_at.map(trastienda_protocol::time::format),
    })
}

/// What is said by the button.
pub(crate) fn test_data() -> Value {
    json!({
        "title": "Prueba de alertas", "message": "Si lees esto, las alertas llegan.",
        "title_en": "Test of alerts", "message_en": "If you read this, alerts arrive.",
    })
}

/// Writes an event to be posted, within the caller's transaction.
pub(crate) async fn write(
    app: &App,
    conn: &mut PgConnection,
    (event_type, alert): (&'static str, Option<Uuid>),
    data: &Value,
) -> sqlx::Result<()> {
    let now = app.clock.now();
    let id = app.ids.uuid(now);
    let body = body(id, event_type, data, now);
    store::insert_webhook(conn, &NewWebhook { id, alert_id: alert, event_type, body: &body }, now).await
}

fn message_id(id: Uuid) -> String {
    format!("msg_{}", id.as_simple())
}

/// Posts a body, signed. Says the code that came, or why none did: never the address, which may hold a token.
pub(crate) async fn post(
    app: &App,
    to: &Webhook,
    id: Uuid,
    body: String,
) -> Result<StatusCode, &'static str> {
    let id = message_id(id);
    let timestamp = app.clock.now().timestamp();
    let signature = to.secret.sign(&id, timestamp, body.as_bytes());
    let request = if to.is_guarded {
        app.outbound.request(Method::POST, to.url.clone())
    } else {
        app.outbound.operator().post(to.url.clone())
    };
    let request = request
        .timeout(TIMEOUT)
        .header("content-type", "application/json")
        .header(webhook::HEADER_ID, id)
        .header(webhook::HEADER_TIMESTAMP, timestamp)
        .header(webhook::HEADER_SIGNATURE, signature)
        .body(body)
        .build()
        .map_err(|_| "the request could not be made")?;
    let failed = |error: &reqwest::Error| {
        if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        }
    };
    let answer = if to.is_guarded {
        app.outbound.send(request).await.map_err(|error| match &error {
            crate::outbound::SendError::Refused(_) => {
                "the address may not be called: TRASTIENDA_OUTBOUND_ALLOW"
            }
            crate::outbound::SendError::Failed(error) => failed(error),
        })?
    } else {
        app.outbound.operator().execute(request).await.map_err(|error| failed(&error))?
    };
    Ok(answer.status())
}

impl Queue for AlertWebhooks {
    type Job = ClaimedWebhook;
    type Done = Posted;
    const NAME: &'static str = "alert_webhooks";
    const CONCURRENCY: usize = 4;

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<ClaimedWebhook>> {
        Ok(store::claim_webhooks(&self.0.db, lease, limit).await?)
    }

    async fn run(&self, webhook: ClaimedWebhook) -> Posted {
        let app = &self.0;
        // Where to is asked at each attempt: whoever mends the settings waits for no schedule.
        let settings = async { Settings::find(app, &mut *app.db.acquire().await?).await };
        let answer = match settings.await.map(|settings| settings.webhook) {
            Ok(Some(to)) => post(app, &to, webhook.id, webhook.body.clone()).await,
            Ok(None) => Err("no webhook is set"),
            Err(_) => Err("the settings could not be read"),
        };
        let (response_code, error) = match answer {
            Ok(status) if status.is_success() => (Some(status), None),
            Ok(status) => (Some(status), Some(format!("answered {}", status.as_u16()))),
            Err(error) => (None, Some(error.to_owned())),
        };
        let verdict = if error.is_none() {
            Verdict::Done
        } else {
            let attempts = webhook.attempts + 1;
            let at = schedule::next(&schedule::DEFAULT, attempts, None, app.clock.now(), schedule::spread());
            at.map_or(Verdict::Failed, |at| Verdict::Retry { at })
        };
        let response_code = response_code.map(|status| i32::from(status.as_u16()));
        Posted { webhook, response_code, error, verdict }
    }

    async fn finish(&self, done: &[Posted]) -> anyhow::Result<()> {
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        for posted in done {
            store::finish_webhook(&mut tx, posted, now).await?;
            let outcome = if posted.error.is_none() { "sent" } else { "failed" };
            metrics::counter!("trastienda_alert_webhooks_total", "outcome" => outcome).increment(1);
            if let Some(error) = &posted.error {
                let attempts = posted.webhook.attempts + 1;
                tracing::error!(attempts, error, "an alert was not taken by the operator's webhook");
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
