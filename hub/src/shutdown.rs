//! Stopping: one signal, and everything that was started gets the time to finish.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long in-flight work may go on after the signal.
pub const GRACE: Duration = Duration::from_secs(20);

/// What long-running tasks watch, and what the program waits for at its end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the program is to stop.
    pub token: CancellationToken,
    /// Tasks that must end before the program does.
    pub tasks: TaskTracker,
}

impl Shutdown {
    /// Cancels the token at SIGTERM or SIGINT.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = self.token.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: finishing what is in flight");
            token.cancel();
        });
        Ok(())
    }

    /// Starts a task that must end before the program does.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// Waits for the tasks, at most [`GRACE`]. False if some had to be left.
    pub async fn finish(&self) -> bool {
        self.token.cancel();
        self.tasks.close();
        tokio::time::timeout(GRACE, self.tasks.wait()).await.is_ok()
    }
}
