//! What a shop's operator does with the program: units, reloads, the queue, a full disk.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Program, accept};
use crate::support::{Client, StubHub, TestAgent, eventually, key};

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_hears_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let hub = StubHub::away().await;
    let program = Program::of(&hub);
    let path = program.directory().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let environment = [("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "100000".to_owned())];
    let mut running = program.run_with(&environment).await;
    let hear = || {
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard).unwrap();
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!((hear(), hear()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    running.end();
    let last = std::iter::repeat_with(hear).find(|heard| heard != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_counts_after_sighup_and_a_mistake_changes_nothing() {
    let hub = StubHub::start().await;
    let program = Program::of(&hub);
    let file = program.directory().join("agent.toml");
    let write = |key: &str| std::fs::write(&file, format!("api_key = \"{key}\"\n")).unwrap();
    write(hub.key().expose());
    let environment =
        [("TRASTIENDA_API_KEY", String::new()), ("TRASTIENDA_AGENT_CONFIG", file.display().to_string())];
    let running = program.run_with(&environment).await;
    let hub_is = async |wanted: &str| {
        let status = Client::socket(&program.socket()).await.get("/agent/status").await.json();
        (status["hub"] == wanted).then_some(())
    };
    eventually("the first key is taken", || hub_is("up")).await;
    let other = key();
    hub.rotate(Some(other.clone()));
    accept(&program.socket(), 1).await;
    eventually("the old key is refused", || hub_is("unauthorized")).await;
    write("no-key-at-all");
    signal("-HUP", running.pid());
    accept(&program.socket(), 2).await;
    write(other.expose());
    signal("-HUP", running.pid());
    eventually("the new key is taken", || hub_is("up")).await;
    eventually("what was kept arrives", async || (hub.taken().len() == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_over_what_it_can_in_its_grace_time() {
    const CALLS: usize = 2_500;
    let mut hub = StubHub::away().await;
    let program = Program::of(&hub);
    let mut running = program.run_with(&[("TRASTIENDA_DURABILITY", "process".to_owned())]).await;
    // More than the lanes have on their way at once.
    let mut client = Client::socket(&program.socket()).await;
    for number in 0..CALLS {
        let body = json!({"type": "stock.counted", "data": {"number": number}});
        assert_eq!(client.post("/v1/events", &[], &body).await.status, 202);
    }
    hub.come().await;
    eventually("the hub is back", async || {
        let status = Client::socket(&program.socket()).await.get("/agent/status").await.json();
        (status["hub"] == "up").then_some(())
    })
    .await;
    running.end();
    assert_eq!(hub.taken().len(), CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_refuses_new_calls_keeps_the_old_and_recovers_by_itself() {
    let mut hub = StubHub::away().await;
    let program = Program::of(&hub);
    let running = program.run_ignoring_xfsz().await;
    accept(&program.socket(), 1).await;
    let limit = |bytes: &str| {
        let pid = running.pid().to_string();
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status();
        assert!(done.unwrap().success());
    };
    limit("4096:unlimited");
    let body = json!({"type": "stock.low", "data": {}});
    let refused = eventually("the disk takes no more", async || {
        let answer = Client::socket(&program.socket()).await.post("/v1/events", &[], &body).await;
        (answer.status != 202).then_some(answer)
    })
    .await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (507, "buffer_full"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("disk"), "{}", refused.text());
    limit("unlimited:unlimited");
    accept(&program.socket(), 2).await;
    let kept = Client::socket(&program.socket()).await.get("/agent/status").await.json();
    hub.come().await;
    eventually("everything arrives", async || (hub.taken().len() as u64 >= 2).then_some(())).await;
    assert!(kept["buffered"].as_u64() >= Some(2), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_looked_at_and_decided_about_with_or_without_a_running_agent() {
    let hub = StubHub::start().await;
    hub.judge(|operation| {
        if operation.body["data"]["number"] == 1 {
            (422, json!({"code": "validation_failed"}))
        } else {
            (202, json!({}))
        }
    });
    let program = Program::of(&hub);
    let mut running = program.run().await;
    let dead = accept(&program.socket(), 1).await;
    eventually("it is refused", async || {
        let status = Client::socket(&program.socket()).await.get("/agent/status").await.json();
        (status["dead_letters"] == 1).then_some(())
    })
    .await;
    for with_agent in [true, false] {
        if !with_agent {
            running.end();
        }
        let listed = program.says("queue list dead --json").await;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!((&listed["id"], &listed["state"]), (&json!(dead), &json!("refused")));
        assert!(program.says("queue list").await.contains("rechazada"));
        let shown: Value = serde_json::from_str(&program.says(&format!("queue show {dead}")).await).unwrap();
        assert_eq!(
            (&shown["body"]["data"]["number"], &shown["problem"]["code"]),
            (&json!(1), &json!("validation_failed"))
        );
        let exported = program.says("queue export").await;
        assert_eq!(exported.lines().count(), 1);
        assert!(program.says("queue verify").await.starts_with("1 "));
        assert!(program.says("queue retry --all").await.starts_with("1 "));
        if with_agent {
            eventually("it is refused again", async || {
                let status = Client::socket(&program.socket()).await.get("/agent/status").await.json();
                (status["dead_letters"] == 1 && status["buffered"] == 0).then_some(())
            })
            .await;
        }
    }
    assert!(program.says("queue list").await.contains("en espera"));
    assert!(!program.ask(&format!("queue discard {dead}")).await.status.success(), "it waits again");
}

#[test]
fn the_units_are_what_systemd_understands() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd");
    let directory = tempfile::tempdir().unwrap();
    let mut copies = Vec::new();
    for name in ["trastienda-agent@.service", "trastienda-agent@.socket"] {
        let text = std::fs::read_to_string(units.join(name)).unwrap();
        // The program is not installed where the tests run.
        let copy = directory.path().join(name);
        std::fs::write(&copy, text.replace("/usr/local/bin/trastienda-agent", "/bin/true")).unwrap();
        copies.push(copy);
    }
    let service = std::fs::read_to_string(&copies[0]).unwrap();
    for wanted in
        ["Type=notify", "WatchdogSec=", "NoNewPrivileges=yes", "ProtectSystem=strict", "LoadCredential=key:"]
    {
        assert!(service.contains(wanted), "{wanted}");
    }
    // Every variable that the unit sets is one that the program knows.
    let command = trastienda_agent::command();
    let run = command.find_subcommand("run").unwrap();
    for line in service.lines().filter_map(|line| line.strip_prefix("Environment=")) {
        let name = line.split('=').next().unwrap();
        assert!(
            run.get_arguments().any(|argument| argument.get_env().is_some_and(|env| env == name)),
            "{name}"
        );
    }
    let Ok(checked) = Command::new("systemd-analyze").arg("verify").args(&copies).output() else { return };
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && !said.contains("trastienda-agent@"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_metrics_are_those_that_the_agent_tells() {
    let hub = StubHub::start().await;
    let agent = TestAgent::start(&hub).await;
    let told = agent.client().await.get("/agent/metrics").await.text();
    let told: BTreeSet<_> = told
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"));
    let named = page.split('`').filter(|code| code.starts_with("trastienda_agent_")).collect();
    assert_eq!(told, named, "left: told, right: in docs/metrics.md");
}
