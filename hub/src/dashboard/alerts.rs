//! What the operator is alerted of, who is told, and from when on.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use lettre::message::Mailbox;
use serde_json::{Value, json};
use trastienda_protocol::ids::{AlertId, Id as _, ProjectId, timestamp};
use trastienda_protocol::webhook::Secret;
use url::Url;

use super::desk::Desk;
use super::form::{Form, Sent};
use super::pages::Lang;
use super::session::Operator;
use super::{audit, lists};
use crate::alerts::kinds::{KINDS, Kind};
use crate::alerts::settings::{SECRET_PURPOSE, Settings, check_threshold};
use crate::alerts::store::{self, AlertRow, RuleRow};
use crate::alerts::words::{self, Tongue};
use crate::alerts::{self, post::AlertWebhooks};
use crate::http::{Error, Result};
use crate::operator;
use crate::queue::worker::Queue as _;

const PAGE: i64 = 50;
const MESSAGES: i64 = 20;
const HERE: &str = "/alerts";

#[derive(Debug, serde::Deserialize)]
pub(super) struct Place {
    before: Option<String>,
    done: Option<String>,
}

pub(super) async fn show(
    State(desk): State<Desk>,
    operator: Operator,
    Query(place): Query<Place>,
) -> Result<Response> {
    let before = place.before.as_deref().map(AlertId::parse).transpose();
    let before = before.map_err(|_| Error::NotFound("page"))?.map(AlertId::uuid);
    // Ids carry the time at which an alert opened.
    let before = before.map_or((DateTime::<Utc>::MAX_UTC, alerts::FIRST), |id| (timestamp(id), id));
    let mut conn = desk.app.db.acquire().await?;
    let settings = Settings::find(&desk.app, &mut conn).await?;
    let set = store::get_settings(&mut conn).await?;
    let tongue = if operator.look.lang == Lang::Es { Tongue::Es } else { Tongue::En };
    let open = store::list_open(&mut conn).await?;
    let over = store::list_over(&mut conn, before, PAGE).await?;
    let next = (over.len() == usize::try_from(PAGE).unwrap_or(0))
        .then(|| over.last().map(|row| AlertId::from_uuid(row.id)))
        .flatten();
    let shown = |rows: &[AlertRow]| rows.iter().map(|row| alert(row, tongue)).collect::<Vec<_>>();
    let messages = store::list_messages(&mut conn, MESSAGES).await?;
    let kinds: Vec<Value> = KINDS.iter().map(|kind| rule(kind, &settings)).collect();
    let query = Form::parse(format!("done={}", place.done.unwrap_or_default()).as_bytes());
    let context = json!({
        "shop": null, "section": "alerts", "open": shown(&open), "over": shown(&over), "next": next, "kinds": kinds,
        "messages": messages, "email": settings.email.as_ref().map(ToString::to_string),
        "is_own_email": set.email.is_some(), "has_server": desk.app.config.smtp_url.is_some(),
        // Its path may hold a token.
        "webhook": settings.webhook.as_ref().map(|webhook| webhook.url.origin().ascii_serialization()),
        "is_own_webhook": set.webhook_url.is_some(), "looked_at": set.looked_at.map(trastienda_protocol::time::format),
        "done": lists::done(&query),
    });
    desk.page(&operator, "alerts.html", context)
}

fn alert(row: &AlertRow, tongue: Tongue) -> Value {
    let words = words::of(row, tongue);
    let project = row.project_id.map(ProjectId::from_uuid);
    // Where what it is about can be looked at.
    let link = project.map(|project| {
        let part = match row.kind.as_str() {
            "endpoint_disabled" | "endpoint_failing" => format!("/endpoints/{}", row.subject),
            "case_open" => "/cases?status=open".to_owned(),
            "dead_letters" if row.details["agent_id"].is_null() => "/events?status=rejected".to_owned(),
            "provider_failing" => "/payments".to_owned(),
            "mail_account_failing" => "/notifications?channel=email&status=pending".to_owned(),
            _ => String::new(),
        };
        format!("/shops/{project}{part}")
    });
    json!({
        "id": AlertId::from_uuid(row.id), "kind": row.kind, "title": words.title, "text": words.text, "link": link,
        "runbook": Kind::find(&row.kind).map(Kind::runbook), "project_name": row.details["project_name"],
        "opened_at": trastienda_protocol::time::format(row.opened_at),
        "cleared_at": row.cleared_at.map(trastienda_protocol::time::format),
        "recovered_at": row.recovered_at.map(trastienda_protocol::time::format),
    })
}

