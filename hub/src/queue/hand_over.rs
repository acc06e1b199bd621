//! Handing a job to the workers of this hub without a claim.
//!
//! Whoever writes a job's row may write it leased to this hub, if a place is free, and run it as soon as it has
//! committed. The row is the same as a claimed one: when this hub dies, its lease is void and others claim it. A place
//! that is dropped, because the transaction failed, is free again.

use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::in_hand::{Hold, Unwritten};
use super::worker::Queue;

/// Takes jobs for a queue's workers.
pub struct HandOver<Q: Queue> {
    // Weak, all three: the queue ends although somebody could still hand it something.
    queue: Weak<Q>,
    slots: Weak<Semaphore>,
    done: mpsc::WeakUnboundedSender<Outcome<Q>>,
    stopping: CancellationToken,
}

/// A worker that waits for one job.
pub struct Place<Q: Queue> {
    queue: Arc<Q>,
    slot: OwnedSemaphorePermit,
    done: mpsc::UnboundedSender<Outcome<Q>>,
    /// That of the claim that the job comes from.
    hold: Option<Hold>,
}

/// What became of a job, and that it is yet to be written.
pub(super) struct Outcome<Q: Queue> {
    pub(super) done: Q::Done,
    pub(super) unwritten: Option<Unwritten>,
}

impl<Q: Queue> HandOver<Q> {
    pub(super) fn new(
        queue: &Arc<Q>,
        slots: &Arc<Semaphore>,
        done: &mpsc::UnboundedSender<Outcome<Q>>,
        stopping: CancellationToken,
    ) -> Self {
        Self { queue: Arc::downgrade(queue), slots: Arc::downgrade(slots), done: done.downgrade(), stopping }
    }

    /// The queue; `None` once it has ended.
    pub fn queue(&self) -> Option<Arc<Q>> {
        self.queue.upgrade()
    }

    /// Workers that wait for a job now.
    pub fn free(&self) -> usize {
        self.slots.upgrade().map_or(0, |slots| slots.available_permits())
    }

    /// A free worker; `None` if there is none, or the hub is stopping.
    pub fn reserve(&self) -> Option<Place<Q>> {
        if self.stopping.is_cancelled() {
            return None;
        }
        let slot = self.slots.upgrade()?.try_acquire_owned().ok()?;
        Some(Place { queue: self.queue.upgrade()?, slot, done: self.done.upgrade()?, hold: None })
    }
}

impl<Q: Queue> Place<Q> {
    pub(super) fn new(
        queue: Arc<Q>,
        slot: OwnedSemaphorePermit,
        done: mpsc::UnboundedSender<Outcome<Q>>,
        hold: Option<Hold>,
    ) -> Self {
        Self { queue, slot, done, hold }
    }

    /// Runs the job, and those that follow it, in a task of its own.
    pub fn run(self, mut job: Q::Job) {
        let Self { queue, slot, done, mut hold } = self;
        tokio::spawn(async move {
            loop {
                let running = Running::<Q>::start();
                let hold = Q::hold(&job).cloned().or_else(|| hold.take());
                debug_assert!(hold.is_some(), "a job of {} that is not in hand would be done twice", Q::NAME);
                let outcome = queue.run(job).await;
                drop(running);
                let next = queue.next(&outcome);
                // The receiver lives as long as any sender does.
                let _ = done.send(Outcome { done: outcome, unwritten: hold.map(Hold::unwritten) });
                match next {
                    Some(next) => job = next,
                    None => break,
                }
            }
            drop(slot);
        });
    }
}

/// Counts a job for the gauge, also when it panics.
struct Running<Q: Queue>(std::marker::PhantomData<fn() -> Q>);

impl<Q: Queue> Running<Q> {
    fn start() -> Self {
        metrics::gauge!("trastienda_jobs_in_flight", "queue" => Q::NAME).increment(1.0);
        Self(std::marker::PhantomData)
    }
}

impl<Q: Queue> Drop for Running<Q> {
    fn drop(&mut self) {
        metrics::gauge!("trastienda_jobs_in_flight", "queue" => Q::NAME).decrement(1.0);
    }
}
