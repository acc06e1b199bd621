//! Living under systemd: a socket that it opened, and telling it how the agent is.
//!
//! With a socket unit, callers wait in the socket while the agent restarts, instead of being refused.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use trastienda_protocol::systemd::Manager;

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

/// Says one thing to the service manager. That it does not hear is no reason to stop serving.
pub(crate) fn tell(manager: &Manager, what: &str) {
    if let Err(error) = manager.tell(what) {
        tracing::warn!(error = %error, "the service manager could not be told {what}");
    }
}

/// Says that the agent lives, as often as the manager wants to hear it, for as long as `lives` answers.
pub(crate) async fn keep_telling<F: Future<Output = bool>>(
    manager: &Manager,
    stop: CancellationToken,
    lives: impl Fn() -> F,
) {
    let Some(every) = manager.watchdog() else { return };
    loop {
        if lives().await {
            tell(manager, "WATCHDOG=1");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
