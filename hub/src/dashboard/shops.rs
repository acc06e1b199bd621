//! One shop's first page: how it stands, and the last of everything.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::desk::{Call, Desk, shop_json};
use super::mask;
use super::session::Operator;
use crate::http::Result;
use crate::{agents, webhooks};

pub(super) async fn show(
    State(desk): State<Desk>,
    operator: Operator,
    Path(project): Path<String>,
) -> Result<Response> {
    let shop = desk.shop(&project).await?;
    let about = desk.call(&operator, &shop, Call::get("/v1/project")).await?;
    let events = desk.call(&operator, &shop, Call::get("/v1/events?limit=8")).await?;
    let failed =
        desk.call(&operator, &shop, Call::get("/v1/webhook-deliveries?limit=8&status=failed")).await?;
    let mut mails = desk.call(&operator, &shop, Call::get("/v1/notifications?limit=8&status=failed")).await?;
    for row in mails["data"].as_array_mut().into_iter().flatten() {
        mask::mask_at(row, &["/to", "/metadata"]);
    }
    let payments = desk.call(&operator, &shop, Call::get("/v1/payments?limit=8")).await?;
    let mut conn = desk.app.db.acquire().await?;
    let now = desk.app.clock.now();
    let agents = agents::list_agents(&mut conn, shop.project.id, now).await?;
    let (waiting, oldest) = webhooks::store::get_pulled_backlog(&mut conn, shop.project.id, now).await?;
    let behind =
        json!({"waiting": waiting, "seconds": oldest.map_or(0, |at| (now - at).num_seconds().max(0))});
    let context = json!({
        "shop": shop_json(&shop), "section": "shop", "about": about, "events": events["data"], "failed": failed["data"],
        "mails": mails["data"], "payments": payments["data"], "agents": agents, "behind": behind,
    });
    desk.page(&operator, "shop.html", context)
}
