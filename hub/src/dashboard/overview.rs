//! Every shop on one page: what needs a person first, then how each stands, then the last day in charts.

use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use serde_json::{Value, json};
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::charts;
use super::desk::Desk;
use super::session::Operator;
use super::store::{self, ShopRow};
use crate::http::Result;
use crate::projects::model::LimitOverrides;
use crate::projects::plans::Plan;

const DAY: TimeDelta = TimeDelta::hours(24);
/// An agent reports once a minute.
const SILENT: TimeDelta = TimeDelta::minutes(5);
/// What an agent could not send for so long is worth a look.
const STUCK_SECONDS: i64 = 300;
/// A key this old is worth rotating.
const KEY_OLD: TimeDelta = TimeDelta::days(365);

pub(super) async fn show(State(desk): State<Desk>, operator: Operator) -> Result<Response> {
    let now = desk.app.clock.now();
    let mut conn = desk.app.db.acquire().await?;
    let rows = store::list_shops(&mut conn, now - DAY, now.date_naive()).await?;
    drop(conn);
    let mut shops: Vec<Value> = rows.iter().map(|row| shop(row, now)).collect();
    // What needs a person stands first; otherwise by name, as the database gave them.
    shops.sort_by_key(|shop| std::cmp::Reverse(shop["troubles"].as_array().map_or(0, Vec::len)));
    let troubles = shops.iter().map(|shop| shop["troubles"].as_array().map_or(0, Vec::len)).sum::<usize>();
    let context = json!({"shops": shops, "troubles": troubles, "section": "overview", "shop": null});
    desk.page(&operator, "overview.html", context)
}

/// The charts, fetched by the page once it is there.
pub(super) async fn charts(State(desk): State<Desk>, operator: Operator) -> Result<Response> {
    let charts = if let Some(kept) = desk.kept_charts() {
        kept
    } else {
        let now = desk.app.clock.now();
        let mut conn = desk.app.db.acquire().await?;
        let hours = store::list_hours(&mut conn, now - DAY, now).await?;
        let charts = charts::of(&hours, now);
        desk.keep_charts(&charts);
        charts
    };
    desk.page(&operator, "charts.html", json!({"charts": charts}))
}

fn shop(row: &ShopRow, now: chrono::DateTime<chrono::Utc>) -> Value {
    let id = ProjectId::from_uuid(row.id);
    let own = LimitOverrides {
        events_per_day: row.events_limit,
        emails_per_day: row.emails_limit,
        whatsapp_per_day: row.whatsapp_limit,
        payments_per_day: row.payments_limit,
        ..LimitOverrides::default()
    };
    let limits = own.on(Plan::parse(&row.plan).unwrap_or(Plan::Free));
    let usage = [
        ("events", row.events_used, limits.events_per_day),
        ("emails", row.emails_used, limits.emails_per_day),
        ("whatsapp", row.whatsapp_used, limits.whatsapp_per_day),
        ("payments", row.payments_used, limits.payments_per_day),
    ];
    let usage: Vec<Value> = usage
        .iter()
        .map(|(service, used, limit)| {
            let percent = if *limit == 0 { 0 } else { used.saturating_mul(100) / i64::from(*limit) };
            json!({"service": service, "used": used, "limit": limit, "percent": percent.min(100)})
        })
        .collect();
    let status = row.agent_status.clone().unwrap_or(Value::Null);
    let oldest = status["oldest_seconds"].as_i64().filter(|_| status["buffered"].as_i64().unwrap_or(0) > 0);
    let is_silent = row.agent_seen_at.is_some_and(|at| now - at > SILENT);
    let time = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(trastienda_protocol::time::format);
    let is_key_old = row.key_made_at.is_some_and(|at| now - at > KEY_OLD);
    let troubles = [
        ("agent_silent", i64::from(is_silent)),
        ("agent_stuck", i64::from(oldest.is_some_and(|age| age > STUCK_SECONDS))),
        ("dead_letters", status["dead_letters"].as_i64().unwrap_or(0)),
        ("endpoints_failing", row.endpoints_failing),
        ("mails_failed", row.mails_failed),
        ("refused", row.events_refused + row.notifications_refused),
        ("payments_disputed", row.payments_disputed),
        ("cases_open", row.cases_open),
        (
            "quota",
            usage.iter().filter(|use_| use_["percent"].as_i64() == Some(100)).count().try_into().unwrap_or(0),
        ),
    ];
    let troubles: Vec<Value> = troubles
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| json!({"what": what, "count": count}))
        .collect();
    json!({
        "id": id, "name": row.name, "domain": row.domain, "mode": row.mode, "plan": row.plan, "is_active": row.is_active,
        "agent": {"seen_at": time(row.agent_seen_at), "is_silent": is_silent, "oldest_seconds": oldest,
                  "buffered": status["buffered"].as_i64(), "dead_letters": status["dead_letters"].as_i64()},
        "endpoints": row.endpoints, "endpoints_failing": row.endpoints_failing, "mails_failed": row.mails_failed,
        "refused": row.events_refused + row.notifications_refused, "whatsapp_pending": row.whatsapp_pending,
        "payments_unpaid": row.payments_unpaid, "payments_disputed": row.payments_disputed, "cases_open": row.cases_open,
        "key_made_at": time(row.key_made_at), "is_key_old": is_key_old, "usage": usage, "troubles": troubles,
    })
}
