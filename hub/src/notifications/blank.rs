//! Personal data has its time: once a project's retention is over, a notification's address and contents are deleted.
//! The row stays, so that counts and the log of an order stay true. [`crate::retention`] says when.

use chrono::{DateTime, Utc};
use trastienda_protocol::ids::ProjectId;

use super::store;
use crate::app::App;

/// Blanks what was over before a time; gives how many notifications that were.
pub(crate) async fn blank(app: &App, project: ProjectId, before: DateTime<Utc>) -> anyhow::Result<u64> {
    let mut count = 0;
    while !app.shutdown.token.is_cancelled() {
        let mut tx = app.db.begin().await?;
        let blanked = store::blank_notifications(&mut tx, project, before, app.clock.now()).await?;
        tx.commit().await?;
        if blanked == 0 {
            break;
        }
        count += blanked;
    }
    if count > 0 {
        metrics::counter!("trastienda_notifications_blanked_total").increment(count);
        tracing::info!(project.id = %project, count, "deleted addresses and contents past their retention");
    }
    Ok(count)
}
