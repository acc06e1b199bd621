//! Waiting on conditions, and free ports.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;

/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until there is an answer, at most a minute. An error counts as no answer, and the last one is told.
pub async fn until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let last = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > deadline {
            bail!("waited in vain for this: {what} ({last})");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port that was free a moment ago, below those that the kernel gives to outgoing connections: between us and the program
/// that will listen on it, nothing takes it by chance. It is this process's for as long as it runs.
pub fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1_000 {
        // Stacks that start at the same time in other processes begin elsewhere.
        let number = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + number % 20_000)?;
        if reserve(port)? && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between 10000 and 30000 is free")
}

/// Whether no other stack of this host has been promised the port: who has holds a socket of its name.
fn reserve(port: u16) -> anyhow::Result<bool> {
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let name = SocketAddr::from_abstract_name(format!("trastienda-port-{port}"))?;
    match UnixListener::bind_addr(&name) {
        Ok(listener) => RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_promised_once() {
        let port = free_port().unwrap();
        assert!(!reserve(port).unwrap());
        assert_ne!(free_port().unwrap(), port);
    }
}
