//! The agent, put together: what it is made of, how it starts and how it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
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
use crate::pull::application::Application;
use crate::pull::{self, Pulled};
use crate::status::HubView;
use crate::{forward, heartbeat, server};

/// How long receipts answer repeats after forwarding.
const RECEIPTS_KEPT: TimeDelta = TimeDelta::days(7);
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// What every part of the agent uses.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) buffer: Buffer,
    pub(crate) hub: Hub,
    pub(crate) hub_view: HubView,
    pub(crate) features: Features,
    pub(crate) pulled: Pulled,
    /// Tells the forwarder that somebody else found the hub gone.
    pub(crate) hub_lost: Notify,
    /// Tells the forwarder that somebody else got an answer from the hub.
    pub(crate) hub_seen: Notify,
    pub(crate) api_key: ApiKey,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
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
        let hub = Hub::new(&config.hub_url, &config.api_key)?;
        let application = config.app_url.as_ref().map(Application::new).transpose()?;
        let options = Options {
            directory: &config.data_dir,
            durability: config.durability,
            limits: config.limits,
            clock: &clock,
        };
        let (buffer, writer) = Buffer::open(&options, Arc::clone(&metrics))?;
        let features = Features::remembered(buffer.features().await?);
        let core = Arc::new(Core {
            buffer,
            hub,
            hub_view: HubView::default(),
            features,
            pulled: Pulled::default(),
            hub_lost: Notify::new(),
            hub_seen: Notify::new(),
            api_key: config.api_key.clone(),
            metrics,
            clock,
            ids,
        });
        let stop = CancellationToken::new();
        let (doors, tcp_address) = server::open(&core, config, &stop).await?;
        let mut workers = vec![
            tokio::spawn(forward::run(Arc::clone(&core), config.pace, stop.clone())),
            tokio::spawn(heartbeat::run(Arc::clone(&core), config.pace.heartbeat, stop.clone())),
            tokio::spawn(prune(core.buffer.clone(), Arc::clone(&core.clock), stop.clone())),
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

    /// Takes no more calls, answers those in flight, lets the batch in flight end, closes the buffer.
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
