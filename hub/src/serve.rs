//! `trastienda-hub serve`: migrations, queues, listeners, and a graceful end.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::routing::get;
use tokio::net::TcpListener;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::RandomIds;

use crate::app::{App, Inboxes, Parts};
use crate::config::{Config, StoreConfig};
use crate::db::{self, Store, partitions};
use crate::queue::listen;
use crate::queue::wake::Wakes;
use crate::server::tls::{self, Tls};
use crate::server::{self, Limits};
use crate::shutdown::{GRACE, Shutdown};
use crate::{
    alerts, events, fleet, gauges, memory, notifications, operator, payments, queue, retention, router,
    saved, seal, systemd, telemetry, webhooks,
};

/// Connections of those who watch, on their own listener.
const METRICS_CONNECTIONS: usize = 64;

/// How often, in seconds, a hub says that it runs.
const HEARTBEAT: u64 = 5;
/// Seconds between two times that freed memory is given back: a burst's, and that of the start.
const GIVE_BACK: u64 = 10;

/// Runs the hub until it is told to stop.
pub async fn run(config: Config, store_config: &StoreConfig) -> anyhow::Result<()> {
    install_tls();
    // Bound first: a taken port is found before a database is started.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => {
            Some(TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?)
        }
        None => None,
    };
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    tls::reload_on_hangup(tls.clone(), &shutdown)?;
    let store = Store::open(store_config).await?;
    let listeners = Listeners { api: listener, tls, metrics: metrics_listener };
    let result = serve(config, &store, listeners, shutdown).await;
    // Also after a failure: the embedded PostgreSQL is not left running.
    store.close(true).await;
    result
}

struct Listeners {
    api: TcpListener,
    tls: Option<Arc<Tls>>,
    metrics: Option<TcpListener>,
}

async fn serve(
    config: Config,
    store: &Store,
    listeners: Listeners,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock);
    db::migrate(&store.pool, clock.now()).await?;
    let parts = Parts {
        db: store.pool.clone(),
        config,
        sealer: store.sealer.clone(),
        clock,
        ids: Arc::new(RandomIds),
        shutdown: shutdown.clone(),
        metrics: telemetry::start_metrics()?,
    };
    let (app, inboxes) = App::build(parts).await?;
    start_tasks(&app, inboxes);
    let address = listeners.api.local_addr()?;
    if let Some(listener) = listeners.metrics {
        let metrics = Router::new().route("/metrics", get(render_metrics)).with_state(app.clone());
        let token = shutdown.token.clone();
        let limits = Limits { connections: METRICS_CONNECTIONS, ..app.config.limits };
        shutdown.spawn(server::serve(listener, metrics, limits, None, token.cancelled_owned()));
    }
    let (router, document) = router::build(&app);
    drop(document);
    memory::give_back_freed();
    systemd::tell_from_now_on(&shutdown, router.clone());
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "the hub is ready");
    let stop = webhooks::pull::drained(app.clone());
    let served = server::serve(listeners.api, router, app.config.limits, listeners.tls, stop);
    let out_of_time = async {
        shutdown.token.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = served => {}
        () = out_of_time => tracing::warn!("some requests did not finish in time: their callers try again"),
    }
    if !shutdown.finish().await {
        tracing::warn!("some work did not finish in time: its leases are released");
    }
    queue::leases::release_own(&app).await;
    // Before the embedded PostgreSQL is asked whether anybody still uses it.
    app.kept.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts everything that runs beside the requests.
pub fn start_tasks(app: &App, inboxes: Inboxes) {
    // Until the end of the process: the senders live in the app itself.
    tokio::spawn(Wakes::tell_others(app.clone(), inboxes.wakes));
    events::gather::run(app, inboxes.lanes);
    app.shutdown.spawn(listen::run(app.clone()));
    fleet::start(app);
    app.shutdown.spawn(housekeeping(app.clone()));
    webhooks::start(app);
    operator::start(app);
    alerts::start(app);
    app.shutdown.spawn(gauges::run(app.clone()));
    notifications::start(app);
    payments::start(app);
}

/// Takes void leases back and looks at young tables every second; every hour makes partitions, gives up what is past its retention and forgets
/// gone hubs.
async fn housekeeping(app: App) {
    let mut seconds = 0u64;
    let look = app.wakes.of(fleet::WAKE);
    while !app.shutdown.token.is_cancelled() {
        if let Err(error) = look_at_hubs(&app, seconds).await {
            tracing::error!(%error, "void leases were not taken back");
        }
        if let Err(error) = db::statistics::analyze_young(&app.db).await {
            tracing::error!(%error, "young tables were not looked at");
        }
        if seconds.is_multiple_of(60)
            && let Err(error) = app.verifier.write_uses(&app.db).await
        {
            tracing::error!(%error, "when keys were last used was not written");
        }
        if let Err(error) = seal::rotate::follow(&app).await {
            tracing::error!(%error, "whether the master key was changed was not looked at");
        }
        if seconds.is_multiple_of(3_600) {
            if let Err(error) = partitions::ensure(&app.db, app.clock.now()).await {
                tracing::error!(%error, "partitions were not made");
            }
            if let Err(error) = retention::run(&app).await {
                tracing::error!(
                    error = format!("{error:#}"),
                    "what is past its retention was not looked after"
                );
            }
            if let Err(error) = saved::keep(&app).await {
                tracing::error!(error = format!("{error:#}"), "what was saved was not kept");
            }
            if let Err(error) = app.fleet.forget(&app.db).await {
                tracing::error!(%error, "limits that nobody uses any more were not forgotten");
            }
            if let Err(error) = queue::members::delete_gone(&app.db).await {
                tracing::error!(%error, "gone hubs were not forgotten");
            }
        }
        if seconds.is_multiple_of(GIVE_BACK) {
            memory::give_back_freed();
        }
        seconds += 1;
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            // A hub came, or the listening connection is back.
            () = look.notified() => {}
            () = app.shutdown.token.cancelled() => {}
        }
    }
}

/// Takes void leases back, and sees which hubs share the limits; says every few seconds that this one does.
async fn look_at_hubs(app: &App, seconds: u64) -> sqlx::Result<()> {
    if seconds.is_multiple_of(HEARTBEAT)
        && let Some(number) = app.member.number()
    {
        queue::members::mark_seen(&app.db, number).await?;
    }
    let running = queue::leases::release_void(app).await?;
    if app.fleet.see(app.member.number(), &running) {
        app.pull.hubs_changed();
        // What is this hub's part is another now: there may be more to claim.
        app.wakes.wake_all();
    }
    Ok(())
}

async fn render_metrics(State(app): State<App>) -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render())
}

/// The TLS that every client uses. Installed once; later calls change nothing.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
