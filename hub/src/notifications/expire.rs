//! What nobody sent or opened in time fails, whatever its channel and whether or not there is an SMTP server.

use super::model::detail;
use super::over::{self, Over};
use super::store::{self, Overdue};
use crate::app::App;
use crate::http;
use crate::queue::Lease;
use crate::queue::worker::Queue;

/// The queue of notifications whose `expires_at` is past.
pub struct Expiry {
    app: App,
}

impl Expiry {
    /// The queue for a hub.
    pub fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

impl Queue for Expiry {
    type Job = Overdue;
    type Done = Overdue;
    const NAME: &'static str = "notification_expiry";
    const CONCURRENCY: usize = 100;

    async fn claim(&self, lease: &Lease, limit: i64) -> anyhow::Result<Vec<Overdue>> {
        Ok(store::claim_overdue(&self.app.db, lease, limit).await?)
    }

    async fn run(&self, overdue: Overdue) -> Overdue {
        overdue
    }

    async fn finish(&self, done: &[Overdue]) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.begin().await?;
        let mut told = Vec::new();
        for overdue in done {
            let over = Over::expired(overdue);
            // Somebody may have opened the link in this very moment.
            if store::mark_over(&mut tx, over.key, "failed", Some(detail::EXPIRED), now).await? {
                told.push(over);
            }
        }
        let announced =
            over::announce_all(&self.app, &mut tx, told, true).await.map_err(http::Error::into_cause)?;
        tx.commit().await?;
        for followed in announced {
            followed.committed(&self.app);
        }
        Ok(())
    }
}
