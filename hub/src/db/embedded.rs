//! A PostgreSQL of the hub's own, for those who have none.
//!
//! Uses the installed binaries, keeps a private cluster under the data directory, reachable by its Unix
//! socket only, and runs as an unprivileged user when the hub was started as root (PostgreSQL refuses root).
//! A server that a killed hub left behind is taken over, not started twice.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::process::Command;

use crate::seal::Sealer;

const USER: &str = "trastienda";
const DATABASE: &str = "trastienda";
const MASTER_KEY: &str = "master.key";
/// A Unix socket's path must fit into 107 bytes; PostgreSQL adds its own file name.
const SOCKET_DIRECTORY_MAX: usize = 80;
/// How long the server may take to see that a connection is closed.
const LEAVING: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running private cluster.
#[derive(Debug, Clone)]
pub struct Embedded {
    programs: PathBuf,
    cluster: PathBuf,
    sockets: PathBuf,
    owner: Option<Owner>,
    started_here: bool,
}

#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Embedded {
    /// Starts the cluster under `data_dir`, making it first if it is not there.
    pub async fn start(data_dir: &Path) -> anyhow::Result<Self> {
        let programs = find_programs(&["initdb", "pg_ctl", "postgres"])?;
        tokio::fs::create_dir_all(data_dir)
            .await
            .with_context(|| format!("cannot make {}", data_dir.display()))?;
        let data_dir = &data_dir.canonicalize()?;
        let owner = if is_root()? { Some(unprivileged_user()?) } else { None };
        let home = data_dir.join("postgresql");
        let cluster = home.join("data");
        let sockets = socket_directory(&home);
        for directory in [&home, &sockets] {
            tokio::fs::create_dir_all(directory).await?;
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
            if let Some(owner) = owner {
                std::os::unix::fs::chown(directory, Some(owner.uid), Some(owner.gid))?;
            }
        }
        let mut embedded = Self { programs, cluster, sockets, owner, started_here: false };
        if !embedded.cluster.join("PG_VERSION").exists() {
            tracing::info!(directory = %embedded.cluster.display(), "making a PostgreSQL cluster");
            embedded.initialise().await?;
        }
        if !embedded.is_running().await? {
            embedded.start_server().await?;
            embedded.started_here = true;
        }
        embedded.create_database().await?;
        Ok(embedded)
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.sockets).username(USER).database(DATABASE)
    }

    /// The same as an address for PostgreSQL's own programs.
    pub(crate) fn address(&self) -> String {
        let directory = percent_encoding::utf8_percent_encode(
            &self.sockets.to_string_lossy(),
            percent_encoding::NON_ALPHANUMERIC,
        )
        .to_string();
        format!("postgresql:///{DATABASE}?host={directory}&user={USER}")
    }

    /// Stops the server if this program started it (or `also_adopted`) and nobody else is connected, nor stays so: the
    /// server takes a moment to see that this program's own connections are closed.
    pub(super) async fn stop_if_alone(self, also_adopted: bool) {
        if !self.started_here && !also_adopted {
            return;
        }
        match self.count_others().await {
            Ok(0) => {}
            Ok(others) => {
                tracing::debug!(others, "others use the embedded PostgreSQL: it is left running");
                return;
            }
            Err(error) => tracing::warn!(%error, "cannot see who uses the embedded PostgreSQL: stopping it"),
        }
        let cluster = self.cluster.to_string_lossy().into_owned();
        match self.run("pg_ctl", &["-D", &cluster, "-m", "fast", "-w", "stop"]).await {
            Ok(output) if output.status.success() => {}
            Ok(output) => tracing::error!(reason = %text(&output), "the embedded PostgreSQL did not stop"),
            Err(error) => tracing::error!(%error, "the embedded PostgreSQL did not stop"),
        }
    }

    async fn initialise(&self) -> anyhow::Result<()> {
        let cluster = self.cluster.to_string_lossy().into_owned();
        // Only the owner can reach the socket's directory, so the socket needs no password.
        let arguments = [
            "-D",
            &cluster,
            "-U",
            USER,
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
        ];
        let output = self.run("initdb", &arguments).await?;
        if output.status.success() {
            return Ok(());
        }
        bail!(
            "initdb failed: {}\nThe directory must be reachable by the user that runs PostgreSQL: choose another TRASTIENDA_DATA_DIR, or set DATABASE_URL",
            text(&output)
        )
    }

    async fn is_running(&self) -> anyhow::Result<bool> {
        let cluster = self.cluster.to_string_lossy().into_owned();
        Ok(self.run("pg_ctl", &["-D", &cluster, "status"]).await?.status.success())
    }

    async fn start_server(&self) -> anyhow::Result<()> {
        let cluster = self.cluster.to_string_lossy().into_owned();
        let log = self.cluster.join("server.log").to_string_lossy().into_owned();
        let options =
            format!("-c listen_addresses='' -c unix_socket_directories='{}'", self.sockets.display());
        let output = self
            .run("pg_ctl", &["-D", &cluster, "-l", &log, "-w", "-t", "60", "-o", &options, "start"])
            .await?;
        if output.status.success() {
            return Ok(());
        }
        let log = tokio::fs::read_to_string(&log).await.unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(5).collect();
        bail!(
            "PostgreSQL did not start: {}\n{}",
            text(&output),
            tail.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }

    async fn create_database(&self) -> anyhow::Result<()> {
        let mut connection = self.options().database("postgres").connect().await?;
        let exists = sqlx::query("select from pg_database where datname = $1")
            .bind(DATABASE)
            .fetch_optional(&mut connection)
            .await?
            .is_some();
        if !exists {
            sqlx::raw_sql("create database trastienda").execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// Connections other than this one that are there for longer than [`LEAVING`].
    async fn count_others(&self) -> sqlx::Result<i64> {
        let mut connection = self.options().connect().await?;
        let deadline = Instant::now() + LEAVING;
        loop {
            let others = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
            );
            let others: i64 = others.fetch_one(&mut connection).await?;
            if others == 0 || Instant::now() >= deadline {
                connection.close().await?;
                return Ok(others);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        for variable in trastienda_protocol::systemd::VARIABLES {
            command.env_remove(variable);
        }
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        // The server inherits pg_ctl's output; a pipe would keep us waiting for as long as it runs.
        let output_file = tempfile_for(program)?;
        command.stdout(output_file.try_clone()?).stderr(output_file.try_clone()?);
        let status = command.status().await.with_context(|| format!("cannot run {program}"))?;
        Ok(Output { status, stdout: read_back(output_file)?, stderr: Vec::new() })
    }
}

fn tempfile_for(program: &str) -> anyhow::Result<std::fs::File> {
    tempfile::tempfile().with_context(|| format!("cannot make a file for {program}'s output"))
}

fn read_back(mut file: std::fs::File) -> anyhow::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The master key that goes with the embedded cluster; `None` before it was made.
pub(super) fn find_master_key(data_dir: &Path) -> anyhow::Result<Option<SecretString>> {
    let path = data_dir.join(MASTER_KEY);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(SecretString::from(text.trim()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes it, at the first start.
pub(super) async fn make_master_key(data_dir: &Path) -> anyhow::Result<SecretString> {
    let path = data_dir.join(MASTER_KEY);
    let key = Sealer::generate_master_key()?;
    let mut file = tokio::fs::OpenOptions::new();
    let mut file = file.write(true).create_new(true).mode(0o600).open(&path).await?;
    tokio::io::AsyncWriteExt::write_all(&mut file, format!("{}\n", key.expose_secret()).as_bytes()).await?;
    file.sync_all().await?;
    tracing::info!(file = %path.display(), "made a master key: back it up, the secrets in the database open with nothing else");
    Ok(key)
}

fn socket_directory(home: &Path) -> PathBuf {
    let preferred = home.join("socket");
    if preferred.as_os_str().len() <= SOCKET_DIRECTORY_MAX {
        return preferred;
    }
    let digest = trastienda_protocol::mac::hmac_sha256(b"socket", &[home.as_os_str().as_encoded_bytes()]);
    PathBuf::from(format!("/tmp/trastienda-{}", hex::encode(&digest[..8])))
}

/// Finds PostgreSQL's programs: on the `PATH`, then where Debian keeps them, the newest first.
pub(crate) fn find_programs(names: &[&str]) -> anyhow::Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "PATH is where programs are looked for, not a setting")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| {
                    Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
                })
                .collect()
        })
        .unwrap_or_default();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    directories.extend(versions.into_iter().map(|(_, directory)| directory));
    directories
        .into_iter()
        .find(|directory| names.iter().all(|program| directory.join(program).exists()))
        .with_context(|| {
            let names = names.join(", ");
            format!("no PostgreSQL is installed ({names}): install Debian's package `postgresql`, or set DATABASE_URL")
        })
}

fn is_root() -> std::io::Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// Whom PostgreSQL runs as when the hub is root: Debian's `postgres` user, or `nobody`.
fn unprivileged_user() -> anyhow::Result<Owner> {
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let find = |name: &str| {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&name)).then_some(())?;
            Some(Owner { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .context("PostgreSQL refuses to run as root and there is no user `postgres` or `nobody`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_leaving_does_not_keep_it_running_and_who_stays_does() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        let embedded = Embedded::start(directory.path()).await?;

        let mut other = embedded.options().connect().await?;
        embedded.clone().stop_if_alone(true).await;
        assert!(embedded.is_running().await?, "somebody used it");

        // It closes once it is counted.
        let task = tokio::spawn(async move {
            let counting = "select exists(select from pg_stat_activity
                            where backend_type = 'client backend' and pid <> pg_backend_pid())";
            while !sqlx::query_scalar::<_, bool>(counting).fetch_one(&mut other).await? {
                tokio::task::yield_now().await;
            }
            other.close().await
        });
        embedded.clone().stop_if_alone(true).await;
        task.await??;
        assert!(!embedded.is_running().await?, "nobody used it any more");
        Ok(())
    }
}
