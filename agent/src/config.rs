//! The agent's settings: read once, checked together, passed down.
//!
//! [`Settings`] are the texts of the command line and the environment; [`Config`] is what they mean.
//! Every mistake is reported in a line of its own that names the variable, all at once. An empty
//! variable counts as absent, since that is what Compose files and `.env` files leave behind.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use trastienda_protocol::api_key::ApiKey;
use url::Url;

use crate::buffer::{Durability, Limits};

/// Where the agent listens when nothing is said.
pub const SOCKET_DEFAULT: &str = "/run/trastienda/agent.sock";
const DATA_DIR_DEFAULT: &str = "/var/lib/trastienda-agent";
const MAX_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
const MAX_ROWS_DEFAULT: u64 = 5_000_000;

/// The settings as they are written.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Settings {
    /// The hub's address, as `https://hub.example.com`. Required
    #[arg(long, env = "TRASTIENDA_HUB_URL", value_name = "URL")]
    pub hub_url: Option<String>,
    /// The project's API key. This or the file is required
    #[arg(long, env = "TRASTIENDA_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// A file that holds the project's API key
    #[arg(long, env = "TRASTIENDA_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<String>,
    /// The Unix socket to serve. Default: `/run/trastienda/agent.sock`
    #[arg(long, env = "TRASTIENDA_SOCKET", value_name = "PATH")]
    pub socket: Option<String>,
    /// A loopback address to serve as well, as `127.0.0.1:7070`. Default: none
    #[arg(long, env = "TRASTIENDA_AGENT_LISTEN", value_name = "ADDRESS")]
    pub agent_listen: Option<String>,
    /// Where the application is, as `http://127.0.0.1:8000`: webhooks of `agent:///` endpoints are pulled and posted
    /// there. Default: none, and nothing is pulled
    #[arg(long, env = "TRASTIENDA_AGENT_APP_URL", value_name = "URL")]
    pub agent_app_url: Option<String>,
    /// Where the buffer is kept. Default: `/var/lib/trastienda-agent`
    #[arg(long, env = "TRASTIENDA_AGENT_DATA_DIR", value_name = "DIRECTORY")]
    pub agent_data_dir: Option<String>,
    /// `disk`: a call is on the disk before it is acknowledged, and outlives a power cut. `process`:
    /// faster, outlives the agent but not a power cut. Default: `disk`
    #[arg(long, env = "TRASTIENDA_DURABILITY", value_name = "TIER")]
    pub durability: Option<String>,
    /// Bytes of calls kept before new ones are refused, as `1GiB`. Default: `1GiB`
    #[arg(long, env = "TRASTIENDA_BUFFER_MAX_BYTES", value_name = "BYTES")]
    pub buffer_max_bytes: Option<String>,
    /// Calls kept before new ones are refused. Default: 5000000
    #[arg(long, env = "TRASTIENDA_BUFFER_MAX_ROWS", value_name = "ROWS")]
    pub buffer_max_rows: Option<String>,
    /// `true` lets the key and the data travel in the clear to a hub that is not on this host. Default: `false`
    #[arg(long, env = "TRASTIENDA_HUB_ALLOW_HTTP", value_name = "BOOL")]
    pub hub_allow_http: Option<String>,
}

/// How patient the agent is. Not settings: tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first wait after the hub failed to answer.
    pub backoff_first: Duration,
    /// The longest wait while it does not.
    pub backoff_max: Duration,
    /// The first wait before an operation that failed alone is tried again.
    pub retry_first: Duration,
    /// The longest.
    pub retry_max: Duration,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How long requests in flight may take once the agent is told to stop.
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(15),
            retry_first: Duration::from_secs(5),
            retry_max: Duration::from_mins(10),
            heartbeat: Duration::from_mins(1),
            grace: Duration::from_secs(10),
        }
    }
}

/// The settings, understood.
#[derive(Debug, Clone)]
pub struct Config {
    /// The hub's address.
    pub hub_url: Url,
    /// The project's key.
    pub api_key: ApiKey,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The loopback door.
    pub listen: Option<SocketAddr>,
    /// Where pulled webhooks go.
    pub app_url: Option<Url>,
    /// Where the buffer is.
    pub data_dir: PathBuf,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// When new calls are refused.
    pub limits: Limits,
    /// How patient the agent is.
    pub pace: Pace,
}

