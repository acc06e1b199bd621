//! Living under systemd: a socket that it opened, and telling it how the agent is.
//!
//! With a socket unit, callers wait in the socket while the agent restarts, instead of being refused.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A socket that somebody else opened for this process, until it is taken.
#[derive(Debug, Clone)]
pub struct Activated(Arc<Mutex<Option<UnixListener>>>);

impl Activated {
    /// The first socket that was handed to this process (`LISTEN_FDS`), if any was.
    ///
    /// # Errors
    /// What was handed over is no Unix socket.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let mut handed = listenfd::ListenFd::from_env();
        if handed.len() == 0 {
            return Ok(None);
        }
        Ok(handed.take_unix_listener(0)?.map(|listener| Self(Arc::new(Mutex::new(Some(listener))))))
    }

    /// The socket, once.
    pub(crate) fn take(&self) -> Option<UnixListener> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Tells a service manager what it asked to be told (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
#[derive(Debug, Clone, Default)]
pub struct Manager {
    notify_socket: Option<String>,
    watchdog_usec: Option<u64>,
}

impl Manager {
    /// The one that started this process, if one did.
    pub fn from_environment() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "no settings: a protocol between systemd and its services"
        )]
        let said = |name: &str| std::env::var(name).ok();
        Self {
            notify_socket: said("NOTIFY_SOCKET"),
            watchdog_usec: said("WATCHDOG_USEC").and_then(|text| text.parse().ok()),
        }
    }

    /// Says one thing, as `READY=1`; without anybody who listens, nothing happens.
    pub fn tell(&self, what: &str) {
        let Some(name) = self.notify_socket.as_deref().filter(|name| !name.is_empty()) else { return };
        let said = address(name)
            .and_then(|address| UnixDatagram::unbound()?.send_to_addr(what.as_bytes(), &address));
        if let Err(error) = said {
            tracing::warn!(error = %error, "the service manager could not be told {what}");
        }
    }

    /// Says that the agent lives, twice as often as asked for, for as long as `lives` answers.
    pub async fn keep_telling<F: Future<Output = bool>>(
        &self,
        stop: CancellationToken,
        lives: impl Fn() -> F,
    ) {
        let Some(every) = self.watchdog_usec.filter(|micros| *micros > 0) else { return };
        let every = Duration::from_micros(every) / 2;
        loop {
            if lives().await {
                self.tell("WATCHDOG=1");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_hears_by_path_and_by_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify").display().to_string();
        let name = format!("@trastienda-test-{}", std::process::id());
        for place in [path, name] {
            let listener = UnixDatagram::bind_addr(&address(&place).unwrap()).unwrap();
            listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Manager { notify_socket: Some(place), watchdog_usec: None }.tell("READY=1");
            let mut heard = [0; 32];
            let length = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
        Manager::default().tell("READY=1");
    }
}
