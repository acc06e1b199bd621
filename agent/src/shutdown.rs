//! When to stop: SIGTERM (service managers, containers) or SIGINT (a person).

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first signal to stop.
///
/// # Errors
/// The signals cannot be listened to.
pub(crate) async fn signalled() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