impl Settings {
    /// Understands the settings.
    ///
    /// # Errors
    /// One line per mistake, each naming its variable.
    pub fn check(&self) -> Result<Config, Vec<String>> {
        let mut mistakes = Mistakes::default();
        let allow_http = mistakes.keep(
            "TRASTIENDA_HUB_ALLOW_HTTP",
            boolean(given(self.hub_allow_http.as_ref()).unwrap_or("false")),
        );
        let hub_url = mistakes.keep(
            "TRASTIENDA_HUB_URL",
            given(self.hub_url.as_ref())
                .ok_or_else(|| "is required, as `https://hub.example.com`".to_owned())
                .and_then(|text| hub_url(text, allow_http == Some(true))),
        );
        let api_key = match (given(self.api_key.as_ref()), given(self.api_key_file.as_ref())) {
            (Some(_), Some(_)) => mistakes.keep(
                "TRASTIENDA_API_KEY",
                Err("and TRASTIENDA_API_KEY_FILE are both set: keep one".to_owned()),
            ),
            (Some(text), None) => mistakes
                .keep("TRASTIENDA_API_KEY", ApiKey::parse(text.trim()).map_err(|error| error.to_string())),
            (None, Some(path)) => mistakes.keep("TRASTIENDA_API_KEY_FILE", key_from_file(Path::new(path))),
            (None, None) => {
                mistakes.keep("TRASTIENDA_API_KEY", Err("or TRASTIENDA_API_KEY_FILE is required".to_owned()))
            }
        };
        let listen = given(self.agent_listen.as_ref())
            .and_then(|text| mistakes.keep("TRASTIENDA_AGENT_LISTEN", loopback(text)));
        let app_url = given(self.agent_app_url.as_ref())
            .and_then(|text| mistakes.keep("TRASTIENDA_AGENT_APP_URL", app_url(text)));
        let durability = mistakes.keep(
            "TRASTIENDA_DURABILITY",
            given(self.durability.as_ref()).map_or(Ok(Durability::Disk), |text| {
                Durability::parse(text).ok_or_else(|| format!("must be `disk` or `process`, not `{text}`"))
            }),
        );
        let max_bytes = mistakes.keep(
            "TRASTIENDA_BUFFER_MAX_BYTES",
            given(self.buffer_max_bytes.as_ref()).map_or(Ok(MAX_BYTES_DEFAULT), bytes),
        );
        let max_rows = mistakes.keep(
            "TRASTIENDA_BUFFER_MAX_ROWS",
            given(self.buffer_max_rows.as_ref()).map_or(Ok(MAX_ROWS_DEFAULT), |text| {
                text.parse::<u64>()
                    .ok()
                    .filter(|rows| *rows > 0)
                    .ok_or_else(|| format!("must be a whole number above 0, not `{text}`"))
            }),
        );
        let complete = (hub_url, api_key, durability, max_bytes, max_rows);
        if let (true, (Some(hub_url), Some(api_key), Some(durability), Some(max_bytes), Some(max_rows))) =
            (mistakes.0.is_empty(), complete)
        {
            return Ok(Config {
                hub_url,
                api_key,
                socket: socket(self.socket.as_ref()),
                listen,
                app_url,
                data_dir: data_dir(self.agent_data_dir.as_ref()),
                durability,
                limits: Limits { max_bytes, max_rows },
                pace: Pace::default(),
            });
        }
        Err(mistakes.0)
    }
}

/// The socket's path, given or default.
pub fn socket(given_path: Option<&String>) -> PathBuf {
    given(given_path).unwrap_or(SOCKET_DEFAULT).into()
}

/// Where the buffer is, given or default.
pub fn data_dir(given_path: Option<&String>) -> PathBuf {
    given(given_path).unwrap_or(DATA_DIR_DEFAULT).into()
}

#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn keep<T>(&mut self, variable: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.0.push(format!("{variable} {message}"))).ok()
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("must be `true` or `false`, not `{other}`")),
    }
}

fn hub_url(text: &str, allow_http: bool) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http || is_loopback(&url) => Ok(url),
        "http" => Err("is `http://` to another host, so the key would travel in the clear: use `https://`, \
             or set TRASTIENDA_HUB_ALLOW_HTTP=true if the network between is yours"
            .to_owned()),
        other => Err(format!("must start with `https://`, not `{other}:`")),
    }
}

