//! When to stop: SIGTERM (service managers, containers) or SIGINT (a person). When to read the settings
//! again: SIGHUP.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, noticed from the moment that this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To stop.
    Stop(&'static str),
    /// To read the settings again.
    Reload,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Wish::Stop("SIGINT"),
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
