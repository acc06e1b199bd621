//! `GET /v1/payments/search`

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::model::Payment;
use crate::app::App;
use crate::clock::read_bound;
use crate::error::{ApiError, ApiResult};
use crate::faults::FaultKind;
use crate::sellers::Caller;

/// The most results in one answer.
const MAX_LIMIT: usize = 1000;

/// A seller's payments, filtered, sorted and paged. Several may share one reference.
pub(crate) async fn search(
    caller: Caller,
    State(app): State<Arc<App>>,
    Query(query): Query<HashMap<String, String>>,
) -> ApiResult<Json<Value>> {
    let lag =
        app.faults.strike("GET", "/v1/payments/search", |kind| matches!(kind, FaultKind::SearchLag { .. }));
    app.change(|state, now| {
        let wanted = Wanted::read(&query, now)?;
        let newest = match lag {
            Some(FaultKind::SearchLag { ms }) => now - TimeDelta::milliseconds(ms.into()),
            _ => now,
        };
        let mut found: Vec<&Payment> = state
            .payments
            .values()
            .filter(|payment| payment.seller == caller.seller.user_id)
            .filter(|payment| payment.created_at <= newest && wanted.takes(payment))
            .collect();
        found.sort_by_key(|payment| (wanted.sort.of(payment), payment.id));
        if wanted.descending {
            found.reverse();
        }
        let results: Vec<Value> = found
            .iter()
            .skip(wanted.offset)
            .take(wanted.limit)
            .map(|payment| payment.json(&app.public_url))
            .collect();
        let paging = json!({"total": found.len(), "limit": wanted.limit, "offset": wanted.offset});
        Ok(Json(json!({"paging": paging, "results": results})))
    })
}

struct Wanted<'a> {
    query: &'a HashMap<String, String>,
    range: Field,
    begin: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    sort: Field,
    descending: bool,
    limit: usize,
    offset: usize,
}

#[derive(Clone, Copy)]
enum Field {
    Id,
    Created,
    Updated,
    Approved,
    Released,
}

impl<'a> Wanted<'a> {
    fn read(query: &'a HashMap<String, String>, now: DateTime<Utc>) -> ApiResult<Self> {
        let text = |name: &str| query.get(name).map(String::as_str);
        let invalid = |name: &str| ApiError::bad_request(1, format!("Invalid parameter {name}"));
        let bound =
            |name: &str| text(name).map(|at| read_bound(at, now).ok_or_else(|| invalid(name))).transpose();
        let number = |name: &str, default: usize| match text(name) {
            None => Ok(default),
            Some(given) => given.parse::<usize>().map_err(|_| invalid(name)),
        };
        let limit = number("limit", 30)?;
        if limit > MAX_LIMIT {
            return Err(ApiError::bad_request(1000, "Number of rows exceeded the limits"));
        }
        let range = match text("range") {
            None | Some("date_created") => Field::Created,
            Some("date_last_updated") => Field::Updated,
            Some("date_approved") => Field::Approved,
            Some("money_release_date") => Field::Released,
            Some(_) => return Err(invalid("range")),
        };
        let sort = match text("sort") {
            None | Some("date_created") => Field::Created,
            Some("date_last_updated") => Field::Updated,
            Some("date_approved") => Field::Approved,
            Some("money_release_date") => Field::Released,
            Some("id") => Field::Id,
            Some(_) => return Err(invalid("sort")),
        };
        let descending = match text("criteria") {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(invalid("criteria")),
        };
        Ok(Self {
            query,
            range,
            begin: bound("begin_date")?,
            end: bound("end_date")?,
            sort,
            descending,
            limit,
            offset: number("offset", 0)?,
        })
    }

    fn takes(&self, payment: &Payment) -> bool {
        let is = |name: &str, actual: &str| self.query.get(name).is_none_or(|wanted| wanted == actual);
        let at = self.range.of(payment);
        let within = (self.begin.is_none() || at.is_some_and(|at| self.begin <= Some(at)))
            && self.end.is_none_or(|end| at.is_some_and(|at| at <= end));
        within
            && is("external_reference", payment.external_reference.as_deref().unwrap_or_default())
            && is("status", payment.status.as_str())
            && is("id", &payment.id.to_string())
            && is("collector.id", &payment.seller.to_string())
            && is("payer.id", &payment.payer_id.to_string())
            // Payments of the simulator are never made in a shop of bricks.
            && is("store_id", "")
            && is("pos_id", "")
    }
}

impl Field {
    fn of(self, payment: &Payment) -> Option<DateTime<Utc>> {
        match self {
            Self::Id => None,
            Self::Created => Some(payment.created_at),
            Self::Updated => Some(payment.updated_at),
            Self::Approved => payment.approved_at,
            Self::Released => payment.released_at(),
        }
    }
}
