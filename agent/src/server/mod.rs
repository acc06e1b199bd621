//! The local doors: the hub's own HTTP API on a Unix socket and, when asked, on a loopback port.
//!
//! - [`socket`], [`connections`]: who may come in, and how connections are served and ended.
//! - [`door`]: what a request must carry, by the door it came through.
//! - [`intake`]: what is checked, kept and acknowledged here.
//! - [`operator`]: the agent's own paths under `/agent`.
//! - Everything else goes to [`crate::proxy`].
//!
//! Every refusal is a problem document with the request's id ([`refusal`]).

mod body;
mod connections;
mod door;
mod intake;
mod operator;
mod refusal;
mod request_id;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use body::read_within;
pub(crate) use intake::prefer;
pub(crate) use refusal::Refusal;

use crate::agent::{Core, StartError};
use crate::config::Config;
use crate::{features, proxy};
use door::Door;

/// Opens the doors. When it returns, calls are taken.
pub(crate) async fn open(
    core: &Arc<Core>,
    config: &Config,
    stop: &CancellationToken,
) -> Result<(Vec<JoinHandle<()>>, Option<SocketAddr>), StartError> {
    let socket_error = |source| StartError::Socket { path: config.socket.display().to_string(), source };
    let tcp = match config.listen {
        None => None,
        Some(address) => {
            let listen_error = |source| StartError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(listen_error)?;
            let bound = listener.local_addr().map_err(listen_error)?;
            Some((listener, bound))
        }
    };
    let listener = socket::bind(&config.socket).await.map_err(socket_error)?;
    let grace = config.pace.grace;
    let (path, router, stopped) = (config.socket.clone(), router(core, Door::Socket), stop.clone());
    let mut doors = vec![tokio::spawn(async move {
        connections::serve(listener, router, (stopped, grace)).await;
        socket::remove(&path);
    })];
    let address = tcp.as_ref().map(|(_, address)| *address);
    if let Some((listener, _)) = tcp {
        let serving = connections::serve(listener, self::router(core, Door::Tcp), (stop.clone(), grace));
        doors.push(tokio::spawn(serving));
    }
    Ok((doors, address))
}

/// Every path that the agent answers itself; the rest passes through.
fn router(core: &Arc<Core>, door: Door) -> Router {
    Router::new()
        .route("/v1/events", post(intake::event).fallback(proxy::pass))
        .route("/v1/notifications", post(intake::notification).fallback(proxy::pass))
        .route("/v1/payments", post(intake::payment).fallback(proxy::pass))
        .route("/v1/features", get(features::list).fallback(proxy::pass))
        .route("/v1/features/{flag}", get(features::one).fallback(proxy::pass))
        .route("/agent/status", get(operator::status))
        .route("/agent/metrics", get(operator::metrics))
        .route("/agent/recover", post(operator::recover))
        .route("/agent/dead-letters", get(operator::list_dead_letters))
        .route(
            "/agent/dead-letters/{id}",
            get(operator::get_dead_letter).delete(operator::discard_dead_letter),
        )
        .route("/agent/dead-letters/{id}/retry", post(operator::retry_dead_letter))
        .fallback(proxy::pass)
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state((Arc::clone(core), door), door::guard))
        .layer(from_fn_with_state(Arc::clone(core), request_id::carry))
        .with_state(Arc::clone(core))
}
