//! The hub's server: what a caller may cost before its request is even understood.
//!
//! - Connections are limited. One past the limit is still heard ([`overload`]): it is told 503 `overloaded`, or how the
//!   hub is, and then closed; past a reserve for that, connections are closed at once.
//! - Requests that work at once are limited, also by 503 `overloaded` with `Retry-After`. What waits costs little and does not
//!   count: agents' long polls. `/healthz`, `/readyz` and `/metrics` answer however many there are.
//! - A caller has a time for a request's head, and a pace to keep for its body and for reading the answer ([`patient`], [`paced`]). Neither
//!   runs while nobody has anything to send: a long poll or a stream may be silent for as long as it likes.
//! - Bodies that are read at once have a budget of memory ([`budget`]): past it a large one is told 503, small ones go on.
//! - Heads are limited in size and number of fields: 431. Bodies are by their route: 413.
//! - With certificates it speaks TLS ([`tls`]), HTTP/2 where the client offers it; without, HTTP/1.1 and nothing else.
//!
//! What it does not do: limit connections by address. Behind a proxy all have the same.

pub mod budget;
mod held;
pub mod overload;
mod paced;
mod patient;
mod serving;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use self::serving::{Caller, Serving};
use self::tls::Tls;

pub use self::paced::{is_too_much, is_too_slow};

/// Connections that are told of the overload at once; more are closed unheard.
const RESERVE: usize = 64;
/// Descriptors that are for other things than connections: the database, calls to elsewhere, files.
const OTHER_DESCRIPTORS: u64 = 512;

/// What a caller may cost. No variable but the first two changes it; tests do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Requests at once, without those that wait.
    pub requests: usize,
    /// Bytes of large bodies that are read or worked at, at once.
    pub bodies: usize,
    /// Time for a request's head, from its first byte on, and for a TLS handshake.
    pub head: Duration,
    /// How long a connection may be idle between requests, or before the first. Longer than proxies keep theirs (nginx a
    /// minute, Caddy two), so that it is they who close first: a request that meets a closing connection may be lost.
    pub idle: Duration,
    /// What a body, and the reading of an answer, may take in addition to [`Self::bytes_per_second`].
    pub patience: Duration,
    /// The pace below which that is used up.
    pub bytes_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            requests: 512,
            bodies: 64 * 1024 * 1024,
            head: Duration::from_secs(10),
            idle: Duration::from_mins(3),
            patience: Duration::from_secs(30),
            bytes_per_second: 1_024,
        }
    }
}

/// Answers on a listener until `stop` says so, and then until the requests under way are answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
) {
    raise_descriptors(limits.connections);
    let places = Arc::new(Semaphore::new(limits.connections));
    let reserve = Arc::new(Semaphore::new(RESERVE));
    // Each connection holds a receiver: it hears the end, and is counted.
    let (ending, heard) = watch::channel(false);
    let serving = Arc::new(Serving::new(router, limits, tls));
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    not_accepted(&error).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let place = places.clone().try_acquire_owned().map(|place| (place, false));
        let place = place.or_else(|_| reserve.clone().try_acquire_owned().map(|place| (place, true)));
        let Ok((place, is_over)) = place else {
            refused("unheard");
            continue;
        };
        if is_over {
            refused("told");
        }
        let (serving, heard) = (serving.clone(), heard.clone());
        tokio::spawn(async move {
            let gauge = Open::count();
            serve_one(&serving, stream, Caller { address, is_over }, heard).await;
            drop((gauge, place));
        });
    }
    drop((listener, heard));
    ending.send_replace(true);
    ending.closed().await;
}

async fn serve_one(serving: &Serving, stream: TcpStream, caller: Caller, heard: watch::Receiver<bool>) {
    // An answer is written as a whole: nothing is gained by waiting for more of it.
    let _ = stream.set_nodelay(true);
    if let Err(error) = serving.run(stream, caller, heard).await {
        // The caller's fault or the network's: nobody here can do anything about it.
        tracing::trace!(%error, "a connection ended early");
    }
}

/// Mostly there are no descriptors left: those of the connections that end next are waited for.
async fn not_accepted(error: &std::io::Error) {
    if matches!(error.kind(), std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::error!(%error, "a connection was not accepted");
    refused("unheard");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn refused(how: &'static str) {
    metrics::counter!("trastienda_http_connections_refused_total", "how" => how).increment(1);
}

/// Shown as an open connection for as long as it is held.
struct Open;

impl Open {
    fn count() -> Self {
        metrics::gauge!("trastienda_http_connections").increment(1);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("trastienda_http_connections").decrement(1);
    }
}

/// Asks for as many descriptors as the connections may need; service managers begin with few.
fn raise_descriptors(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(connections + RESERVE).unwrap_or(u64::MAX).saturating_add(OTHER_DESCRIPTORS);
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let possible = now.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let result = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: now.maximum });
    if let Err(error) = result {
        tracing::warn!(%error, "the limit of open files was not raised");
    }
    if possible < wanted {
        tracing::warn!(
            possible,
            wanted,
            "TRASTIENDA_MAX_CONNECTIONS is more than the limit of open files allows: raise it (LimitNOFILE=)"
        );
    }
}
