//! SQL of the dashboard: its own tables, and what no shop may ask the API, as numbers over all shops. What a shop may ask
//! is asked of the API.

mod audit;
mod overview;
mod rows;
mod sessions;

pub(super) use audit::{AuditRow, finish_audit, insert_audit, list_audit, list_audit_of};
pub(super) use overview::{HourRow, ShopRow, get_pulse, list_hours, list_shops};
pub(super) use rows::{list_keys, list_open_cases, list_order_data, list_recent_orders};
pub(super) use sessions::{
    count_refused, count_sessions, delete_operator, delete_session, delete_sessions, find_password,
    find_session, insert_session, list_operators, upsert_operator,
};
