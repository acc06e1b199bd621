//! A delivery's request as a `curl` command: signed anew where the payload was asked for, without a signature where it is
//! masked.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use trastienda_protocol::ids::{EndpointId, EventId, Id as _};
use trastienda_protocol::webhook::Secret;

use super::desk::{Call, Desk};
use super::mask;
use super::session::Operator;
use crate::http::{Error, Result};
use crate::projects::model::ProjectContext;
use crate::webhooks::{store, wire};

/// The event, the endpoint's address and the command.
pub(super) async fn extra(
    desk: &Desk,
    operator: &Operator,
    shop: &Arc<ProjectContext>,
    delivery: &Value,
    is_revealed: bool,
) -> Result<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (event_id, endpoint_id) = (text(&delivery["event"]), text(&delivery["endpoint"]));
    let path = format!("/v1/events/{event_id}");
    let mut event = desk.call(operator, shop, Call::get(&path)).await?;
    let path = format!("/v1/webhook-endpoints/{endpoint_id}");
    let endpoint = match desk.call(operator, shop, Call::get(&path)).await {
        Ok(endpoint) => endpoint,
        Err(Error::Problem(problem)) if problem.status == 404 => Value::Null,
        Err(error) => return Err(error),
    };
    if !is_revealed {
        mask::mask_at(&mut event, &["/data"]);
    }
    let command = match &endpoint {
        Value::Null => None,
        endpoint => Some(command(desk, shop, &event, (endpoint, &endpoint_id), is_revealed).await?),
    };
    Ok(json!({"event": event, "endpoint": endpoint, "curl": command}))
}

async fn command(
    desk: &Desk,
    shop: &ProjectContext,
    event: &Value,
    (endpoint, endpoint_id): (&Value, &str),
    is_revealed: bool,
) -> Result<String> {
    let empty = Map::new();
    let time = |name: &str| event[name].as_str().and_then(|text| trastienda_protocol::time::parse(text).ok());
    let now = desk.app.clock.now();
    let event_id =
        EventId::parse(event["id"].as_str().unwrap_or_default()).map_err(|_| Error::NotFound("event"))?;
    let said = wire::Said {
        event_id: event_id.uuid(),
        event_type: event["type"].as_str().unwrap_or_default(),
        happened_at: time("occurred_at").or_else(|| time("created_at")).unwrap_or(now),
        data: event["data"].as_object().unwrap_or(&empty),
    };
    let body = wire::body(shop.project.id.uuid(), &said);
    let mut secrets = Vec::new();
    if is_revealed {
        let id = EndpointId::parse(endpoint_id).map_err(|_| Error::NotFound("endpoint"))?;
        let mut conn = desk.app.db.acquire().await?;
        for sealed in store::list_secrets(&mut conn, shop.project.id, id, now).await? {
            let text = desk.app.sealer.open_text(store::SECRET_PURPOSE, &sealed)?;
            secrets.push(
                Secret::parse(text.expose_secret())
                    .map_err(|_| anyhow::anyhow!("a sealed secret is damaged"))?,
            );
        }
    }
    let mut lines = vec![format!("curl -X POST {}", quoted(endpoint["url"].as_str().unwrap_or_default()))];
    for (name, value) in wire::signed_headers(event_id.uuid(), now.timestamp(), &body, &secrets) {
        let value = if value.is_empty() { "v1,•••".to_owned() } else { value };
        lines.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
    }
    for name in endpoint["header_names"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("-H {}", quoted(&format!("{name}: •••"))));
    }
    lines.push(format!("--data-binary {}", quoted(&String::from_utf8_lossy(&body))));
    Ok(lines.join(" \\\n  "))
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_text_gets_out_of_its_quotes() {
        assert_eq!(super::quoted("a'; rm -rf / #"), r"'a'\''; rm -rf / #'");
    }
}