fn rule(kind: &'static Kind, settings: &Settings) -> Value {
    json!({
        "name": kind.name, "is_on": settings.is_on(kind), "is_own": settings.is_of_dashboard(kind),
        "threshold": kind.threshold.as_ref().map(|threshold| json!({
            "unit": threshold.unit.as_str(), "min": threshold.min, "max": threshold.max, "value": settings.threshold(kind),
        })),
    })
}

async fn note(
    desk: &Desk,
    conn: &mut sqlx::PgConnection,
    sent: &Sent,
    action: &str,
    subject: &str,
) -> Result<()> {
    let entry = audit::Entry { action, subject: Some(subject), ..audit::Entry::default() };
    audit::write(desk, conn, &sent.operator.name, entry).await?;
    Ok(())
}

fn back(done: &str) -> Response {
    Redirect::to(&format!("{HERE}?done={done}")).into_response()
}

/// Tells everybody that this is a test.
pub(super) async fn test(State(desk): State<Desk>, sent: Sent) -> Result<Response> {
    let mut tx = desk.app.db.begin().await?;
    note(&desk, &mut tx, &sent, "alerts.tested", "").await?;
    let is_told = alerts::tell_test(&desk.app, &mut tx).await?;
    tx.commit().await?;
    operator::wake(&desk.app);
    desk.app.wakes.wake(AlertWebhooks::NAME);
    Ok(back(if is_told { "tested" } else { "nobody" }))
}

/// Who is written to; empty: whom the variable names.
pub(super) async fn set_email(State(desk): State<Desk>, sent: Sent) -> Result<Response> {
    let email = sent.form.get("email");
    if email.is_some_and(|email| email.parse::<Mailbox>().is_err()) {
        return Err(Error::field("/email", "must be an address, as `ops@example.com`"));
    }
    let mut tx = desk.app.db.begin().await?;
    store::set_email(&mut tx, email, desk.app.clock.now()).await?;
    note(&desk, &mut tx, &sent, "alerts.email_set", "").await?;
    tx.commit().await?;
    Ok(back("saved"))
}

/// Where alerts are posted; the secret is shown this once. Empty: where the variable says.
pub(super) async fn set_webhook(State(desk): State<Desk>, sent: Sent) -> Result<Response> {
    let now = desk.app.clock.now();
    let Some(url) = sent.form.get("url") else {
        let mut tx = desk.app.db.begin().await?;
        store::set_webhook(&mut tx, None, now).await?;
        note(&desk, &mut tx, &sent, "alerts.webhook_removed", "").await?;
        tx.commit().await?;
        return Ok(back("saved"));
    };
    let url = Url::parse(url).map_err(|error| Error::field("/url", error.to_string()))?;
    desk.app.outbound.check_url(&url).await.map_err(|refused| Error::field("/url", refused.to_string()))?;
    let secret = Secret::generate().map_err(anyhow::Error::from)?.expose();
    let sealed = desk.app.sealer.seal(SECRET_PURPOSE, secret.as_bytes()).map_err(anyhow::Error::from)?;
    let mut tx = desk.app.db.begin().await?;
    store::set_webhook(&mut tx, Some((url.as_str(), &sealed)), now).await?;
    let origin = url.origin().ascii_serialization();
    note(&desk, &mut tx, &sent, "alerts.webhook_set", &origin).await?;
    tx.commit().await?;
    let context =
        json!({"shop": null, "section": "alerts", "secret": secret, "what": "alerts", "back": HERE});
    desk.page(&sent.operator, "secret.html", context)
}

/// Whether a kind is told, and from which number on; `as` is `on`, `off`, or `variable`.
pub(super) async fn set_rule(
    State(desk): State<Desk>,
    Path(kind): Path<String>,
    sent: Sent,
) -> Result<Response> {
    let kind = Kind::find(&kind).ok_or(Error::NotFound("kind of alert"))?;
    let threshold = match sent.form.get("threshold").filter(|_| kind.threshold.is_some()) {
        Some(text) => Some(check_threshold(kind, text).map_err(|said| Error::field("/threshold", said))?),
        None => None,
    };
    let mut tx = desk.app.db.begin().await?;
    match sent.form.get("as") {
        Some("variable") => store::delete_rule(&mut tx, kind.name).await?,
        said => {
            let rule = RuleRow { kind: kind.name.to_owned(), is_on: said != Some("off"), threshold };
            store::upsert_rule(&mut tx, &rule, desk.app.clock.now()).await?;
        }
    }
    note(&desk, &mut tx, &sent, "alerts.rule_set", kind.name).await?;
    tx.commit().await?;
    Ok(back("saved"))
}
