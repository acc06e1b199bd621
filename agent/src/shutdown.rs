//! When to stop: SIGTERM (service managers, containers) or SIGINT (a person).

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals to stop, noticed from the moment that this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first.
    pub(crate) async fn first(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
