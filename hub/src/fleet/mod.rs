//! What several hubs on one database share: limits, and being woken.
//!
//! What holds for all hubs together:
//! - **Rates**: a project's requests, its agents' calls, an endpoint's `rate_per_second` and that of its replays. The bucket
//!   ([`gcra`]) is a row in PostgreSQL, or a key in Redis where `REDIS_URL` is set; a hub takes cells from it a hundredth at
//!   a time ([`meters`]), so a request in a hundred asks, and three hubs are within a few in a hundred of the limit.
//! - **Places**: an endpoint's `max_in_flight` is divided among the hubs ([`View::places`]); what one hub has no place for
//!   waits in the table, where the others find it.
//! - Daily quotas need nothing of this: they are counted in the transaction of what they count.
//!
//! Who the hubs are is what [`crate::queue::members`] sees each second. A hub that dies loses its part with its lock, one that
//! hangs some seconds later, with the word that it no longer sends. A hub that is alone keeps its buckets in memory, asks
//! nobody and tells nobody: being able to be several costs it nothing.
//!
//! Redis is never needed. When it is lost, each hub keeps an equal share of every limit itself, and the hubs wake each other
//! by `NOTIFY` again; when it is back, what each has used meanwhile is carried into what is shared. No job, and nothing that
//! was acknowledged, is ever in Redis.
//!
//! What it does not do: no leader, no hub that knows better than the others.

mod gcra;
mod meters;
mod redis;
mod store;
#[cfg(test)]
mod tests;
mod view;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::PgPool;

pub use self::gcra::Rate;
pub use self::meters::{Cell, Key, Scope};
use self::meters::{Meter, Meters};
pub use self::redis::Redis;
pub use self::view::View;
use self::view::Views;
use crate::app::App;
use crate::queue::members::Running;

/// The name under which hubs are told that one of them came: see [`crate::queue::wake`].
pub const WAKE: &str = "hubs";
/// How long a request waits for a share of a limit. The hub's own part decides then.
const ASK_MAX: Duration = Duration::from_secs(1);
/// How long a bucket is remembered that nobody takes from.
const REMEMBERED: Duration = Duration::from_mins(10);

/// What this hub knows of the others, and its part of what they share.
#[derive(Debug)]
pub struct Fleet {
    views: Views,
    /// Hubs that run, also those that have no share; 0: nobody has looked yet.
    running: AtomicU32,
    meters: Meters,
    redis: Option<Redis>,
}

impl Fleet {
    /// Of a hub that has not looked around yet.
    pub fn new(redis: Option<Redis>) -> Self {
        Self { views: Views::default(), running: AtomicU32::new(0), meters: Meters::default(), redis }
    }

    /// The hubs as they were seen last.
    pub fn view(&self) -> View {
        self.views.get()
    }

    /// Takes in which hubs run; true if they are others than before.
    pub fn see(&self, own: Option<i32>, running: &[Running]) -> bool {
        let count = if own.is_some() { u32::try_from(running.len()).unwrap_or(u32::MAX) } else { 0 };
        self.running.store(count, Ordering::Relaxed);
        let serving: Vec<i32> = running.iter().filter(|hub| hub.is_heard).map(|hub| hub.number).collect();
        let view = View::new(own, &serving);
        let changed = self.views.set(view);
        if changed {
            metrics::gauge!("trastienda_hubs").set(f64::from(view.hubs()));
            tracing::info!(
                hubs = view.hubs(),
                "the hubs on this database are so many; each limit is shared by them"
            );
        }
        changed
    }

    /// Takes a cell from a bucket.
    pub async fn take(&self, db: &PgPool, key: Key, rate: Rate) -> Cell {
        let view = self.view();
        let meter = self.meters.of(key, rate, Instant::now());
        if view.hubs() <= 1 {
            return meter.take_own(1, Instant::now());
        }
        if self.redis.as_ref().is_some_and(|redis| !redis.is_up()) {
            return meter.take_own(view.hubs(), Instant::now());
        }
        if let Some(cell) = meter.take_held(Instant::now()) {
            return cell;
        }
        // Seldom, and large: it is not to be part of every request that waits.
        Box::pin(self.ask(db, key, rate, &meter)).await
    }

    async fn ask(&self, db: &PgPool, key: Key, rate: Rate, meter: &Meter) -> Cell {
        let _wanted = meter.want();
        let _asking = meter.asking.lock().await;
        // Whoever asked before may have brought enough.
        if let Some(cell) = meter.take_held(Instant::now()) {
            return cell;
        }
        let (asked, carried) = meter.ask(Instant::now());
        let taking = async {
            match &self.redis {
                Some(redis) => redis.take_cells(key, rate, asked, carried).await,
                None => Ok(store::take_cells(db, key, rate, asked, carried).await?),
            }
        };
        let taken = match tokio::time::timeout(ASK_MAX, taking).await {
            Ok(Ok(taken)) => Some(taken),
            Ok(Err(error)) => {
                tracing::debug!(error = format!("{error:#}"), "a limit was not shared");
                None
            }
            Err(_) => None,
        };
        let now = Instant::now();
        if let Some(taken) = taken {
            meter.granted(taken, now);
            if let Some(cell) = meter.take_held(now) {
                return cell;
            }
        } else if let Some(redis) = &self.redis {
            redis.lose();
        }
        meter.take_own(self.view().hubs(), now)
    }

    /// Tells the other hubs, on a channel that they all listen on: by Redis if all hear it there, else by `NOTIFY`.
    pub async fn tell(&self, db: &PgPool, channel: &str, payload: &str) -> sqlx::Result<()> {
        let running = self.running.load(Ordering::Relaxed);
        if running == 1 {
            return Ok(());
        }
        if running > 1
            && let Some(redis) = &self.redis
            && redis.publish(channel, payload).await.is_some_and(|heard| heard >= running)
        {
            return Ok(());
        }
        sqlx::query!("select pg_notify($1, $2)", channel, payload).execute(db).await?;
        Ok(())
    }

    /// Forgets what nobody uses any more: here, and (it does no harm if every hub does) in the database.
    pub async fn forget(&self, db: &PgPool) -> sqlx::Result<()> {
        self.meters.forget(REMEMBERED, Instant::now());
        store::delete_full(db).await?;
        Ok(())
    }
}

/// Starts what keeps the connection to Redis, if there is to be one.
pub(crate) fn start(app: &App) {
    if app.fleet.redis.is_some() {
        app.shutdown.spawn(run(app.clone()));
    }
}

async fn run(app: App) {
    if let Some(redis) = &app.fleet.redis {
        let heard = |channel: &str, payload: &str| crate::queue::listen::heard(&app, channel, payload);
        tokio::select! {
            () = redis.keep(heard) => {}
            () = app.shutdown.token.cancelled() => {}
        }
    }
}
