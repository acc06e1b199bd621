//! The agent as the program that it is: killed, stopped, asked.

use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use axum::http::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Client, StubHub, eventually};

pub(crate) struct Program {
    directory: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Program {
    pub(crate) fn of(hub: &StubHub) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let settings = vec![
            ("TRASTIENDA_HUB_URL", hub.url().to_string()),
            ("TRASTIENDA_API_KEY", hub.key().expose().to_owned()),
            ("TRASTIENDA_SOCKET", path("agent.sock")),
            ("TRASTIENDA_AGENT_DATA_DIR", path("data")),
            // What is tried must not depend on how full the machine's disk is.
            ("TRASTIENDA_BUFFER_MIN_FREE", "0".to_owned()),
            ("TRASTIENDA_LOG", "trace".to_owned()),
        ];
        Self { directory, settings }
    }

    /// Changes a setting, for every command from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl ToString) {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_string()));
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trastienda-agent"));
        command
            .args(subcommand.split(' '))
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn run(&self) -> Running {
        self.run_with(&[]).await
    }

    /// With more in its environment.
    pub(crate) async fn run_with(&self, environment: &[(&str, String)]) -> Running {
        let mut command = self.command("run");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        self.started(command).await
    }

    /// With `SIGXFSZ` ignored, so that a limit on the size of files is an error and not the end.
    pub(crate) async fn run_ignoring_xfsz(&self) -> Running {
        let inner = self.command("run");
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" run"]).arg(inner.get_program()).env_clear();
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        self.started(command).await
    }

    /// As systemd does that opened the socket itself.
    pub(crate) async fn run_activated(&self, listener: &UnixListener) -> Running {
        let inner = self.command("run");
        let mut command = Command::new("sh");
        // The number that the protocol begins with, for this very process.
        let handing = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" run";
        command.args(["-c", handing]).arg(inner.get_program()).env_clear();
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(OwnedFd::from(listener.try_clone().unwrap()));
        self.started(command).await
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    async fn started(&self, mut command: Command) -> Running {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        eventually("the agent answers", async || {
            let output = self.command("healthcheck").output().unwrap();
            output.status.success().then_some(())
        })
        .await;
        Running(child)
    }

    /// What a command prints that must succeed.
    pub(crate) async fn says(&self, subcommand: &str) -> String {
        let output = self.ask(subcommand).await;
        assert!(output.status.success(), "{subcommand}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) async fn ask(&self, subcommand: &str) -> Output {
        let mut command = self.command(subcommand);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

/// Kills the agent when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// As a service manager would.
    pub(crate) fn end(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
            assert!(self.0.wait().unwrap().success());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) async fn accept(socket: &Path, number: usize) -> String {
    let body = json!({"type": "stock.counted", "data": {"number": number}});
    let answer = Client::socket(socket).await.post("/v1/events", &[], &body).await;
    assert_eq!(answer.status, 202);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_acknowledged_is_sent_by_the_next() {
    let mut hub = StubHub::away().await;
    let program = Program::of(&hub);
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let running = program.run().await;
        for number in 0..5 {
            acknowledged.push(accept(&program.socket(), round * 5 + number).await);
        }
        drop(running);
    }
    let _running = program.run().await;
    hub.come().await;
    eventually("all arrive", async || (hub.taken().len() == acknowledged.len()).then_some(())).await;
    assert_eq!(hub.order(), acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_well_when_asked_to_and_tells_how_it_stands() {
    let hub = StubHub::away().await;
    let program = Program::of(&hub);
    let mut running = program.run().await;
    accept(&program.socket(), 1).await;
    let status = Client::socket(&program.socket()).await.get("/agent/status").await.json();
    let fields: Vec<_> = status.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["buffered", "dead_letters", "disk_bytes", "hub", "oldest_seconds", "version"]);
    assert_eq!((&status["buffered"], &status["hub"]), (&json!(1), &json!("down")));
    let said = program.ask("status --json").await;
    let overview: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&overview["buffered"], &overview["full_percent"]), (&json!(1), &json!(0)));
    let said = program.ask("status").await;
    assert!(String::from_utf8_lossy(&said.stdout).contains("En espera:         1 "));
    running.end();
    assert!(!program.ask("healthcheck").await.status.success());
    assert!(!program.socket().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_neither_in_the_buffer_nor_in_the_log() {
    let mut hub = StubHub::away().await;
    let program = Program::of(&hub);
    let running = program.run().await;
    let id = accept(&program.socket(), 1).await;
    hub.come().await;
    eventually("it arrives", async || hub.taken().contains_key(&id).then_some(())).await;
    drop(running);
    let secret = hub.key().secret().to_owned();
    let mut files = vec![program.directory.path().join("log")];
    files.extend(
        std::fs::read_dir(program.directory.path().join("data")).unwrap().map(|entry| entry.unwrap().path()),
    );
    assert!(files.len() >= 2);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the key is in {}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_passed_through_is_logged_under_the_request_s_id() {
    let hub = StubHub::away().await;
    let mut program = Program::of(&hub);
    program.set("TRASTIENDA_LOG_FORMAT", "json");
    let _running = program.run().await;
    let mut client = Client::socket(&program.socket()).await;
    let id = [("x-request-id", "asked-1")];
    client.send(Method::GET, "/v1/payments/pay_1", &id, "").await.unwrap();
    // One that goes another way: it is kept only when the caller does not wait.
    let id = [("x-request-id", "asked-2")];
    client.post("/v1/payments", &id, &json!({})).await;
    let log = program.log();
    let ids: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["message"] == "a call could not be passed through")
        .map(|line| line["span"]["request.id"].clone())
        .collect();
    assert_eq!(ids, ["asked-1", "asked-2"], "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_buffer_is_set_aside_and_the_agent_starts() {
    let hub = StubHub::away().await;
    let program = Program::of(&hub);
    drop(program.run().await);
    let data = program.directory.path().join("data");
    let database = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3")))
        .unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    std::fs::write(&database, vec![b'x'; 64 * 1024]).unwrap();
    let _running = program.run().await;
    accept(&program.socket(), 1).await;
    let kept = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap_or_default());
    assert!(kept.into_iter().any(|bytes| bytes.starts_with(b"xxxx")), "the damaged file is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_buffer_is_recovered_by_a_command_with_or_without_a_running_agent() {
    let mut hub = StubHub::away().await;
    let program = Program::of(&hub);
    let data = program.directory.path().join("data");
    let mut acknowledged = Vec::new();
    for with_a_running_agent in [false, true] {
        let mut running = program.run().await;
        acknowledged.push(accept(&program.socket(), acknowledged.len()).await);
        running.end();
        let file = std::fs::File::options().write(true).open(data.join("buffer.db")).unwrap();
        file.write_all_at(&[b'x'; 4_096], 0).unwrap();
        // The start sets it aside.
        let mut running = program.run().await;
        if !with_a_running_agent {
            running.end();
        }
        let said = program.ask("queue recover --json").await;
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let reports: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(reports[0]["recovered"], acknowledged.len());
        running.end();
    }
    assert_eq!(
        String::from_utf8_lossy(&program.ask("queue recover").await.stdout),
        "No hay bases dañadas.\n"
    );
    hub.come().await;
    let _running = program.run().await;
    eventually("all arrive", async || (hub.taken().len() == 2).then_some(())).await;
    assert_eq!(hub.order(), acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_while_it_was_killed_arrives() {
    const CALLERS: usize = 8;
    let mut hub = StubHub::away().await;
    let program = Program::of(&hub);
    let mut running = program.run().await;
    let mut callers = tokio::task::JoinSet::new();
    let (acknowledged, mut acknowledgements) = tokio::sync::mpsc::unbounded_channel();
    for caller in 0..CALLERS {
        let (socket, acknowledged) = (program.socket(), acknowledged.clone());
        callers.spawn(async move {
            let mut client = Client::socket(&socket).await;
            for number in 0.. {
                let body = json!({"type": "stock.counted", "data": {"caller": caller, "number": number}});
                // Ends when the agent is gone.
                let Ok(answer) = client.send(Method::POST, "/v1/events", &[], body.to_string()).await else {
                    return;
                };
                assert_eq!(answer.status, 202);
                acknowledged.send(answer.json()["id"].as_str().unwrap().to_owned()).unwrap();
            }
        });
    }
    drop(acknowledged);
    let mut ids = Vec::new();
    while ids.len() < 200 {
        ids.push(acknowledgements.recv().await.unwrap());
    }
    // In the middle of whatever it is doing.
    running.kill();
    callers.join_all().await;
    while let Some(id) = acknowledgements.recv().await {
        ids.push(id);
    }
    hub.come().await;
    let _running = program.run().await;
    eventually("all arrive", async || ids.iter().all(|id| hub.taken().contains_key(id)).then_some(())).await;
    assert!(hub.taken().values().all(|taken| taken.times == 1));
}

#[test]
fn every_mistake_of_the_configuration_has_a_line_that_names_its_variable() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trastienda-agent"));
    command
        .arg("run")
        .env_clear()
        .env("TRASTIENDA_HUB_URL", "http://hub.example.com")
        .env("TRASTIENDA_DURABILITY", "hope");
    let output = command.env("TRASTIENDA_BUFFER_MAX_ROWS", "many").output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for variable in
        ["TRASTIENDA_HUB_URL", "TRASTIENDA_API_KEY", "TRASTIENDA_DURABILITY", "TRASTIENDA_BUFFER_MAX_ROWS"]
    {
        assert!(text.lines().any(|line| line.contains(variable)), "{variable}: {text}");
    }
}
