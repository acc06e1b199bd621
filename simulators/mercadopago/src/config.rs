//! What a simulator is started with.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Clock;
use crate::sellers::Seller;

/// The settings of one simulator; `Config::default()` is what a test wants.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0, the default, takes a free one.
    pub listen: SocketAddr,
    /// What every id, token and fault follows from. 1 by default.
    pub seed: u64,
    /// The address that links to the checkout and to tickets begin with. Left out: the address bound.
    pub public_url: Option<String>,
    /// Where the time comes from. The system by default.
    pub clock: Clock,
    /// The sellers that exist at the start and after a reset.
    pub sellers: Vec<Seller>,
    /// The waits before the first and each further attempt to deliver a notice.
    pub retry_schedule: Vec<Duration>,
    /// How long a receiver may take to answer a notice. 22 s by default, as the real one.
    pub notice_timeout: Duration,
    /// Whether a notice's `ts` counts milliseconds. Deliveries of payments were seen with seconds.
    pub ts_in_millis: bool,
    /// Whether `http` and local return addresses are kept. The real one drops them, which leaves a laptop
    /// without a way back from the checkout.
    pub http_back_urls: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            public_url: None,
            clock: Clock::system(),
            sellers: Seller::known(),
            retry_schedule: retry_schedule(36_000),
            notice_timeout: Duration::from_secs(22),
            ts_in_millis: false,
            http_back_urls: false,
        }
    }
}

/// The published schedule (at once, 15 and 30 minutes, 6, 48 and three times 96 hours), so many times
/// faster.
pub fn retry_schedule(speed: u32) -> Vec<Duration> {
    [0, 15, 30, 6 * 60, 48 * 60, 96 * 60, 96 * 60, 96 * 60]
        .into_iter()
        .map(|minutes| Duration::from_mins(minutes) / speed.max(1))
        .collect()
}
