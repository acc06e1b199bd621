//! Starting and stopping a simulator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::faults::Faults;
use crate::router::router;
use crate::webhooks::Dispatcher;

/// How often what nobody paid is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How long requests in flight may take once it stops.
const GRACE: Duration = Duration::from_secs(2);

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    clock: Clock,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address could not be bound.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The client that sends notices could not be made.
    #[error("cannot make the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Simulator {
    /// Starts one; once this returns, it answers.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { addr: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{addr}"));
        let public_url = public_url.trim_end_matches('/').to_owned();

        let stop = CancellationToken::new();
        let faults = Arc::new(Faults::new(config.seed));
        let dispatcher = Dispatcher::new(&config, Arc::clone(&faults), stop.clone());
        let dispatcher = Arc::new(dispatcher.map_err(StartError::Client)?);
        let clock = config.clock.clone();
        let app = Arc::new(App::new(config, public_url, faults, dispatcher));
        let server = tokio::spawn(run(listener, app, stop.clone()));
        Ok(Self { addr, clock, stop, server: Some(server) })
    }

    /// The address it is bound to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client takes as the base of the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its time, to be moved forward by a test.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Stops it and waits until it has.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            // It only fails by a panic, which has been reported by then.
            server.await.ok();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn run(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let serve = axum::serve(listener, router(Arc::clone(&app)))
        .with_graceful_shutdown(stop.clone().cancelled_owned())
        .into_future();
    let sweep = async {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        loop {
            tick.tick().await;
            app.change(|_, _| ());
        }
    };
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = serve => {
            if let Err(error) = ended {
                tracing::error!(%error, "the server ended");
            }
        }
        () = sweep => {}
        () = out_of_patience => {}
    }
    stop.cancel();
    app.dispatcher.finish().await;
}
