//! A PostgreSQL that several hubs share, on a port of its own, so that something may stand between.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::process::Command;

use crate::process::signal;
use crate::{Directory, Process, free_port, until};

/// The server and a way to look into it.
#[derive(Debug)]
pub struct Postgres {
    /// Its port on loopback.
    pub port: u16,
    /// Connections of the tests' own.
    pub pool: PgPool,
    home: PathBuf,
    is_durable: bool,
    process: Option<Process>,
}

impl Postgres {
    /// Starts one with an empty database. PostgreSQL refuses root, so as root it runs as the user `postgres`.
    pub async fn start(directory: &Directory) -> anyhow::Result<Self> {
        Self::start_as(directory, false).await
    }

    /// Starts one whose commits outlive a power cut, for comparisons.
    pub async fn start_durable(directory: &Directory) -> anyhow::Result<Self> {
        Self::start_as(directory, true).await
    }

    async fn start_as(directory: &Directory, is_durable: bool) -> anyhow::Result<Self> {
        let programs = programs()?;
        let home = directory.path("postgres");
        std::fs::create_dir(&home)?;
        let user = unprivileged_user()?;
        if let Some((uid, gid)) = user {
            chown(&home, Some(uid), Some(gid))?;
        }
        let data = home.join("data");
        let made = command(&programs.join("initdb"), user)
            .args(["-U", "postgres", "-A", "trust", "--no-sync", "-D"])
            .arg(&data)
            .current_dir("/")
            .output()
            .await?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let pool = PgPoolOptions::new().max_connections(2).connect_lazy(&url)?;
        let mut this = Self { port, pool, home, is_durable, process: None };
        this.restart(directory).await?;
        Ok(this)
    }

    /// Starts it again on the same data.
    pub async fn restart(&mut self, directory: &Directory) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "PostgreSQL runs already");
        let mut server = command(&programs()?.join("postgres"), unprivileged_user()?);
        server.arg("-D").arg(self.home.join("data")).args(["-p", &self.port.to_string(), "-k"]);
        server.arg(&self.home).current_dir("/");
        server.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=150"]);
        if !self.is_durable {
            // Nothing in a test has to outlive a power cut.
            server.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        let mut process = Process::spawn(directory, "postgres", &mut server)?;
        until("PostgreSQL answers", async || {
            process.check_alive()?;
            Ok(Some(sqlx::query("select").execute(&self.pool).await?))
        })
        .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it and everything that it has started, without warning.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let process = self.process.take().context("PostgreSQL does not run")?;
        let parent = process.pid().context("PostgreSQL has ended")?;
        let children = children_of(parent)?;
        process.kill().await?;
        // Those that have not seen it yet.
        for child in &children {
            signal("KILL", &child.to_string());
        }
        until("PostgreSQL's processes are gone", async || {
            Ok(children.iter().all(|child| !is_running(*child)).then_some(()))
        })
        .await
    }

    /// The database's address, through another port or its own.
    pub fn url(&self, port: Option<u16>) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", port.unwrap_or(self.port))
    }

    /// One number.
    pub async fn count(&self, query: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }

    /// A column of texts.
    pub async fn texts(&self, query: &'static str) -> anyhow::Result<Vec<String>> {
        Ok(sqlx::query_scalar(query).fetch_all(&self.pool).await?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(pid) = self.process.as_ref().and_then(Process::pid) else { return };
        signal("INT", &pid.to_string());
        // It writes into the directory that is deleted next.
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_running(pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether a process is there and more than a name that waits to be collected.
fn is_running(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The processes that a process has started.
fn children_of(parent: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let about = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name, in brackets, may hold anything; after it come the state and the parent.
        let mut fields = about.rsplit(')').next().unwrap_or_default().split_whitespace();
        if fields.nth(1).and_then(|field| field.parse().ok()) == Some(parent) {
            children.push(pid);
        }
    }
    Ok(children)
}

/// A command that ends when we do, as PostgreSQL likes it: SIGINT cuts the clients off.
fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--pdeathsig", "INT"]);
    if let Some((uid, gid)) = user {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
    }
    command.arg("--").arg(program);
    command
}

/// The user `postgres`, when we are root.
fn unprivileged_user() -> anyhow::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line =
        users.lines().find(|line| line.starts_with("postgres:")).context("there is no user postgres")?;
    let mut fields = line.split(':').skip(2).map(str::parse);
    let (Some(uid), Some(gid)) = (fields.next(), fields.next()) else { anyhow::bail!("odd: {line}") };
    Ok(Some((uid?, gid?)))
}

/// Where the newest installed PostgreSQL has its programs.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.flatten().map(|entry| entry.path()).max_by_key(version);
    Ok(newest.context("PostgreSQL is not installed")?.join("bin"))
}
