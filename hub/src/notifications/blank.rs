//! Personal data has its time: once a project's retention is over, a notification's address and contents are deleted.
//! The row stays, so that counts and the log of an order stay true.

use std::time::Duration;

use chrono::TimeDelta;

use super::store;
use crate::app::App;
use crate::projects;

/// How often it is looked for.
const EVERY: Duration = Duration::from_mins(10);

/// Blanks until the hub stops.
pub(super) async fn run(app: App) {
    loop {
        if let Err(error) = blank(&app).await {
            tracing::error!(error = format!("{error:#}"), "cannot delete what is past its retention");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.shutdown.token.cancelled() => return,
        }
    }
}

/// Blanks what is past its project's retention now; gives how many notifications that were.
pub async fn blank(app: &App) -> anyhow::Result<u64> {
    let mut count = 0;
    for (project, days) in projects::list_retentions(&app.db).await? {
        let now = app.clock.now();
        let before = now - TimeDelta::days(i64::from(days));
        loop {
            let mut tx = app.db.begin().await?;
            let blanked = store::blank_notifications(&mut tx, project, before, now).await?;
            tx.commit().await?;
            count += blanked;
            if blanked == 0 || app.shutdown.token.is_cancelled() {
                break;
            }
        }
    }
    if count > 0 {
        metrics::counter!("trastienda_notifications_blanked_total").increment(count);
        tracing::info!(count, "deleted addresses and contents past their retention");
    }
    Ok(count)
}
