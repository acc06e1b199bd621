//! What the hub must refuse after an agent's acknowledgement.

use serde_json::Value;
use trastienda_protocol::fingerprint::fingerprint;
use trastienda_protocol::ids::NotificationId;
use trastienda_protocol::notification::Channel;
use trastienda_protocol::problem::Problem;

use crate::app::App;
use crate::http::Result;
use crate::notifications::model::detail;
use crate::notifications::over;
use crate::notifications::store::{self, NewRow};
use crate::operator;
use crate::projects::model::ProjectContext;

/// Stores a notification that a batch's rules refuse: the shop was told that it is safe, so it is not dropped.
pub(crate) async fn record_refused(
    app: &App,
    context: &ProjectContext,
    id: NotificationId,
    body: &Value,
    problem: &Problem,
) -> Result<()> {
    let now = app.clock.now();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(clean);
    let channel = text("channel").and_then(|channel| Channel::parse(&channel)).unwrap_or(Channel::Email);
    let mut refused = body.clone();
    if let Some(map) = refused.as_object_mut() {
        // Up to 7 MiB that nobody will send.
        map.remove("attachments");
    }
    let row = NewRow {
        project: context.project.id,
        id,
        channel: channel.as_str(),
        recipient: text("to").unwrap_or_default(),
        payload: serde_json::json!({ "refused": cleaned(refused) }),
        template: text("template"),
        template_version: None,
        locale: None,
        order_id: text("order_id"),
        metadata: Value::Object(serde_json::Map::new()),
        status: "failed",
        detail: Some(detail::REFUSED),
        problem: Some(cleaned(serde_json::to_value(problem).unwrap_or_default())),
        open_token_hash: None,
        run_at: now,
        expires_at: None,
        fingerprint: fingerprint(&app.fingerprint_key, body),
        created_at: now,
        finished_at: Some(now),
    };
    let mut tx = app.db.begin().await?;
    let is_new = store::insert_notification(&mut tx, &row).await?;
    if is_new {
        let over = over::Over::refused(&row);
        over::announce(app, &mut tx, over).await?;
        let told = operator::Refused {
            project: &context.project,
            kind: "notification",
            id: id.to_string(),
            listed_at: "/v1/notifications?status=failed",
            problem,
            at: now,
        };
        operator::tell_refused(app, &mut tx, &told).await?;
    }
    tx.commit().await?;
    if is_new {
        crate::events::wake(app);
        operator::wake(app);
    }
    Ok(())
}

/// PostgreSQL holds no NUL; one in the body may be the very reason for the refusal.
fn clean(text: &str) -> String {
    text.chars().take(320).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => items.into_iter().map(cleaned).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), cleaned(value))).collect()
        }
        other => other,
    }
}
