//! Sending: bursts, retries, and the faults that befall them.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt::{Answer, Attempt};
use super::notice::{Burst, Notice, Stamp};
use crate::clock::Clock;
use crate::config::Config;
use crate::faults::{FaultKind, Faults};
use crate::ids::Draws;

/// How many attempts are remembered.
const KEPT: usize = 5_000;

/// How long a reordered burst waits for another to overtake it.
const OVERTAKEN_WITHIN: Duration = Duration::from_secs(3);

/// Request ids have draws of their own: deliveries run side by side, and must not shift other ids.
const PURPOSE: u64 = 3;

pub(crate) struct Dispatcher {
    client: reqwest::Client,
    clock: Clock,
    faults: Arc<Faults>,
    schedule: Vec<Duration>,
    ts_in_millis: bool,
    seed: u64,
    stamps: Mutex<(Draws, i64)>,
    log: Mutex<VecDeque<Attempt>>,
    held: Mutex<Vec<Burst>>,
    /// Raised by a reset: what was on its way before it is forgotten.
    generation: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Dispatcher {
    pub(crate) fn new(
        config: &Config,
        faults: Arc<Faults>,
        stop: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: client(config.notice_timeout)?,
            clock: config.clock.clone(),
            faults,
            schedule: config.retry_schedule.clone(),
            ts_in_millis: config.ts_in_millis,
            seed: config.seed,
            stamps: Mutex::new(stamps(config.seed)),
            log: Mutex::default(),
            held: Mutex::default(),
            generation: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Sends the notices of a change, in the background.
    pub(crate) fn send(self: &Arc<Self>, burst: Burst) {
        let strikes = |wanted: fn(FaultKind) -> bool| self.faults.strike_notice(wanted);
        if strikes(|kind| kind == FaultKind::DropNotice).is_some() {
            self.drop_burst(&burst);
            return;
        }
        if strikes(|kind| kind == FaultKind::ReorderNotices).is_some() {
            self.hold(burst);
            return;
        }
        let wait = match strikes(|kind| matches!(kind, FaultKind::DelayNotice { .. })) {
            Some(FaultKind::DelayNotice { ms }) => Duration::from_millis(ms),
            _ => Duration::ZERO,
        };
        let twice = strikes(|kind| kind == FaultKind::DuplicateNotice).is_some();
        let forged = strikes(|kind| kind == FaultKind::ForgeNotice).is_some();
        let mut notices = burst.notices();
        if twice {
            self.spawn(notices.clone(), wait, Vec::new());
        }
        if forged {
            notices.insert(0, burst.forgery());
        }
        let overtaken = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        self.spawn(notices, wait, overtaken);
    }

    /// Sends one notice by itself.
    pub(crate) fn send_one(self: &Arc<Self>, notice: Notice) {
        self.spawn(vec![notice], Duration::ZERO, Vec::new());
    }

    /// Every attempt remembered, oldest first.
    pub(crate) fn log(&self) -> Vec<Attempt> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// A name for a request, in or out.
    pub(crate) fn request_id(&self) -> String {
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner).0.uuid()
    }

    pub(crate) fn reset(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        *self.stamps.lock().unwrap_or_else(PoisonError::into_inner) = stamps(self.seed);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until nothing is on its way any more; to be called once stopped.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(self: &Arc<Self>, notices: Vec<Notice>, wait: Duration, then: Vec<Burst>) {
        let this = Arc::clone(self);
        let generation = self.generation.load(Ordering::SeqCst);
        let stop = self.stop.clone();
        let wait = wait + self.schedule.first().copied().unwrap_or_default();
        self.tasks.spawn(async move {
            let work = async {
                tokio::time::sleep(wait).await;
                this.first_attempts(notices, generation).await;
                for burst in then {
                    this.first_attempts(burst.notices(), generation).await;
                }
            };
            stop.run_until_cancelled(work).await;
        });
    }

    /// One after the other, so that a burst arrives in its order; a failed one is retried on its own.
    async fn first_attempts(self: &Arc<Self>, notices: Vec<Notice>, generation: u64) {
        for notice in notices {
            if !self.attempt(&notice, 0, generation).await {
                let this = Arc::clone(self);
                let stop = self.stop.clone();
                self.tasks.spawn(async move {
                    stop.run_until_cancelled(this.retry(notice, generation)).await;
                });
            }
        }
    }

    async fn retry(self: Arc<Self>, notice: Notice, generation: u64) {
        for (retry, wait) in self.schedule.iter().enumerate().skip(1) {
            tokio::time::sleep(*wait).await;
            if self.attempt(&notice, retry, generation).await {
                return;
            }
        }
    }

    /// Whether nothing more is to be done about the notice.
    async fn attempt(&self, notice: &Notice, retry: usize, generation: u64) -> bool {
        if self.generation.load(Ordering::SeqCst) != generation {
            return true;
        }
        let stamp = self.stamp(retry);
        let begun = Instant::now();
        let answer = self.post(notice, &stamp).await;
        let attempt = record(notice, stamp, begun.elapsed(), answer);
        let delivered = attempt.is_delivered();
        tracing::debug!(topic = attempt.topic, data.id = attempt.data_id, retry, delivered, "notice sent");
        // A stranger does not try twice.
        let done = delivered || notice.forged;
        if self.generation.load(Ordering::SeqCst) == generation {
            self.remember(attempt);
        }
        done
    }

    async fn post(&self, notice: &Notice, stamp: &Stamp) -> Answer {
        let Some(request) = notice.request(stamp) else {
            return Answer::Failed("the address is not a URL".to_owned());
        };
        let mut post = self.client.post(request.url).json(&request.body);
        for (name, value) in request.headers {
            post = post.header(name, value);
        }
        match post.send().await {
            Ok(response) => Answer::Status(response.status().as_u16()),
            Err(error) => Answer::Failed(chain(&error)),
        }
    }

    fn stamp(&self, retry: usize) -> Stamp {
        let at = self.clock.now();
        let ts = if self.ts_in_millis { at.timestamp_millis() } else { at.timestamp() };
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.1 += 1;
        Stamp { notice_id: stamps.1, request_id: stamps.0.uuid(), ts: ts.to_string(), at, retry }
    }

    fn remember(&self, attempt: Attempt) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(attempt);
    }

    fn drop_burst(&self, burst: &Burst) {
        for notice in burst.notices() {
            let stamp = self.stamp(0);
            self.remember(record(&notice, stamp, Duration::ZERO, Answer::Dropped));
        }
    }

    /// Keeps a burst back until the next has left, or for a while when none comes.
    fn hold(self: &Arc<Self>, burst: Burst) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(burst);
        let this = Arc::clone(self);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if stop.run_until_cancelled(tokio::time::sleep(OVERTAKEN_WITHIN)).await.is_some() {
                let held = std::mem::take(&mut *this.held.lock().unwrap_or_else(PoisonError::into_inner));
                this.spawn(Vec::new(), Duration::ZERO, held);
            }
        });
    }
}

fn record(notice: &Notice, stamp: Stamp, took: Duration, answer: Answer) -> Attempt {
    Attempt {
        notice_id: stamp.notice_id,
        request_id: stamp.request_id,
        topic: notice.topic.as_str(),
        data_id: notice.data_id.clone(),
        url: notice.url.clone(),
        at: stamp.at,
        retry: stamp.retry,
        forged: notice.forged,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        answer,
    }
}

fn stamps(seed: u64) -> (Draws, i64) {
    (Draws::new(seed, PURPOSE), 127_000_000_000)
}

/// The only client of the simulator. A redirect is an answer like any other, and not a success.
#[expect(clippy::disallowed_methods, reason = "the one place where the simulator sends HTTP")]
fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // Whoever installed a provider first keeps it: an error here is no news.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none()).no_proxy().build()
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
