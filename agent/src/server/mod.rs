//! The local doors: the hub's own HTTP API on a Unix socket and, when asked, on a loopback port.
//!
//! - [`socket`], [`peer`], [`connections`]: who may come in, and how connections are served and ended.
//! - [`entrance`]: a request from a door to its answer.
//! - [`door`]: what a request must carry, by the door it came through.
//! - [`intake`]: what is checked, kept and acknowledged here.
//! - [`operator`]: the agent's own paths under `/agent`.
//! - Everything else goes to [`crate::proxy`].
//!
//! Every refusal is a problem document with the request's id ([`refusal`]).

mod body;
mod connections;
mod door;
mod entrance;
mod intake;
mod operator;
mod peer;
mod refusal;
mod request_id;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use body::read_within;
pub(crate) use intake::prefer;
pub(crate) use refusal::Refusal;
pub(crate) use request_id::span as request_span;

use crate::activation::Activated;
use crate::agent::{Core, StartError};
use crate::config::Config;
use crate::{features, project, proxy};
use door::Door;
use entrance::Entrance;

/// Opens the doors, on the writer's runtime. When it returns, calls are taken.
pub(crate) async fn open(
    core: &Arc<Core>,
    config: &Config,
    runtime: &Handle,
    stop: &CancellationToken,
) -> Result<(Vec<JoinHandle<()>>, Option<SocketAddr>), StartError> {
    let (socket, rights, listen) = (config.socket.clone(), config.socket_rights, config.listen);
    let given = config.activated.as_ref().and_then(Activated::take);
    let binding = runtime.spawn(async move {
        let tcp = match listen {
            None => None,
            Some(address) => {
                let listen_error = |source| StartError::Listen { address, source };
                let listener = TcpListener::bind(address).await.map_err(listen_error)?;
                let bound = listener.local_addr().map_err(listen_error)?;
                Some((listener, bound))
            }
        };
        let socket_error = |source| StartError::Socket { path: socket.display().to_string(), source };
        let listener = match given {
            Some(listener) => socket::adopt(listener),
            None => socket::bind(&socket, rights).await,
        };
        Ok::<_, StartError>((listener.map_err(socket_error)?, tcp))
    });
    let (listener, tcp) = binding.await.map_err(|error| StartError::Socket {
        path: config.socket.display().to_string(),
        source: io::Error::other(error),
    })??;
    let grace = config.pace.grace;
    let entrance = |door| Arc::new(Entrance::new(core, door, router(core)));
    let (by_socket, stopped) = (entrance(Door::Socket), stop.clone());
    // What systemd opened stays its own: callers wait in it for the next agent.
    let path = config.activated.is_none().then(|| config.socket.clone());
    let mut doors = vec![runtime.spawn(async move {
        connections::serve(listener, by_socket, (stopped, grace)).await;
        if let Some(path) = path {
            socket::remove(&path);
        }
    })];
    let address = tcp.as_ref().map(|(_, address)| *address);
    if let Some((listener, _)) = tcp {
        let serving = connections::serve(listener, entrance(Door::Tcp), (stop.clone(), grace));
        doors.push(runtime.spawn(serving));
    }
    Ok((doors, address))
}

/// Every path that the agent answers itself, besides the calls that it keeps; the rest passes through.
fn router(core: &Arc<Core>) -> Router {
    Router::new()
        .route("/v1/project", get(project::show).fallback(proxy::pass))
        .route("/v1/features", get(features::list).fallback(proxy::pass))
        .route("/v1/features/{flag}", get(features::one).fallback(proxy::pass))
        .route("/agent/status", get(operator::status))
        .route("/agent/overview", get(operator::overview))
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
        .with_state(Arc::clone(core))
}
