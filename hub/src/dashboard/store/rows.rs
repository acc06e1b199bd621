//! SQL of what a page shows beside what the API gives.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// A key without its secret.
#[derive(Debug, Serialize)]
pub(crate) struct KeyRow {
    key_id: String,
    last_four: String,
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    expires_at: Option<DateTime<Utc>>,
    /// To within a minute or so.
    #[serde(serialize_with = "trastienda_protocol::time::serialize_option")]
    last_used_at: Option<DateTime<Utc>>,
}

/// The current key first.
pub(crate) async fn list_keys(conn: &mut PgConnection, project: Uuid) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"
        select key_id, last_four, created_at, expires_at, last_used_at
        from api_keys
        where project_id = $1
        order by expires_at nulls first
        "#,
        project,
    )
    .fetch_all(conn)
    .await
}

/// An open case, in a line.
#[derive(Debug, Serialize)]
pub(crate) struct CaseLine {
    kind: String,
    detail: String,
}

/// An order's open cases.
pub(crate) async fn list_open_cases(
    conn: &mut PgConnection,
    project: Uuid,
    order: Option<&str>,
) -> sqlx::Result<Vec<CaseLine>> {
    sqlx::query_as!(
        CaseLine,
        r#"
        select kind, detail
        from payment_cases
        where project_id = $1 and order_id = $2 and status = 'open'
        order by created_at desc
        limit 20
        "#,
        project,
        order,
    )
    .fetch_all(conn)
    .await
}

/// The orders that were last heard of.
pub(crate) async fn list_recent_orders(conn: &mut PgConnection, project: Uuid) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"
        select order_id as "order_id!"
        from (
            select order_id, created_at
            from events
            where project_id = $1 and order_id is not null and blanked_at is null
            order by created_at desc, id desc
            limit 200
        ) as last
        group by order_id
        order by max(created_at) desc
        limit 25
        "#,
        project,
    )
    .fetch_all(conn)
    .await
}

/// What was said of an order, oldest first.
pub(crate) async fn list_order_data(
    conn: &mut PgConnection,
    project: Uuid,
    order: &str,
) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        r#"
        select data
        from events
        where project_id = $1 and order_id = $2
        order by created_at
        limit 50
        "#,
        project,
        order,
    )
    .fetch_all(conn)
    .await
}
