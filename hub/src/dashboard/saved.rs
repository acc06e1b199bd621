//! What a shop was spared, by the month; each number opens the rows behind it.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use chrono::{Months, NaiveDate};
use serde_json::{Value, json};
use trastienda_protocol::ids::{DeliveryId, EventId, Id as _, NotificationId, PaymentId};

use super::desk::{Desk, shop_json};
use super::session::Operator;
use crate::http::{Error, Result};
use crate::saved::{self, Row, Saving};

/// Months that are shown at most.
const MONTHS: u32 = 3;

#[derive(Debug, serde::Deserialize)]
pub(super) struct Asked {
    what: Option<String>,
    month: Option<String>,
}

pub(super) async fn show(
    State(desk): State<Desk>,
    operator: Operator,
    Path(project): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let now = desk.app.clock.now();
    let mut conn = desk.app.db.acquire().await?;
    let mut months = Vec::new();
    let first = saved::bounds(shop.project.created_at.date_naive()).0;
    for back in 0..MONTHS {
        let Some(month) = saved::bounds(now.date_naive()).0.checked_sub_months(Months::new(back)) else {
            break;
        };
        // Nothing was spared before there was a shop.
        if month < first {
            break;
        }
        let counted = saved::month(&mut conn, shop.project.id, month, now).await?;
        let services = saved::list_services(&mut conn, shop.project.id, month).await?;
        let numbers: Vec<Value> = Saving::ALL
            .iter()
            .map(|saving| json!({"what": saving.as_str(), "n": counted.total.of(*saving)}))
            .collect();
        let sums: Vec<Value> = counted
            .sums
            .iter()
            .map(|sum| json!({"amount": sum.to_string(), "currency": sum.currency.as_str()}))
            .collect();
        months.push(json!({
            "month": month.format("%Y-%m").to_string(), "numbers": numbers, "outages": counted.total.outages,
            "sums": sums, "services": services,
        }));
    }
    let rows = match &asked.what {
        None => Value::Null,
        Some(what) => {
            let saving = Saving::ALL.into_iter().find(|saving| saving.as_str() == what);
            let saving = saving.ok_or(Error::NotFound("page"))?;
            let month = format!("{}-01", asked.month.as_deref().unwrap_or_default());
            let month: NaiveDate = month.parse().map_err(|_| Error::NotFound("page"))?;
            let rows = saved::list_rows(&mut conn, shop.project.id, saving, month).await?;
            json!({"what": what, "month": asked.month, "rows": rows.iter().map(row).collect::<Vec<_>>()})
        }
    };
    let context = json!({"shop": shop_json(&shop), "section": "saved", "months": months, "behind": rows});
    desk.page(&operator, "saved.html", context)
}

fn row(row: &Row) -> Value {
    let (kind, id) = match row.of.as_str() {
        "event" => ("events", EventId::from_uuid(row.id).to_string()),
        "delivery" => ("deliveries", DeliveryId::from_uuid(row.id).to_string()),
        "notification" => ("notifications", NotificationId::from_uuid(row.id).to_string()),
        _ => ("payments", PaymentId::from_uuid(row.id).to_string()),
    };
    // How long it was kept is the time from its making, which its id carries.
    let made = trastienda_protocol::ids::timestamp(row.id);
    json!({
        "kind": kind, "id": id, "what": row.what, "order_id": row.order_id,
        "made_at": trastienda_protocol::time::format(made), "at": trastienda_protocol::time::format(row.at),
        "seconds": (row.at - made).num_seconds().max(0),
    })
}
