//! Callers that wait for a payment's outcome, told by whoever writes it in this process. A hub that did not do the work
//! itself reads the row again now and then.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use uuid::Uuid;

use super::model::Payment;
use super::store;
use crate::app::App;

/// How often the row is read again without having been told.
const LOOK: Duration = Duration::from_millis(500);

/// The payment as it was last written; `None`: it has moved, and its row says how.
type News = Option<Arc<Payment>>;

static WAITERS: LazyLock<Mutex<HashMap<Uuid, watch::Sender<News>>>> = LazyLock::new(Mutex::default);

/// Says, after a commit, that a payment has moved.
pub(crate) fn wake(id: PaymentId) {
    send(id, None);
}

/// Says, after a commit, how a payment stands.
pub(crate) fn tell(payment: Payment) {
    send(payment.id, Some(Arc::new(payment)));
}

fn send(id: PaymentId, news: News) {
    let waiters = WAITERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(waiting) = waiters.get(&id.uuid()) {
        waiting.send_replace(news);
    }
}

/// A place among those who wait, from which on nothing is missed; leaving it forgets the payment once nobody waits
/// for it.
pub(crate) struct Waiter {
    project: ProjectId,
    id: PaymentId,
    news: watch::Receiver<News>,
}

impl Waiter {
    /// Takes a place.
    pub(crate) fn new(project: ProjectId, id: PaymentId) -> Self {
        let mut waiters = WAITERS.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = waiters.entry(id.uuid()).or_insert_with(|| watch::channel(None).0);
        Self { project, id, news: sender.subscribe() }
    }

    /// The payment, once `is_over` says so or the time is up.
    pub(crate) async fn wait(
        self,
        app: &App,
        wait: Duration,
        is_over: impl Fn(&Payment) -> bool,
    ) -> anyhow::Result<Payment> {
        let payment = self.read(app).await?;
        self.wait_from(app, payment, wait, is_over).await
    }

    /// The same for a payment that was read since the place was taken, or written just before.
    pub(crate) async fn wait_from(
        mut self,
        app: &App,
        mut payment: Payment,
        wait: Duration,
        is_over: impl Fn(&Payment) -> bool,
    ) -> anyhow::Result<Payment> {
        let deadline = Instant::now() + wait;
        while !is_over(&payment) && Instant::now() < deadline {
            let told = tokio::select! {
                Ok(()) = self.news.changed() => self.news.borrow_and_update().clone(),
                () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)) => None,
                () = app.shutdown.token.cancelled() => return self.read(app).await,
            };
            payment = match told {
                Some(told) => Arc::unwrap_or_clone(told),
                None => self.read(app).await?,
            };
        }
        Ok(payment)
    }

    async fn read(&self, app: &App) -> anyhow::Result<Payment> {
        store::get_payment(&mut *app.db.acquire().await?, self.project, self.id).await
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = WAITERS.lock().unwrap_or_else(PoisonError::into_inner);
        // Ours is the last one.
        if waiters.get(&self.id.uuid()).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiters.remove(&self.id.uuid());
        }
    }
}
