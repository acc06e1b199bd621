//! What a program tells the service manager that started it, as `sd_notify(3)` does: one datagram to the socket that
//! `NOTIFY_SOCKET` names. Without a service manager nothing happens.
//!
//! It holds no runtime: whoever has asked how often ([`Manager::watchdog`]) keeps the time itself.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The variables of the protocol. A program that starts others takes them out of their environment: PostgreSQL would say
/// that it is ready in our place.
pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Tells a service manager what it asked to be told.
#[derive(Debug, Clone, Default)]
pub struct Manager {
    notify_socket: Option<String>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that started this process, if one did.
    pub fn from_environment() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "no settings: a protocol between systemd and its services"
        )]
        Self::from_variables(|name| std::env::var(name).ok(), std::process::id())
    }

    fn from_variables(said: impl Fn(&str) -> Option<String>, own_pid: u32) -> Self {
        // Inherited from a parent that is watched, the variable means the parent.
        let ours = said("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(own_pid));
        let micros = said("WATCHDOG_USEC").and_then(|text| text.parse().ok()).filter(|micros| *micros > 0);
        Self {
            notify_socket: said("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
            watchdog: micros.filter(|_| ours).map(Duration::from_micros),
        }
    }

    /// Says one thing, as `READY=1`.
    ///
    /// # Errors
    /// There is a service manager, and it does not hear.
    pub fn tell(&self, what: &str) -> io::Result<()> {
        let Some(name) = &self.notify_socket else { return Ok(()) };
        UnixDatagram::unbound()?.send_to_addr(what.as_bytes(), &address(name)?)?;
        Ok(())
    }

    /// How often to say `WATCHDOG=1`: twice in the time after which the manager would end the program. None: it does not watch.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
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

    fn manager(variables: &[(&str, &str)]) -> Manager {
        let said =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        Manager::from_variables(said, 7)
    }

    #[test]
    fn a_manager_hears_by_path_and_by_abstract_name() {
        let path = std::env::temp_dir().join(format!("trastienda-notify-{}", std::process::id()));
        let name = format!("@trastienda-test-{}", std::process::id());
        for place in [path.display().to_string(), name] {
            let listener = UnixDatagram::bind_addr(&address(&place).unwrap()).unwrap();
            listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            manager(&[("NOTIFY_SOCKET", &place)]).tell("READY=1").unwrap();
            let mut heard = [0; 32];
            let length = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
        std::fs::remove_file(path).unwrap();
        assert!(manager(&[("NOTIFY_SOCKET", "/nonexistent/socket")]).tell("READY=1").is_err());
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        Manager::default().tell("READY=1").unwrap();
        manager(&[("NOTIFY_SOCKET", "")]).tell("READY=1").unwrap();
        assert_eq!(Manager::default().watchdog(), None);
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_and_only_by_whom_it_watches() {
        let half = Some(Duration::from_millis(15));
        assert_eq!(manager(&[("WATCHDOG_USEC", "30000")]).watchdog(), half);
        assert_eq!(manager(&[("WATCHDOG_USEC", "30000"), ("WATCHDOG_PID", "7")]).watchdog(), half);
        assert_eq!(manager(&[("WATCHDOG_USEC", "30000"), ("WATCHDOG_PID", "8")]).watchdog(), None);
        assert_eq!(manager(&[("WATCHDOG_USEC", "0")]).watchdog(), None);
        assert_eq!(manager(&[("WATCHDOG_USEC", "soon")]).watchdog(), None);
    }
}
