//! A shop's keys, plan, flags and limits; and new shops.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use trastienda_protocol::ids::Id as _;

use super::desk::{Desk, shop_json};
use super::form::Sent;
use super::session::Operator;
use super::{audit, lists, store};
use crate::http::{Error, Result};
use crate::projects::operations::GRACE_MAX;
use crate::projects::plans::{FLAGS, Plan};
use crate::projects::store::ProjectChanges;
use crate::projects::{admin, store as projects};

const LIMITS: [&str; 7] = [
    "requests_per_minute",
    "events_per_day",
    "emails_per_day",
    "whatsapp_per_day",
    "payments_per_day",
    "endpoints",
    "retention_days",
];

pub(super) async fn show(
    State(desk): State<Desk>,
    operator: Operator,
    Path(project): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let query = super::form::Form::parse(query.unwrap_or_default().as_bytes());
    let mut conn = desk.app.db.acquire().await?;
    let keys = store::list_keys(&mut conn, shop.project.id.uuid()).await?;
    let own = projects::find_limits(&mut conn, shop.project.id).await?;
    let usage = projects::list_usage(&mut conn, shop.project.id, desk.app.clock.now().date_naive()).await?;
    let in_force = serde_json::to_value(shop.limits).map_err(anyhow::Error::from)?;
    let own = [
        own.requests_per_minute,
        own.events_per_day,
        own.emails_per_day,
        own.whatsapp_per_day,
        own.payments_per_day,
        own.endpoints,
        own.retention_days,
    ];
    let limits: Vec<Value> = LIMITS
        .iter()
        .zip(own)
        .map(|(name, own)| {
            let used = name.strip_suffix("_per_day").and_then(|service| usage.get(service));
            json!({"name": name, "own": own, "in_force": in_force[name], "used": used})
        })
        .collect();
    let flags: Vec<Value> = shop
        .features()
        .into_iter()
        .map(|(name, enabled)| {
            let about = FLAGS.iter().find(|flag| flag.name == name).map(|flag| flag.description);
            json!({"name": name, "enabled": enabled, "own": shop.own_flags.get(&name), "about": about})
        })
        .collect();
    let context = json!({
        "shop": shop_json(&shop), "section": "settings", "keys": keys, "limits": limits, "flags": flags,
        "plans": Plan::CHOICES.iter().map(|(name, _)| name).collect::<Vec<_>>(), "done": lists::done(&query),
    });
    desk.page(&operator, "settings.html", context)
}

async fn note(
    desk: &Desk,
    sent: &Sent,
    project: Option<trastienda_protocol::ids::ProjectId>,
    action: &str,
) -> Result<()> {
    let mut conn = desk.app.db.acquire().await?;
    let entry = audit::Entry { action, project, ..audit::Entry::default() };
    audit::write(desk, &mut conn, &sent.operator.name, entry).await?;
    Ok(())
}

/// Makes a shop; its key is shown this once.
pub(super) async fn create(State(desk): State<Desk>, sent: Sent) -> Result<Response> {
    let body = json!({
        "name": sent.form.raw("name").trim(), "domain": sent.form.raw("domain").trim(),
        "plan": sent.form.get("plan").unwrap_or("free"), "mode": sent.form.get("mode").unwrap_or("live"),
    });
    let (project, key) = desk.app.operations().create(admin::parse_new(&body)?).await?;
    note(&desk, &sent, Some(project.id), "project.created").await?;
    let context = json!({
        "shop": null, "section": "overview", "secret": key.expose(), "what": "api-key", "back": format!("/shops/{}", project.id),
    });
    desk.page(&sent.operator, "secret.html", context)
}

pub(super) async fn rotate_key(
    State(desk): State<Desk>,
    Path(project): Path<String>,
    sent: Sent,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let grace = sent.form.get("grace_seconds").unwrap_or("0").parse::<i64>().ok();
    let grace = grace
        .filter(|seconds| (0..=GRACE_MAX.num_seconds()).contains(seconds))
        .ok_or_else(|| Error::field("/grace_seconds", "must be a number of seconds, at most 30 days"))?;
    note(
        &desk,
        &sent,
        Some(shop.project.id),
        if grace == 0 { "key.rotated" } else { "key.rotated_with_grace" },
    )
    .await?;
    let key = desk.app.operations().rotate_key(shop.project.id, TimeDelta::seconds(grace)).await?;
    let context = json!({
        "shop": shop_json(&shop), "section": "settings", "secret": key.expose(), "what": "api-key",
        "back": format!("/shops/{project}/settings"),
    });
    desk.page(&sent.operator, "secret.html", context)
}

pub(super) async fn set_limits(
    State(desk): State<Desk>,
    Path(project): Path<String>,
    sent: Sent,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let body: Map<String, Value> = LIMITS
        .iter()
        .map(|name| {
            let value = match sent.form.get(name) {
                None => Value::Null,
                Some(text) => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    let change = admin::parse_limits(&Value::Object(body))?;
    note(&desk, &sent, Some(shop.project.id), "project.limits_set").await?;
    desk.app.operations().set_limits(shop.project.id, |limits| change.apply(limits)).await?;
    Ok(back(&project))
}

/// Plan, and whether the shop is served.
pub(super) async fn update(
    State(desk): State<Desk>,
    Path(project): Path<String>,
    sent: Sent,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let changes = ProjectChanges {
        plan: sent.form.get("plan").and_then(Plan::parse),
        is_active: match sent.form.get("is_active") {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        },
        ..ProjectChanges::default()
    };
    let action = match changes.is_active {
        Some(true) => "project.activated",
        Some(false) => "project.deactivated",
        None => "project.plan_set",
    };
    note(&desk, &sent, Some(shop.project.id), action).await?;
    desk.app.operations().update(shop.project.id, &changes).await?;
    Ok(back(&project))
}

pub(super) async fn set_flag(
    State(desk): State<Desk>,
    Path(project): Path<String>,
    sent: Sent,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let flag = sent.form.get("flag").unwrap_or_default();
    admin::check_flag(flag)?;
    let enabled = match sent.form.get("enabled") {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => None,
    };
    note(&desk, &sent, Some(shop.project.id), "project.flag_set").await?;
    desk.app.operations().set_feature(shop.project.id, flag, enabled).await?;
    Ok(back(&project))
}

fn back(project: &str) -> Response {
    Redirect::to(&format!("/shops/{project}/settings?done=saved")).into_response()
}
