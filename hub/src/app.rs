//! What a running hub holds: built once, handed to every handler and job.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use trastienda_protocol::clock::Clock;
use trastienda_protocol::ids::IdSource;

use crate::config::Config;
use crate::db::kept::Kept;
use crate::events::Subscriber;
use crate::events::gather::{Gatherer, Lanes};
use crate::fleet::{Fleet, Redis};
use crate::outbound::Outbound;
use crate::payments::work::Jobs;
use crate::projects::verifier::Verifier;
use crate::queue::hand_over::HandOver;
use crate::queue::in_hand::InHand;
use crate::queue::members::Member;
use crate::queue::wake::Wakes;
use crate::seal::Sealer;
use crate::server::overload::Places;
use crate::shutdown::Shutdown;
use crate::webhooks::deliver::Deliveries;
use crate::webhooks::pull::Pull;

/// A cheap handle on the running hub.
#[derive(Clone)]
pub struct App(Arc<State>);

/// What a running hub holds.
pub struct State {
    /// The database, for requests and what is not in a hurry.
    pub db: PgPool,
    /// The same, for what every event passes through.
    pub kept: Kept,
    /// The settings.
    pub config: Config,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Opens and seals secrets.
    pub sealer: Sealer,
    /// Keys the digests of bodies.
    pub fingerprint_key: Vec<u8>,
    /// The keys that were verified.
    pub verifier: Verifier,
    /// The other hubs, and the limits that are shared with them.
    pub fleet: Fleet,
    /// The only HTTP client.
    pub outbound: Outbound,
    /// Wakes queues.
    pub wakes: Arc<Wakes>,
    /// This hub's membership.
    pub member: Member,
    /// The leases under which this hub has something in hand.
    pub in_hand: Arc<InHand>,
    /// Stops tasks and waits for them.
    pub shutdown: Shutdown,
    /// Writes the metrics.
    pub metrics: PrometheusHandle,
    /// Where events are submitted.
    pub gatherer: Gatherer,
    /// The agents that wait for deliveries.
    pub pull: Pull,
    /// Takes deliveries that need no claim; set when the queues are started.
    pub deliveries: OnceLock<HandOver<Deliveries>>,
    /// Takes payments that need no claim; set when the queues are started.
    pub(crate) payments: OnceLock<HandOver<Jobs<false>>>,
    /// Where notifications wait for the next transaction.
    pub accepting: crate::notifications::accept::Gate,
    /// Goes up whenever this hub did something that a page may show.
    pub moves: AtomicU64,
    /// Places for requests.
    pub places: Places,
    /// Who acts on an event within its transaction.
    pub subscribers: Vec<Arc<dyn Subscriber>>,
}

/// What an [`App`] is built from.
pub struct Parts {
    /// The database, migrated.
    pub db: PgPool,
    /// The settings.
    pub config: Config,
    /// Opens and seals secrets.
    pub sealer: Sealer,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Stops tasks and waits for them.
    pub shutdown: Shutdown,
    /// Writes the metrics.
    pub metrics: PrometheusHandle,
}

/// What the hub's own tasks read from.
#[derive(Debug)]
pub struct Inboxes {
    /// Goes to [`Wakes::tell_others`].
    pub wakes: mpsc::UnboundedReceiver<&'static str>,
    /// Goes to [`crate::events::gather::run`].
    pub lanes: Lanes,
}

impl App {
    /// Builds the hub. What comes with it goes to [`crate::serve::start_tasks`].
    pub async fn build(parts: Parts) -> anyhow::Result<(Self, Inboxes)> {
        let Parts { db, config, sealer, clock, ids, shutdown, metrics } = parts;
        let fingerprint_key = hub_secret(&db, &sealer, "fingerprint").await?;
        let own = own_addresses(&db, &config).await;
        let outbound = Outbound::new(config.outbound_allow.clone(), own, config.outbound_manner.clone())?;
        let redis = config.redis_url.as_ref();
        let redis =
            redis.map(|url| Redis::new(url.expose_secret(), &database_tag(&fingerprint_key))).transpose()?;
        let (wakes, receiver) = Wakes::new(ids.uuid(clock.now()));
        let (gatherer, lanes) = Gatherer::new();
        let kept = Kept::new(db.connect_options().as_ref().clone());
        let (closing, closed) = (db.close_event(), kept.clone());
        tokio::spawn(async move {
            closing.await;
            closed.close().await;
        });
        let state = State {
            gatherer,
            pull: Pull::new(config.pull_manner, wakes.of(Pull::QUEUE)),
            deliveries: OnceLock::new(),
            payments: OnceLock::new(),
            fingerprint_key,
            verifier: Verifier::new()?,
            fleet: Fleet::new(redis),
            outbound,
            wakes: Arc::new(wakes),
            member: Member::default(),
            in_hand: Arc::default(),
            places: Places::new(config.limits.requests),
            accepting: crate::notifications::accept::Gate::default(),
            moves: AtomicU64::new(0),
            subscribers: vec![Arc::new(crate::webhooks::FanOut)],
            kept,
            db,
            config,
            clock,
            ids,
            sealer,
            shutdown,
            metrics,
        };
        Ok((Self(Arc::new(state)), Inboxes { wakes: receiver, lanes }))
    }

    /// Notes that something happened here that a page may show.
    pub(crate) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// A new id of a kind, for now.
    pub fn new_id<I: trastienda_protocol::ids::Id>(&self) -> I {
        trastienda_protocol::ids::new(&*self.ids, &*self.clock)
    }
}

impl Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// What the allow list can never open: the hub's own listeners and its database.
async fn own_addresses(db: &PgPool, config: &Config) -> Vec<std::net::SocketAddr> {
    let options = db.connect_options();
    let database = tokio::net::lookup_host((options.get_host(), options.get_port())).await;
    // Over a Unix socket there may be no host, and nothing to protect.
    let database = database.into_iter().flatten();
    [Some(config.listen), config.metrics_listen].into_iter().flatten().chain(database).collect()
}

/// What this database's keys in a Redis begin with, told by nothing but the database.
fn database_tag(fingerprint_key: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"trastienda redis ");
    hasher.update(fingerprint_key);
    hex::encode(&hasher.finalize()[..8])
}

/// A key that the hub made for itself, kept sealed in the database.
async fn hub_secret(db: &PgPool, sealer: &Sealer, name: &str) -> anyhow::Result<Vec<u8>> {
    let purpose = format!("hub_secrets.{name}");
    let mut conn: sqlx::pool::PoolConnection<sqlx::Postgres> = db.acquire().await?;
    if let Some(sealed) = find_hub_secret(&mut conn, name).await? {
        sealer.follow(&sealed);
        return Ok(sealer.open(&purpose, &sealed)?);
    }
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret)?;
    let sealed = sealer.seal(&purpose, &secret)?;
    sqlx::query!(
        "insert into hub_secrets (name, sealed) values ($1, $2) on conflict do nothing",
        name,
        sealed
    )
    .execute(&mut *conn)
    .await?;
    // Another hub may have been first.
    let sealed = find_hub_secret(&mut conn, name).await?.unwrap_or(sealed);
    sealer.follow(&sealed);
    Ok(sealer.open(&purpose, &sealed)?)
}

async fn find_hub_secret(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select sealed from hub_secrets where name = $1", name).fetch_optional(conn).await
}