fn app_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("is not a URL: {error}"))?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "http" | "https" if is_plain => Ok(url),
        "http" | "https" => Err("must not hold a user, a password, a query or a fragment".to_owned()),
        other => Err(format!("must start with `http://` or `https://`, not `{other}:`")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

fn key_from_file(path: &Path) -> Result<ApiKey, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot be read from {}: {error}", path.display()))?;
    ApiKey::parse(text.trim()).map_err(|error| format!("({}): {error}", path.display()))
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(|port| SocketAddr::from(([127, 0, 0, 1], port))).ok(),
        None => text.parse().ok(),
    };
    let address =
        address.ok_or_else(|| format!("must be an address and a port as `127.0.0.1:7070`, not `{text}`"))?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ok(address),
        IpAddr::V6(ip) if ip.is_loopback() => Ok(address),
        other => Err(format!("must be a loopback address, not `{other}`: the agent serves this host only")),
    }
}

/// `1048576`, `512MiB`, `1GiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, factor) = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)))
        .unwrap_or((text, 1));
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("must be a number of bytes as `1073741824` or `1GiB`, not `{text}`"))
}

#[cfg(test)]
mod tests {
    use trastienda_protocol::api_key::Mode;

    use super::*;

    fn settings() -> Settings {
        Settings {
            hub_url: Some("http://127.0.0.1:8080".to_owned()),
            api_key: Some(ApiKey::generate(Mode::Live).unwrap().expose().to_owned()),
            ..Settings::default()
        }
    }

    #[test]
    fn two_settings_are_enough() {
        let config = settings().check().unwrap();
        assert_eq!(config.socket, Path::new(SOCKET_DEFAULT));
        assert_eq!((config.durability, config.listen), (Durability::Disk, None));
    }

    #[test]
    fn empty_variables_count_as_absent() {
        let blank = Some(" ".to_owned());
        let settings = Settings { agent_listen: blank.clone(), durability: blank, ..settings() };
        assert!(settings.check().is_ok());
    }

    #[test]
    fn every_mistake_is_one_line_that_names_its_variable() {
        let settings = Settings {
            hub_url: Some("http://hub.example.com".to_owned()),
            api_key: Some("tk_live_secret".to_owned()),
            agent_listen: Some("0.0.0.0:7070".to_owned()),
            durability: Some("memory".to_owned()),
            buffer_max_bytes: Some("lots".to_owned()),
            buffer_max_rows: Some("0".to_owned()),
            hub_allow_http: Some("maybe".to_owned()),
            ..Settings::default()
        };
        let mistakes = settings.check().unwrap_err();
        let names: Vec<_> = mistakes.iter().map(|line| line.split(' ').next().unwrap()).collect();
        let expected = [
            "TRASTIENDA_HUB_ALLOW_HTTP",
            "TRASTIENDA_HUB_URL",
            "TRASTIENDA_API_KEY",
            "TRASTIENDA_AGENT_LISTEN",
            "TRASTIENDA_DURABILITY",
            "TRASTIENDA_BUFFER_MAX_BYTES",
            "TRASTIENDA_BUFFER_MAX_ROWS",
        ];
        assert_eq!(names, expected);
        assert!(mistakes.iter().all(|line| !line.contains('\n') && !line.contains("tk_live_secret")));
    }

    #[test]
    fn plain_http_needs_loopback_or_consent() {
        for loopback in ["http://localhost:8080", "http://[::1]:8080", "http://127.9.9.9"] {
            assert!(hub_url(loopback, false).is_ok(), "{loopback}");
        }
        assert!(hub_url("http://10.0.0.2:8080", false).is_err());
        assert!(hub_url("http://10.0.0.2:8080", true).is_ok());
        assert!(hub_url("ftp://localhost", true).is_err());
        assert!(hub_url("https://user:pass@hub.example.com", true).is_err());
    }

    #[test]
    fn the_key_is_read_from_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = ApiKey::generate(Mode::Test).unwrap();
        std::fs::write(&path, format!("{}\n", key.expose())).unwrap();
        let settings =
            Settings { api_key: None, api_key_file: Some(path.display().to_string()), ..settings() };
        assert_eq!(settings.check().unwrap().api_key, key);
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(bytes("2MiB"), Ok(2 << 20));
        assert_eq!(bytes("17"), Ok(17));
        assert!(bytes("-1").is_err() && bytes("99999999999GiB").is_err());
    }
}
