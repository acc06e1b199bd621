//! A process that ends with the stack, however the stack ends.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::Directory;

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(30);

/// A command that ends when we do, also when we are killed: the kernel sends it SIGTERM when the thread that started it is
/// gone. (By a program of util-linux, since between `fork` and `exec` only unsafe code could ask for it.)
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// A running process, its output in a file. It leads a group of its own: its workers end with it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Option<u32>,
    log: PathBuf,
}

impl Process {
    /// Starts a command whose output goes to `NAME.log`, appended to what an earlier one of that name wrote.
    pub fn spawn(directory: &Directory, name: &str, command: &mut Command) -> anyhow::Result<Self> {
        Self::spawn_at(name, command, directory.path(&format!("{name}.log")))
    }

    /// The same, with its output in another file.
    pub fn spawn_at(name: &str, command: &mut Command, log: PathBuf) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), group: child.id(), child, log })
    }

    /// Starts a command that says on one line of its standard output that it is ready, and gives that line.
    pub async fn spawn_announced(
        directory: &Directory,
        name: &str,
        command: &mut Command,
    ) -> anyhow::Result<(Self, String)> {
        let log = directory.path(&format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let output = child.stdout.take().context("no standard output")?;
        let mut process = Self { name: name.to_owned(), group: child.id(), child, log };
        let line = process.first_line(output).await?;
        Ok((process, line))
    }

    async fn first_line(&mut self, output: ChildStdout) -> anyhow::Result<String> {
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(GRACE, lines.next_line()).await;
        match line {
            Ok(Ok(Some(line))) => {
                // Whatever it says later is read, so that it never blocks.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Ok(line)
            }
            _ => bail!("{} did not say that it is ready:\n{}", self.name, self.log_tail()),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fails if it has ended by itself.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, self.log_tail()),
            None => Ok(()),
        }
    }

    /// Kills it as a power cut would: no signal handler runs.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            signal("TERM", &pid.to_string());
        }
        match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(_) => bail!("{} did not end well:\n{}", self.name, self.log_tail()),
            Err(_) => bail!("{} did not end after SIGTERM:\n{}", self.name, self.log_tail()),
        }
    }

    /// The end of what it wrote.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(25).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            signal("KILL", &format!("-{group}"));
        }
    }
}

/// Sends a signal to a process, or to a group when the number has a minus. std has no signals, the shell has. What is gone
/// already is as it should be.
pub(crate) fn signal(name: &str, target: &str) {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "kill -s \"$0\" -- \"$1\"", name, target]);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
