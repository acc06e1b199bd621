//! The agent as the program that it is: killed, stopped, asked.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Client, StubHub, eventually};

struct Program {
    directory: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Program {
    fn of(hub: &StubHub) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let settings = vec![
            ("TRASTIENDA_HUB_URL", hub.url().to_string()),
            ("TRASTIENDA_API_KEY", hub.key().expose().to_owned()),
            ("TRASTIENDA_SOCKET", path("agent.sock")),
            ("TRASTIENDA_AGENT_DATA_DIR", path("data")),
            ("TRASTIENDA_LOG", "trace".to_owned()),
        ];
        Self { directory, settings }
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trastienda-agent"));
        command.arg(subcommand).env_clear().envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    async fn run(&self) -> Running {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .unwrap();
        let child = self.command("run").stdout(Stdio::null()).stderr(log).spawn().unwrap();
        eventually("the agent answers", async || {
            let output = self.command("healthcheck").output().unwrap();
            output.status.success().then_some(())
        })
        .await;
        Running(child)
    }

    async fn ask(&self, subcommand: &'static str) -> Output {
        let mut command = self.command(subcommand);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn accept(socket: &Path, number: usize) -> String {
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
    let status = program.ask("status").await;
    assert!(status.status.success());
    assert!(String::from_utf8_lossy(&status.stdout).contains('1'));
    Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap();
    assert!(running.0.wait().unwrap().success());
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
