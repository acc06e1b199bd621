//! Serving connections: HTTP/1.1 with keep-alive, a bounded number of them, and an orderly end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::entrance::Entrance;
use super::peer::{self, Peer};

/// Connections of one door at a time. PHP processes keep theirs open; more than these wait in the
/// listener's backlog.
const CONNECTIONS_MAX: usize = 2_048;

/// Serves until told to stop, then lets the requests in flight end within the grace time.
pub(super) async fn serve<L: Listener<Io: Peer>>(
    mut listener: L,
    entrance: Arc<Entrance>,
    (stop, grace): (CancellationToken, Duration),
) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut seen = peer::Seen::default();
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, (stream, _)) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        seen.notice(&stream);
        let entrance = Arc::clone(&entrance);
        let service = service_fn(move |request| {
            let entrance = Arc::clone(&entrance);
            async move { Ok::<_, Infallible>(entrance.answer(request).await) }
        });
        // Answers are small: one buffer costs the kernel less than a list of two.
        let connection = http1::Builder::new().writev(false).serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // A caller who hangs up is no event.
            let _ = connection.await;
            drop(slot);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight after the grace time and were cut");
    }
    connections.shutdown().await;
}
