//! The loop of every queue: claim, run, finish in batches, stop gracefully.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::hand_over::{HandOver, Outcome, Place};
use super::in_hand::{Hold, Unwritten};
use super::{Lease, is_away};
use crate::app::App;

/// How often the table is looked at when nothing wakes the loop.
const POLL: Duration = Duration::from_secs(1);
/// How long a failed database is left alone; for longer each time, up to the second.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// A kind of job.
pub trait Queue: Send + Sync + 'static {
    /// A claimed row.
    type Job: Send + 'static;
    /// What became of it.
    type Done: Send + Sync + 'static;
    /// The name in metrics, logs and wake-ups.
    const NAME: &'static str;
    /// Jobs that one hub runs at once.
    const CONCURRENCY: usize;
    /// The time between two looks at the table, at least, however often the loop is woken: where a busy table would
    /// be asked for one row at a time, it is asked for many.
    const PACE: Duration = Duration::ZERO;
    /// Loops that write what was done, each a batch of its own. More than one where batches share no transaction, and
    /// somebody waits for each.
    const WRITERS: usize = 1;
    /// The most that is written as one batch.
    const BATCH: usize = 500;

    /// Claims up to `limit` rows that are due, in one short transaction.
    fn claim(&self, lease: &Lease, limit: i64)
    -> impl Future<Output = anyhow::Result<Vec<Self::Job>>> + Send;
    /// The hold on a job's lease, where the job has it with it: one that is handed over, or comes out of an earlier claim.
    /// Else it is that of the claim.
    fn hold(_job: &Self::Job) -> Option<&Hold> {
        None
    }
    /// Does the work, within [`super::LEASE`]. Never fails: what went wrong is part of what was done.
    fn run(&self, job: Self::Job) -> impl Future<Output = Self::Done> + Send;
    /// The job that the same worker goes on with, if one is in hand.
    fn next(&self, _done: &Self::Done) -> Option<Self::Job> {
        None
    }
    /// Writes what was done, in one transaction, for rows whose lease token still fits. While [`is_away`] says so of the
    /// error it is called again; with any other the jobs are written one by one, and done again if that fails too.
    fn finish(&self, done: &[Self::Done]) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Starts a queue's loop; it ends when the program is to stop and its jobs are finished. What comes back takes jobs
/// that need no claim.
pub fn start<Q: Queue>(app: &App, queue: Q) -> HandOver<Q> {
    let queue = Arc::new(queue);
    let (done_sender, done_receiver) = mpsc::unbounded_channel();
    let slots = Arc::new(Semaphore::new(Q::CONCURRENCY));
    let hand_over = HandOver::new(&queue, &slots, &done_sender, app.shutdown.token.clone());
    let done_receiver = Arc::new(tokio::sync::Mutex::new(done_receiver));
    for _ in 0..Q::WRITERS {
        app.shutdown.spawn(finish_loop(app.clone(), queue.clone(), done_receiver.clone()));
    }
    app.shutdown.spawn(claim_loop(app.clone(), queue, slots, done_sender));
    hand_over
}

async fn claim_loop<Q: Queue>(
    app: App,
    queue: Arc<Q>,
    slots: Arc<Semaphore>,
    done: mpsc::UnboundedSender<Outcome<Q>>,
) {
    let wake = app.wakes.of(Q::NAME);
    let mut earliest = Instant::now();
    loop {
        // Taken before the table is looked at: a wake-up that comes during the look is not lost.
        let woken = wake.notified();
        tokio::time::sleep_until(earliest).await;
        earliest = Instant::now() + Q::PACE;
        let mut claimed = 0;
        let free = slots.available_permits();
        let claim = if free > 0 && !app.shutdown.token.is_cancelled() {
            Lease::new(&app, app.clock.now())
        } else {
            None
        };
        if let Some(lease) = claim {
            let hold = lease.hold.clone();
            match queue.claim(&lease, i64::try_from(free).unwrap_or(1)).await {
                Ok(jobs) => {
                    claimed = jobs.len();
                    for job in jobs {
                        let Ok(slot) = slots.clone().acquire_owned().await else { break };
                        Place::new(queue.clone(), slot, done.clone(), Some(hold.clone())).run(job);
                    }
                }
                Err(error) => {
                    tracing::error!(queue = Q::NAME, error = format!("{error:#}"), "cannot claim jobs");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        if app.shutdown.token.is_cancelled() {
            break;
        }
        // A full claim means that more may be due; but only when a slot is free to run it.
        if claimed > 0 && claimed >= free {
            tokio::select! {
                permit = slots.acquire() => drop(permit),
                () = app.shutdown.token.cancelled() => {}
            }
            continue;
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(POLL) => {}
            () = app.shutdown.token.cancelled() => {}
        }
    }
    // Wait for the jobs in flight; dropping `done` then ends the finish loop.
    let _ = slots.acquire_many(u32::try_from(Q::CONCURRENCY).unwrap_or(u32::MAX)).await;
}

async fn finish_loop<Q: Queue>(
    app: App,
    queue: Arc<Q>,
    done: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Outcome<Q>>>>,
) {
    let mut outcomes = Vec::new();
    loop {
        // Held while it waits, not while it writes.
        let came = done.lock().await.recv_many(&mut outcomes, Q::BATCH).await;
        if came == 0 {
            return;
        }
        metrics::counter!("trastienda_jobs_total", "queue" => Q::NAME).increment(came as u64);
        let (batch, unwritten): (Vec<_>, Vec<_>) =
            outcomes.drain(..).map(|Outcome { done, unwritten }| (done, unwritten)).unzip();
        if write(&*queue, &batch).await.is_err() {
            write_each(&*queue, &batch, &unwritten).await;
        }
        drop(unwritten);
        app.moved();
    }
}

/// Writes what was done, however long the database is away: nobody else knows of it. An error is the database's no.
async fn write<Q: Queue>(queue: &Q, batch: &[Q::Done]) -> anyhow::Result<()> {
    let mut tries = 0u32;
    while let Err(error) = queue.finish(batch).await {
        if !is_away(&error) {
            return Err(error);
        }
        tries += 1;
        tracing::error!(queue = Q::NAME, tries, error = format!("{error:#}"), "cannot write what was done");
        tokio::time::sleep((PAUSE * tries).min(PAUSE_MAX)).await;
    }
    Ok(())
}

/// One completion that the database refuses holds up no other; its row is claimed again when its lease is over.
async fn write_each<Q: Queue>(queue: &Q, batch: &[Q::Done], unwritten: &[Option<Unwritten>]) {
    for (done, unwritten) in batch.chunks(1).zip(unwritten) {
        if let Err(error) = write(queue, done).await {
            if let Some(unwritten) = unwritten {
                unwritten.leave();
            }
            metrics::counter!("trastienda_completions_refused_total", "queue" => Q::NAME).increment(1);
            tracing::error!(
                queue = Q::NAME,
                error = format!("{error:#}"),
                "the database refuses to take what was done: the job will be repeated"
            );
        }
    }
}
