//! The agent, put together: what it is made of, how it starts and how it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trastienda_protocol::api_key::ApiKey;
use trastienda_protocol::clock::Clock;
use trastienda_protocol::ids::IdSource;

use crate::buffer::{Buffer, OpenError, Options, StorageError, Writer};
use crate::config::Config;
use crate::features::Features;
use crate::hub::{Hub, HubError};
use crate::metrics::Metrics;
use crate::project::Project;
use crate::proxy::Breaker;
use crate::pull::application::Application;
use crate::pull::{self, Pulled};
use crate::rates::Rates;
use crate::status::HubView;
use crate::{forward, heartbeat, server};

/// How long receipts answer repeats after forwarding.
const RECEIPTS_KEPT: TimeDelta = TimeDelta::days(7);
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// How often the disk is looked at, and the rates are taken.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What every part of the agent uses.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) buffer: Buffer,
    live: RwLock<Arc<Live>>,
    pub(crate) hub_view: HubView,
    pub(crate) features: Features,
    pub(crate) pulled: Pulled,
    pub(crate) project: Project,
    /// Of what passes through.
    pub(crate) breaker: Breaker,
    pub(crate) rates: Rates,
    /// Tells the forwarder that somebody else found the hub gone.
    pub(crate) hub_lost: Notify,
    /// Tells the forwarder that somebody else got an answer from the hub.
    pub(crate) hub_seen: Notify,
    /// Tells the forwarder that the settings changed.
    pub(crate) reloaded: Notify,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// Where work goes that the doors are not to wait for.
    pub(crate) workers: Handle,
}

/// What a reload may change.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) hub: Hub,
    pub(crate) api_key: ApiKey,
    pub(crate) max_age: Option<TimeDelta>,
}

impl Live {
    fn new(config: &Config) -> Result<Self, HubError> {
        let hub = Hub::new(&config.hub_url, &config.api_key, config.hub_ca.as_deref())?;
        Ok(Self { hub, api_key: config.api_key.clone(), max_age: config.max_age })
    }
}

impl Core {
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn hub(&self) -> Hub {
        self.live().hub.clone()
    }
}

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No buffer.
    #[error(transparent)]
    Buffer(#[from] OpenError),
    /// The buffer cannot be read.
    #[error("the buffer cannot be read: {0}")]
    Storage(#[from] StorageError),
    /// No client.
    #[error("the client for the hub cannot be made: {0}")]
    Hub(#[from] HubError),
    /// No socket.
    #[error("TRASTIENDA_SOCKET {path}: {source}")]
    Socket {
        /// Where it should be.
        path: String,
        /// Why it is not.
        source: io::Error,
    },
    /// No port.
    #[error("TRASTIENDA_AGENT_LISTEN {address}: {source}")]
    Listen {
        /// Where it should be.
        address: SocketAddr,
        /// Why it is not.
        source: io::Error,
    },
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    core: Arc<Core>,
    stop: CancellationToken,
    doors: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    writer: Writer,
    tcp_address: Option<SocketAddr>,
}

impl Agent {
    /// Opens the buffer and the doors and starts forwarding. When it returns, calls are taken.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(
        config: &Config,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::default());
        let live = Live::new(config)?;
        let application = config.app_url.as_ref().map(Application::new).transpose()?;
        let options = Options {
            directory: &config.data_dir,
            durability: config.durability,
            limits: config.limits,
            clock: &clock,
        };
        let (buffer, writer) = Buffer::open(&options, Arc::clone(&metrics))?;
        let features = Features::remembered(buffer.features().await?);
        let project = Project::remembered(buffer.project_answer().await?);
        let core = Arc::new(Core {
            buffer,
            live: RwLock::new(Arc::new(live)),
            hub_view: HubView::new(clock.now()),
            features,
            pulled: Pulled::default(),
            project,
            breaker: Breaker::default(),
            rates: Rates::default(),
            hub_lost: Notify::new(),
            hub_seen: Notify::new(),
            reloaded: Notify::new(),
            metrics,
            clock,
            ids,
            workers: Handle::current(),
        });
        let stop = CancellationToken::new();
        let (doors, tcp_address) = server::open(&core, config, writer.runtime(), &stop).await?;
        let mut workers = vec![
            tokio::spawn(forward::run(Arc::clone(&core), config.pace, stop.clone())),
            tokio::spawn(heartbeat::run(Arc::clone(&core), config.pace.heartbeat, stop.clone())),
            tokio::spawn(prune(core.buffer.clone(), Arc::clone(&core.clock), stop.clone())),
            tokio::spawn(look_after(Arc::clone(&core), stop.clone())),
        ];
        if let Some(application) = application {
            workers.push(tokio::spawn(pull::run(Arc::clone(&core), application, config.pace, stop.clone())));
        }
        Ok(Self { core, stop, doors, workers, writer, tcp_address })
    }

    /// Where the loopback door is, when there is one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp_address
    }

    /// The agent's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// Takes over what may change while the agent runs: the hub, the key, the limits, the age.
    ///
    /// # Errors
    /// No client can be made; everything stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let live = Live::new(config)?;
        *self.core.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        self.core.buffer.set_limits(config.limits);
        self.core.breaker.answered();
        // Whichever of the two the forwarder listens to: the key and its project are looked at again.
        self.core.hub_lost.notify_one();
        self.core.reloaded.notify_one();
        Ok(())
    }

    /// Takes no more calls, answers those in flight, hands over what waits within the grace time, closes the buffer.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.doors.into_iter().chain(self.workers) {
            // A task that panicked has been reported by its panic.
            let _ = task.await;
        }
        drop(self.core);
        self.writer.finished().await;
    }
}

async fn prune(buffer: Buffer, clock: Arc<dyn Clock>, stop: CancellationToken) {
    loop {
        match buffer.prune(clock.now() - RECEIPTS_KEPT).await {
            // There may be more, and calls come in between.
            Ok(forgotten) if forgotten > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "old receipts could not be forgotten"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}

async fn look_after(core: Arc<Core>, stop: CancellationToken) {
    loop {
        core.buffer.measure_disk();
        core.rates.sample(core.metrics.accepted.get(), core.metrics.forwarded.get());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
