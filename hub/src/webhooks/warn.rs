//! Telling that an endpoint fails: the operator on the way to its being disabled, and when it is, the project's other
//! endpoints too (`endpoint.disabled`). All in the transaction that makes it so.

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use trastienda_protocol::time;
use uuid::Uuid;

use super::health::{Health, PATIENCE};
use super::store::{self, HealthRow};
use crate::alerts::kinds;
use crate::alerts::settings::Settings;
use crate::app::App;
use crate::events::model::Source;
use crate::events::{self, Emit, Event};
use crate::http;
use crate::operator::{self, Alert};

const DISABLED: &str = "endpoint.disabled";

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The receiver answered 410.
    Gone,
    /// Three days without one success.
    Patience,
}

impl Why {
    fn code(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Patience => "failing",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Gone => "the receiver answered 410 Gone",
            Self::Patience => "no delivery succeeded for 3 days",
        }
    }
}

/// An endpoint and how it stands now.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) row: &'a HealthRow,
    pub(super) health: &'a Health,
    pub(super) now: DateTime<Utc>,
}

/// Disables the endpoint and tells everybody whom it concerns.
pub(super) async fn disable(
    app: &App,
    conn: &mut PgConnection,
    case: &Case<'_>,
    why: Why,
) -> anyhow::Result<()> {
    let Case { row, health, now } = *case;
    if !store::disable_endpoint(conn, row, why.text(), now).await? {
        return Ok(());
    }
    let held = store::count_waiting(conn, row.project(), &[row.id]).await?.remove(&row.id).unwrap_or(0);
    let emit = Emit { event_type: DISABLED, order_id: None, data: data(row, health, why, held, now) };
    events::emit(app, conn, row.project(), emit)
        .await
        .map_err(http::Error::into_cause)
        .with_context(|| format!("{DISABLED} was not stored"))?;
    metrics::counter!("trastienda_webhook_endpoints_disabled_total", "reason" => why.code()).increment(1);
    tracing::warn!(project.id = %row.project(), endpoint.id = %row.endpoint(), reason = why.code(), held,
        "an endpoint is disabled; its deliveries are held");
    let since = since(health, now);
    let (spanish, english) = match why {
        Why::Gone => {
            ("respondió 410 Gone: allí ya no hay nadie", "it answered 410 Gone: nobody is there any more")
        }
        Why::Patience => ("pasaron 3 días sin una sola entrega", "3 days went by without one delivery"),
    };
    let body = format!(
        "El endpoint {endpoint} ({host}) del proyecto «{project}» quedó desactivado: {spanish}.\n\
         Entregas retenidas: {held}. No se descarta ninguna; las nuevas también esperan.\n\n\
         Cuando esté arreglado:  POST /v1/webhook-endpoints/{endpoint}/enable  (entrega lo retenido)\n\n\
         --\n\
         The endpoint {endpoint} ({host}) of the project \"{project}\" was disabled: {english}.\n\
         Held deliveries: {held}. None is discarded; new ones wait as well.\n\n\
         Once it is mended:  POST /v1/webhook-endpoints/{endpoint}/enable  (delivers what is held)\n",
        endpoint = row.endpoint(),
        host = host(row),
        project = row.project_name,
    );
    let alert = Alert {
        kind: kinds::ENDPOINT_DISABLED.name,
        key: format!("endpoint:{}:{}:100:{}", row.endpoint(), since.timestamp_millis(), why.code()),
        subject: format!("Trastienda: endpoint desactivado en {} (100 %)", row.project_name),
        body,
    };
    operator::tell(app, conn, alert).await?;
    Ok(())
}

/// Tells the operator how far the endpoint is on the way.
pub(super) async fn on_the_way(
    app: &App,
    conn: &mut PgConnection,
    case: &Case<'_>,
    percent: i16,
) -> anyhow::Result<()> {
    let Case { row, health, now } = *case;
    if i32::from(percent) < Settings::find(app, conn).await?.threshold(&kinds::ENDPOINT_FAILING) {
        return Ok(());
    }
    let since = since(health, now);
    let at = since + PATIENCE;
    let hours = (at - now).max(TimeDelta::zero()).num_hours();
    let held = store::count_waiting(conn, row.project(), &[row.id]).await?.remove(&row.id).unwrap_or(0);
    let (since_text, at_text) = (time::format(since), time::format(at));
    let body = format!(
        "El endpoint {endpoint} ({host}) del proyecto «{project}» no acepta nada desde {since_text}.\n\
         Si sigue así se desactiva en unas {hours} horas ({at_text}). Entregas que esperan: {held}.\n\n\
         Qué responde:  GET /v1/webhook-endpoints/{endpoint}/stats  y  GET /v1/webhook-deliveries?endpoint={endpoint}\n\n\
         --\n\
         The endpoint {endpoint} ({host}) of the project \"{project}\" has taken nothing since {since_text}.\n\
         If that goes on it is disabled in about {hours} hours ({at_text}). Deliveries that wait: {held}.\n\n\
         What it answers:  GET /v1/webhook-endpoints/{endpoint}/stats  and  GET /v1/webhook-deliveries?endpoint={endpoint}\n",
        endpoint = row.endpoint(),
        host = host(row),
        project = row.project_name,
    );
    let alert = Alert {
        kind: kinds::ENDPOINT_FAILING.name,
        key: format!("endpoint:{}:{}:{percent}", row.endpoint(), since.timestamp_millis()),
        subject: format!(
            "Trastienda: un endpoint de {} falla ({percent} % hasta desactivarse)",
            row.project_name
        ),
        body,
    };
    operator::tell(app, conn, alert).await?;
    Ok(())
}

/// After a commit that announced something.
pub(super) fn wake(app: &App) {
    events::wake(app);
    operator::wake(app);
}

/// Whether an event is about this endpoint's own end: it is for the project's others.
pub(super) fn is_own_end(event: &Event, endpoint: Uuid) -> bool {
    use trastienda_protocol::ids::{EndpointId, Id as _};
    event.source == Source::Hub
        && event.event_type == DISABLED
        && event.data.get("endpoint_id").and_then(Value::as_str)
            == Some(&EndpointId::from_uuid(endpoint).to_string())
}

fn data(row: &HealthRow, health: &Health, why: Why, held: i64, now: DateTime<Utc>) -> Map<String, Value> {
    let data = json!({
        "endpoint_id": row.endpoint(),
        "host": host(row),
        "reason": why.code(),
        "message": why.text(),
        "disabled_at": time::format(now),
        "failing_since": health.failing_since.map(time::format),
        "held": held,
    });
    if let Value::Object(data) = data { data } else { Map::new() }
}

fn since(health: &Health, now: DateTime<Utc>) -> DateTime<Utc> {
    health.failing_since.unwrap_or(now)
}

/// The address without its path: that may hold a token.
fn host(row: &HealthRow) -> String {
    let url = url::Url::parse(&row.url).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or("?");
    match url.as_ref().and_then(url::Url::port) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
