//! Merchant orders: the sum of what was paid for one preference.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::app::App;
use crate::clock::written;
use crate::error::{ApiError, ApiResult};
use crate::money::Money;
use crate::payments::{Payment, Status};
use crate::preferences::Preference;
use crate::sellers::Caller;

/// What ties the payments of one preference together. The sums follow from the payments.
#[derive(Clone, Debug)]
pub(crate) struct MerchantOrder {
    pub(crate) id: i64,
    pub(crate) seller: i64,
    pub(crate) preference: String,
    created_at: DateTime<Utc>,
}

impl MerchantOrder {
    pub(crate) fn of(id: i64, payment: &Payment, preference: String) -> Self {
        Self { id, seller: payment.seller, preference, created_at: payment.created_at }
    }

    fn json(&self, preference: &Preference, payments: &[&Payment]) -> Value {
        let total = preference.total;
        let sum = |of: fn(&Payment) -> i64| total.with(payments.iter().map(|payment| of(payment)).sum());
        let paid = sum(|payment| if payment.status == Status::Approved { payment.amount.minor } else { 0 });
        let refunded = sum(|payment| payment.refunded.minor);
        let updated_at = payments.iter().map(|payment| payment.updated_at).max().unwrap_or(self.created_at);
        json!({
            "id": self.id,
            "status": if paid >= total { "closed" } else { "opened" },
            "order_status": order_status(total, paid, refunded, payments),
            "external_reference": preference.external_reference(),
            "preference_id": self.preference,
            "collector": {"id": self.seller},
            "site_id": preference.site.id,
            "date_created": written(self.created_at),
            "last_updated": written(updated_at),
            "total_amount": total.json(),
            "paid_amount": paid.json(),
            "refunded_amount": refunded.json(),
            "shipping_cost": 0,
            "cancelled": false,
            "items": preference.body.get("items"),
            "shipments": [],
            "notification_url": preference.notification_url(),
            "payments": payments.iter().map(|payment| json!({
                "id": payment.id,
                "transaction_amount": payment.amount.json(),
                "total_paid_amount": payment.amount.json(),
                "shipping_cost": 0,
                "currency_id": payment.site.currency,
                "status": payment.status.as_str(),
                "status_detail": payment.detail,
                "operation_type": "regular_payment",
                "amount_refunded": payment.refunded.json(),
                "date_created": written(payment.created_at),
                "last_modified": written(payment.updated_at),
            })).collect::<Vec<_>>(),
        })
    }
}

/// `GET /merchant_orders/{id}`
pub(crate) async fn get(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    app.change(|state, _| {
        let order = state.orders.get(&id.parse().ok()?)?;
        let preference = state.find_preference(caller.seller.user_id, &order.preference)?;
        let payments: Vec<&Payment> = state.payments.values().filter(|p| p.order == Some(order.id)).collect();
        Some(Json(order.json(preference, &payments)))
    })
    .ok_or_else(|| ApiError::not_found("merchant order not found"))
}

fn order_status(total: Money, paid: Money, refunded: Money, payments: &[&Payment]) -> &'static str {
    let in_process =
        payments.iter().any(|payment| matches!(payment.status, Status::Pending | Status::InProcess));
    if paid >= total && refunded.minor == 0 {
        "paid"
    } else if refunded >= total {
        "reverted"
    } else if refunded.minor > 0 {
        "partially_reverted"
    } else if paid.minor > 0 {
        "partially_paid"
    } else if in_process {
        "payment_in_process"
    } else {
        "payment_required"
    }
}
