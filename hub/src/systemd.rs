//! Living under systemd: it hears when the hub is ready, that it lives, and that it stops.
//!
//! To live is to answer `GET /healthz` within the time that the manager gives. The database does not count: a hub that is
//! started again does not bring it back, and its agents, the callers of its other pages and its own retries wait meanwhile.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;
use trastienda_protocol::systemd::Manager;

use crate::shutdown::Shutdown;

/// Says `READY=1` now, `WATCHDOG=1` for as long as the router answers, and `STOPPING=1` when the hub is told to stop.
pub(crate) fn tell_from_now_on(shutdown: &Shutdown, router: Router) {
    let manager = Manager::from_environment();
    tell(&manager, "READY=1");
    let token = shutdown.token.clone();
    shutdown.spawn(async move {
        let watched = async {
            let Some(every) = manager.watchdog() else { return std::future::pending().await };
            loop {
                if lives(router.clone()).await {
                    tell(&manager, "WATCHDOG=1");
                }
                tokio::time::sleep(every).await;
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = watched => {}
        }
        tell(&manager, "STOPPING=1");
    });
}

async fn lives(router: Router) -> bool {
    let answer = router.oneshot(Request::get("/healthz").body(Body::empty()).unwrap_or_default()).await;
    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

fn tell(manager: &Manager, what: &str) {
    if let Err(error) = manager.tell(what) {
        tracing::warn!(%error, "the service manager could not be told {what}");
    }
}
