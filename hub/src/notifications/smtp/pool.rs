//! Open connections that wait for their next mail.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::{Duration, Instant};

/// Servers hang up on idle clients, often after a minute or less.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Many servers take no more over one connection.
const MAILS_MAX: u32 = 100;
/// Connections that are kept for one server: as many as the operator may ask for.
const KEPT_MAX: usize = 64;

/// A connection, and the mails that it has carried.
pub(crate) struct Pooled {
    pub(crate) connection: AsyncSmtpConnection,
    pub(crate) mails: u32,
}

/// The connections by their server's key.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<String, Vec<(Pooled, Instant)>>>,
}

impl Pool {
    /// A connection that was open a moment ago.
    pub(crate) fn take(&self, key: &str) -> Option<Pooled> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // What was forgotten here is closed here, whoever it belonged to.
        idle.retain(|_, waiting| {
            waiting.retain(|(_, since)| now - *since < IDLE_MAX);
            !waiting.is_empty()
        });
        idle.get_mut(key)?.pop().map(|(pooled, _)| pooled)
    }

    /// Keeps a connection for the next mail.
    pub(crate) fn put(&self, key: &str, mut pooled: Pooled) {
        pooled.mails += 1;
        if pooled.mails >= MAILS_MAX || pooled.connection.has_broken() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle.entry(key.to_owned()).or_default();
        if waiting.len() < KEPT_MAX {
            waiting.push((pooled, Instant::now()));
        }
    }
}
