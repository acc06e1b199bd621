//! Telling every hub that a key or a project changed, and waiting until they have all heard.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use crate::queue::members;

/// The channel; the payload is the epoch.
pub const CHANNEL: &str = "trastienda_keys";
/// How long a rotation waits for the other hubs.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// The current epoch.
pub(crate) async fn epoch(db: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!("select value from key_epoch").fetch_one(db).await
}

/// Raises the epoch in the transaction that changes a key or a project.
pub(crate) async fn raise(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!("update key_epoch set value = value + 1 returning value").fetch_one(conn).await
}

/// After the commit: tells every hub and waits until each has forgotten what it knew, at most [`WAIT_MAX`].
/// A hub that does not listen trusts nothing that it remembers, so it need not be waited for.
pub(crate) async fn announce(db: &PgPool, epoch: i64) -> sqlx::Result<()> {
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, epoch.to_string()).execute(db).await?;
    let all_heard = async {
        while members::count_behind(db, epoch).await? > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sqlx::Result::Ok(())
    };
    if let Ok(result) = tokio::time::timeout(WAIT_MAX, all_heard).await {
        return result;
    }
    tracing::error!(epoch, "a hub did not confirm within 3 seconds that it forgot a changed key");
    Ok(())
}

/// Says that this hub has forgotten everything older than the epoch.
pub(crate) async fn acknowledge(db: &PgPool, hub: i32, epoch: i64) -> sqlx::Result<()> {
    sqlx::query!("update hubs set key_epoch = greatest(key_epoch, $2) where number = $1", hub, epoch)
        .execute(db)
        .await?;
    Ok(())
}
