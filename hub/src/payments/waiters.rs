//! Callers that wait for a payment's outcome, woken by whoever writes it in this process. A hub that did not do
//! the work itself reads the row again now and then.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use trastienda_protocol::ids::{Id as _, PaymentId, ProjectId};
use uuid::Uuid;

use super::model::Payment;
use super::store;
use crate::app::App;

/// How often the row is read again without having been woken.
const LOOK: Duration = Duration::from_millis(500);

static WAITERS: LazyLock<Mutex<HashMap<Uuid, Arc<Notify>>>> = LazyLock::new(Mutex::default);

/// Says, after a commit, that a payment has moved.
pub(crate) fn wake(id: PaymentId) {
    let waiters = WAITERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(notify) = waiters.get(&id.uuid()) {
        notify.notify_waiters();
    }
}

/// A place among those who wait; leaving it forgets the payment once nobody waits for it.
struct Place(Uuid, Arc<Notify>);

impl Place {
    fn take(id: PaymentId) -> Self {
        let mut waiters = WAITERS.lock().unwrap_or_else(PoisonError::into_inner);
        Self(id.uuid(), waiters.entry(id.uuid()).or_default().clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiters = WAITERS.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and ours are the last two.
        if Arc::strong_count(&self.1) <= 2 {
            waiters.remove(&self.0);
        }
    }
}

/// The payment, once `is_over` says so or the time is up.
pub(crate) async fn wait(
    app: &App,
    project: ProjectId,
    id: PaymentId,
    wait: Duration,
    is_over: impl Fn(&Payment) -> bool,
) -> anyhow::Result<Payment> {
    let deadline = Instant::now() + wait;
    let place = Place::take(id);
    loop {
        // Taken before the row is read: what is written in between is heard.
        let moved = place.1.notified();
        tokio::pin!(moved);
        moved.as_mut().enable();
        let payment = store::get_payment(&mut *app.db.acquire().await?, project, id).await?;
        if is_over(&payment) || Instant::now() >= deadline {
            return Ok(payment);
        }
        tokio::select! {
            () = moved => {}
            () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)) => {}
            () = app.shutdown.token.cancelled() => {
                return store::get_payment(&mut *app.db.acquire().await?, project, id).await;
            }
        }
    }
}
