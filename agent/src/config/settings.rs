//! The settings as they are written: on the command line, in the environment, in a TOML file.

use super::given;

/// The settings as they are written.
#[derive(Debug, Clone, Default, clap::Args, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A TOML file with any of these settings, by the names of their flags: `hub_url = "https://…"`. What the
    /// command line or the environment says counts more. Default: none
    #[arg(long, env = "TRASTIENDA_AGENT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<String>,
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
    /// Certificates (PEM) that the hub's is checked against, instead of the system's. Default: the system's
    #[arg(long, env = "TRASTIENDA_HUB_CA_FILE", value_name = "FILE")]
    pub hub_ca_file: Option<String>,
    /// The socket's rights, in octal. Default: `0660`
    #[arg(long, env = "TRASTIENDA_SOCKET_MODE", value_name = "MODE")]
    pub socket_mode: Option<String>,
    /// The socket's owner, a name of `/etc/passwd` or a number. Default: the agent's user
    #[arg(long, env = "TRASTIENDA_SOCKET_OWNER", value_name = "USER")]
    pub socket_owner: Option<String>,
    /// The socket's group, a name of `/etc/group` or a number: the one that PHP runs in. Default: the agent's group
    #[arg(long, env = "TRASTIENDA_SOCKET_GROUP", value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Bytes that must stay free on the disk; with less, new calls are refused. Default: a twentieth of it, at most `256MiB`
    #[arg(long, env = "TRASTIENDA_BUFFER_MIN_FREE", value_name = "BYTES")]
    pub buffer_min_free: Option<String>,
    /// Calls that have waited longer go to the dead letters, as `7d` or `12h`. Default: they wait for as long as it takes
    #[arg(long, env = "TRASTIENDA_BUFFER_MAX_AGE", value_name = "AGE")]
    pub buffer_max_age: Option<String>,
    /// How long the agent goes on handing over what waits once it is told to stop, as `10s`. Default: `10s`
    #[arg(long, env = "TRASTIENDA_AGENT_GRACE", value_name = "TIME")]
    pub agent_grace: Option<String>,
}

impl Settings {
    /// These settings, and those of the file that they name where they say nothing.
    ///
    /// # Errors
    /// A line: the file cannot be read, or holds something else than settings.
    pub fn with_file(&self) -> Result<Self, String> {
        let Some(path) = given(self.config.as_ref()) else { return Ok(self.clone()) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("TRASTIENDA_AGENT_CONFIG {path} cannot be read: {error}"))?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| {
            // Not the line itself: it may hold the key.
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            format!("TRASTIENDA_AGENT_CONFIG {path}, line {line}: {}", error.message())
        })?;
        // Numbers and truths may be written as such.
        let as_text = |value| match value {
            toml::Value::Integer(number) => toml::Value::String(number.to_string()),
            toml::Value::Boolean(truth) => toml::Value::String(truth.to_string()),
            other => other,
        };
        let table: toml::Table = table.into_iter().map(|(name, value)| (name, as_text(value))).collect();
        let file: Self = toml::Value::Table(table)
            .try_into()
            .map_err(|error| format!("TRASTIENDA_AGENT_CONFIG {path}: {}", error.message()))?;
        Ok(self.or(file))
    }

    fn or(&self, file: Self) -> Self {
        let pick =
            |own: &Option<String>, file: Option<String>| given(own.as_ref()).map(str::to_owned).or(file);
        Self {
            config: self.config.clone(),
            hub_url: pick(&self.hub_url, file.hub_url),
            // One of the two replaces either.
            api_key: pick(
                &self.api_key,
                file.api_key.filter(|_| given(self.api_key_file.as_ref()).is_none()),
            ),
            api_key_file: pick(
                &self.api_key_file,
                file.api_key_file.filter(|_| given(self.api_key.as_ref()).is_none()),
            ),
            socket: pick(&self.socket, file.socket),
            agent_listen: pick(&self.agent_listen, file.agent_listen),
            agent_app_url: pick(&self.agent_app_url, file.agent_app_url),
            agent_data_dir: pick(&self.agent_data_dir, file.agent_data_dir),
            durability: pick(&self.durability, file.durability),
            buffer_max_bytes: pick(&self.buffer_max_bytes, file.buffer_max_bytes),
            buffer_max_rows: pick(&self.buffer_max_rows, file.buffer_max_rows),
            hub_allow_http: pick(&self.hub_allow_http, file.hub_allow_http),
            hub_ca_file: pick(&self.hub_ca_file, file.hub_ca_file),
            socket_mode: pick(&self.socket_mode, file.socket_mode),
            socket_owner: pick(&self.socket_owner, file.socket_owner),
            socket_group: pick(&self.socket_group, file.socket_group),
            buffer_min_free: pick(&self.buffer_min_free, file.buffer_min_free),
            buffer_max_age: pick(&self.buffer_max_age, file.buffer_max_age),
            agent_grace: pick(&self.agent_grace, file.agent_grace),
        }
    }
}
