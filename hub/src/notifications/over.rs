//! The end of a notification, told: `notification.sent` and `notification.failed`, in the transaction that ends it.

use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, NotificationId, ProjectId};
use uuid::Uuid;

use super::model::detail;
use super::store::{ClaimedMail, NewRow, OpenRow, Overdue, Row};
use crate::app::App;
use crate::events::{self, Emit, Followed};
use crate::http::Result;

/// How a notification ended. Neither address nor content is told: the shop has both.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) key: (Uuid, Uuid),
    pub(crate) is_sent: bool,
    pub(crate) channel: String,
    pub(crate) detail: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) metadata: Value,
}

impl Over {
    pub(crate) fn refused(row: &NewRow) -> Self {
        Self {
            key: (row.project.uuid(), row.id.uuid()),
            is_sent: false,
            channel: row.channel.to_owned(),
            detail: row.detail.map(str::to_owned),
            template: row.template.clone(),
            order_id: row.order_id.clone(),
            metadata: row.metadata.clone(),
        }
    }

    pub(crate) fn cancelled(row: &Row) -> Self {
        Self {
            key: (row.project_id, row.id),
            is_sent: false,
            channel: row.channel.clone(),
            detail: Some(detail::CANCELLED.to_owned()),
            template: row.template.clone(),
            order_id: row.order_id.clone(),
            metadata: row.metadata.clone(),
        }
    }

    pub(crate) fn opened(row: &OpenRow) -> Self {
        Self {
            key: (row.project_id, row.id),
            is_sent: true,
            channel: "whatsapp".to_owned(),
            detail: Some(detail::OPENED.to_owned()),
            template: row.template.clone(),
            order_id: row.order_id.clone(),
            metadata: row.metadata.clone(),
        }
    }

    pub(crate) fn expired(row: &Overdue) -> Self {
        Self {
            key: (row.project_id, row.id),
            is_sent: false,
            channel: row.channel.clone(),
            detail: Some(detail::EXPIRED.to_owned()),
            template: row.template.clone(),
            order_id: row.order_id.clone(),
            metadata: row.metadata.clone(),
        }
    }

    pub(crate) fn mail(mail: &ClaimedMail, is_sent: bool, detail: Option<&str>) -> Self {
        Self {
            key: (mail.project_id, mail.id),
            is_sent,
            channel: "email".to_owned(),
            detail: detail.map(str::to_owned),
            template: mail.template.clone(),
            order_id: mail.order_id.clone(),
            metadata: mail.metadata.clone(),
        }
    }
}

/// Stores the event. Call [`events::wake`] after the commit.
pub(crate) async fn announce(app: &App, conn: &mut PgConnection, over: Over) -> Result<()> {
    announce_all(app, conn, vec![over], false).await?;
    Ok(())
}

/// Stores the events, as [`events::emit_all`] does.
pub(crate) async fn announce_all(
    app: &App,
    conn: &mut PgConnection,
    over: Vec<Over>,
    at_once: bool,
) -> Result<Vec<Box<dyn Followed>>> {
    let emits = over.into_iter().map(|over| (ProjectId::from_uuid(over.key.0), event(over))).collect();
    events::emit_all(app, conn, emits, at_once).await
}

fn event(over: Over) -> Emit {
    let outcome = if over.is_sent { "sent" } else { "failed" };
    metrics::counter!("trastienda_notifications_total", "channel" => over.channel.clone(), "outcome" => outcome)
        .increment(1);
    let data = json!({
        "notification_id": NotificationId::from_uuid(over.key.1),
        "channel": over.channel,
        "status": outcome,
        "detail": over.detail,
        "template": over.template,
        "order_id": over.order_id,
        "metadata": over.metadata,
    });
    let data = if let Value::Object(data) = data { data } else { Map::new() };
    let event_type = if over.is_sent { "notification.sent" } else { "notification.failed" };
    Emit { event_type, order_id: over.order_id, data }
}
