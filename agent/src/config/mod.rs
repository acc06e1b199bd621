//! The agent's settings: read once, checked together, passed down.
//!
//! [`Settings`] are the texts of the command line, the environment and a file; [`Config`] is what they mean.
//! Every mistake is reported in a line of its own that names the variable, all at once. An empty
//! variable counts as absent, since that is what Compose files and `.env` files leave behind.

mod settings;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use trastienda_protocol::api_key::ApiKey;
use url::Url;

use crate::activation::Activated;
use crate::buffer::{Durability, Limits};
pub use settings::Settings;
use values::{account, app_url, boolean, bytes, duration, hub_url, key_from_file, loopback, mode};

/// Where the agent listens when nothing is said.
pub const SOCKET_DEFAULT: &str = "/run/trastienda/agent.sock";
const DATA_DIR_DEFAULT: &str = "/var/lib/trastienda-agent";
const MAX_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
const MAX_ROWS_DEFAULT: u64 = 5_000_000;

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
            backoff_max: Duration::from_mins(1),
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
    /// The file of certificates that the hub's is checked against, PEM.
    pub hub_ca: Option<Vec<u8>>,
    /// Whose the socket is.
    pub socket_rights: SocketRights,
    /// Calls that have waited longer are not sent any more.
    pub max_age: Option<TimeDelta>,
    /// The socket that a service manager opened, instead of one that the agent makes.
    pub activated: Option<Activated>,
    /// How patient the agent is.
    pub pace: Pace,
}

/// The rights of the socket's file: who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketRights {
    /// Its mode.
    pub mode: u32,
    /// Its owner, if not the agent's user.
    pub owner: Option<u32>,
    /// Its group, if not the agent's.
    pub group: Option<u32>,
}

impl Default for SocketRights {
    /// For the agent's user and group.
    fn default() -> Self {
        Self { mode: 0o660, owner: None, group: None }
    }
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
        let min_free = given(self.buffer_min_free.as_ref())
            .and_then(|text| mistakes.keep("TRASTIENDA_BUFFER_MIN_FREE", bytes_or_none(text)));
        let max_age = given(self.buffer_max_age.as_ref())
            .and_then(|text| mistakes.keep("TRASTIENDA_BUFFER_MAX_AGE", duration(text)));
        let grace = given(self.agent_grace.as_ref())
            .and_then(|text| mistakes.keep("TRASTIENDA_AGENT_GRACE", duration(text)));
        let hub_ca = given(self.hub_ca_file.as_ref()).and_then(|path| {
            let read = std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"));
            mistakes.keep("TRASTIENDA_HUB_CA_FILE", read)
        });
        let socket_rights = self.socket_rights(&mut mistakes);
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
                limits: Limits { max_bytes, max_rows, min_free },
                hub_ca,
                socket_rights,
                activated: None,
                max_age: max_age.and_then(|age| TimeDelta::from_std(age).ok()),
                pace: Pace { grace: grace.unwrap_or(Pace::default().grace), ..Pace::default() },
            });
        }
        Err(mistakes.0)
    }

    fn socket_rights(&self, mistakes: &mut Mistakes) -> SocketRights {
        let mode = given(self.socket_mode.as_ref())
            .and_then(|text| mistakes.keep("TRASTIENDA_SOCKET_MODE", mode(text)));
        let owner = given(self.socket_owner.as_ref()).and_then(|text| {
            mistakes.keep("TRASTIENDA_SOCKET_OWNER", account(text, Path::new("/etc/passwd")))
        });
        let group = given(self.socket_group.as_ref()).and_then(|text| {
            mistakes.keep("TRASTIENDA_SOCKET_GROUP", account(text, Path::new("/etc/group")))
        });
        SocketRights { mode: mode.unwrap_or(SocketRights::default().mode), owner, group }
    }
}

/// As [`bytes()`], and `0` for nothing.
fn bytes_or_none(text: &str) -> Result<u64, String> {
    if text.trim() == "0" { Ok(0) } else { bytes(text) }
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
    fn a_file_says_what_the_environment_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        let text = "hub_url = \"https://hub.example.com\"\ndurability = \"process\"\nbuffer_max_rows = 7\n";
        std::fs::write(&path, text).unwrap();
        let given = Settings {
            config: Some(path.display().to_string()),
            durability: Some("disk".to_owned()),
            hub_url: None,
            ..settings()
        };
        let config = given.with_file().unwrap().check().unwrap();
        assert_eq!(config.hub_url.as_str(), "https://hub.example.com/");
        assert_eq!((config.limits.max_rows, config.durability), (7, Durability::Disk));
        // A key in the file gives way to a file named by the environment.
        std::fs::write(&path, "api_key = \"tk_live_x\"\n").unwrap();
        let given = Settings { api_key: None, api_key_file: Some("/key".to_owned()), ..given };
        assert_eq!(given.with_file().unwrap().api_key, None);
        for wrong in ["hub_uri = \"x\"\n", "\n\napi_key = tk_live_secret\n"] {
            std::fs::write(&path, wrong).unwrap();
            let message = given.with_file().unwrap_err();
            assert!(message.contains("agent.toml") && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn times_modes_and_accounts_are_understood() {
        assert_eq!(duration("90m").map(|time| time.as_secs()), Ok(5_400));
        assert!(duration("0s").is_err() && duration("5").is_err() && duration("99999999d").is_err());
        assert_eq!(mode("0600"), Ok(0o600));
        assert!(mode("0999").is_err() && mode("01777").is_err());
        assert_eq!(account("0", Path::new("/nowhere")), Ok(0));
        assert_eq!(account("root", Path::new("/etc/group")), Ok(0));
        assert!(account("nobody-of-this-name", Path::new("/etc/passwd")).is_err());
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(bytes("2MiB"), Ok(2 << 20));
        assert_eq!(bytes("17"), Ok(17));
        assert!(bytes("-1").is_err() && bytes("99999999999GiB").is_err());
    }
}
