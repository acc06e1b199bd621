//! Reading a project's events in the order in which they were stored, for who follows them from outside the hub.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use trastienda_protocol::ids::{Id as _, ProjectId};
use uuid::Uuid;

/// An event as it goes to endpoints.
#[derive(Debug)]
pub(crate) struct Tailed {
    pub(crate) id: Uuid,
    pub(crate) event_type: String,
    pub(crate) data: Value,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
}

/// The next events that are handed on, after a place.
pub(crate) async fn list_since(
    db: &PgPool,
    project: ProjectId,
    after: (DateTime<Utc>, Uuid),
) -> sqlx::Result<Vec<Tailed>> {
    sqlx::query_as!(
        Tailed,
        r#"
        select id, type as event_type, data, occurred_at, created_at
        from events
        where project_id = $1
          and (created_at, id) > ($2, $3)
          and status = 'accepted' and duplicate_of is null and blanked_at is null
        order by created_at, id
        limit 500
        "#,
        project.uuid(),
        after.0,
        after.1,
    )
    .fetch_all(db)
    .await
}

/// When the project's newest event was stored.
pub(crate) async fn find_newest(db: &PgPool, project: ProjectId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select max(created_at) from events where project_id = $1", project.uuid())
        .fetch_one(db)
        .await
}
