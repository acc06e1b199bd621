//! The units for systemd: it takes them, finds them tight, and the programs speak to it as the units say.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Directory, Door, Hub, Process, Project, command, program, root, until};

/// What `systemd-analyze security` may find at most, in tenths of its points of ten. It finds 12 and 13.
const EXPOSURE_MAX: &str = "--threshold=15";

/// The units, with programs that are there: systemd looks whether they are.
fn copied(directory: &Directory) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("deploy/systemd"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !["service", "socket", "timer"].iter().any(|kind| name.ends_with(&format!(".{kind}"))) {
            continue;
        }
        let mut unit = std::fs::read_to_string(entry.path())?;
        for built in ["trastienda-hub", "trastienda-agent"] {
            unit = unit.replace(&format!("/usr/local/bin/{built}"), &program(built)?.display().to_string());
        }
        std::fs::write(directory.path(&name), unit)?;
        names.push(name);
    }
    names.sort();
    Ok(names)
}

async fn analyze(directory: &Directory, arguments: &[&str]) -> anyhow::Result<Output> {
    let output = command("systemd-analyze").args(arguments).current_dir(directory.path("")).output().await;
    output.context("systemd is not installed: run scripts/setup.sh")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

#[tokio::test]
async fn systemd_takes_the_units_without_a_word() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let units = copied(&directory)?;
    ensure!(units.len() >= 3, "{units:?}");
    // A template is looked at by one of its instances.
    let paths = units.iter().map(|unit| format!("./{}", unit.replace("@.", "@mates."))).collect::<Vec<_>>();
    for (unit, path) in units.iter().zip(&paths).filter(|(unit, _)| unit.contains("@.")) {
        std::fs::copy(directory.path(unit), directory.path(path))?;
    }
    let arguments = ["verify"].into_iter().chain(paths.iter().map(String::as_str)).collect::<Vec<_>>();
    let output = analyze(&directory, &arguments).await?;
    ensure!(output.status.success() && said(&output).trim().is_empty(), "{}", said(&output));
    // It does find what is wrong.
    let hub = std::fs::read_to_string(directory.path("trastienda-hub.service"))?;
    let wrong = hub.replace("ProtectSystem=strict", "ProtectSystem=rather");
    std::fs::write(directory.path("trastienda-hub.service"), wrong)?;
    let output = analyze(&directory, &["verify", "./trastienda-hub.service"]).await?;
    ensure!(said(&output).contains("rather"), "{}", said(&output));
    Ok(())
}

#[tokio::test]
async fn the_services_are_as_tight_as_they_were() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let units = copied(&directory)?;
    for unit in units.iter().filter(|unit| unit.ends_with(".service")) {
        let path = format!("./{unit}");
        let output = analyze(&directory, &["security", "--offline=true", EXPOSURE_MAX, &path]).await?;
        ensure!(output.status.success(), "{unit}: {}", said(&output));
    }
    Ok(())
}

#[tokio::test]
async fn the_hub_tells_systemd_that_it_is_ready_lives_and_stops() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let path = directory.path("notify");
    let manager = UnixDatagram::bind(&path)?;
    manager.set_read_timeout(Some(Duration::from_mins(1)))?;
    let hear = || -> anyhow::Result<String> {
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard)?;
        Ok(String::from_utf8_lossy(&heard[..length]).into_owned())
    };
    let hub = Hub::start_watched(&directory, &path, Duration::from_millis(200)).await?;
    // Once: the PostgreSQL that it has started says nothing in its place.
    ensure!(hear()? == "READY=1");
    for _ in 0..3 {
        ensure!(hear()? == "WATCHDOG=1");
    }
    hub.stop().await?;
    loop {
        match hear()?.as_str() {
            "WATCHDOG=1" => {}
            "STOPPING=1" => return Ok(()),
            other => anyhow::bail!("not expected: {other}"),
        }
    }
}

/// The socket is systemd's: it is there before the agent, and stays when the agent ends.
#[tokio::test]
async fn an_agent_takes_the_socket_that_systemd_opened() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let hub = Hub::start_alone(&directory).await?;
    let project = hub.create_project("Mate y Compañía", "mates.example.com").await?;
    let socket = directory.path("shop.sock");
    let mut activated = activate(&directory, &socket, &hub, &project)?;
    until("systemd listens", async || Ok(socket.exists().then_some(()))).await?;
    let door = Door::new(&socket)?;
    // This call is what starts the agent.
    let body = serde_json::json!({"type": "stock.counted", "data": {"sku": "mate"}});
    let (status, event) = until("the agent takes a call", async || {
        activated.check_alive()?;
        Ok(Some(door.post("/v1/events", &body).await?))
    })
    .await?;
    ensure!(status == 202, "{event}");
    let id = event["id"].as_str().context("no id")?;
    until("the event is at the hub", async || {
        let answer = hub.get(&project, &format!("/v1/events/{id}")).await?;
        Ok((answer["id"] == id).then_some(()))
    })
    .await?;
    ensure!(activated.log_tail().contains("activated=true"), "{}", activated.log_tail());
    activated.stop().await?;
    ensure!(socket.exists(), "the agent removed a socket that is not its own");
    hub.stop().await
}

fn activate(directory: &Directory, socket: &Path, hub: &Hub, project: &Project) -> anyhow::Result<Process> {
    let settings = [
        ("TRASTIENDA_HUB_URL", hub.url.clone()),
        ("TRASTIENDA_API_KEY", project.key.clone()),
        ("TRASTIENDA_SOCKET", socket.display().to_string()),
        ("TRASTIENDA_AGENT_DATA_DIR", directory.path("buffer").display().to_string()),
        ("TRASTIENDA_BUFFER_MIN_FREE", "0".to_owned()),
    ];
    let mut command = command("systemd-socket-activate");
    command.arg("--listen").arg(socket).env_clear().env("PATH", "/usr/bin:/bin");
    for (name, value) in settings {
        // It starts with an environment of its own.
        command.arg(format!("--setenv={name}={value}"));
    }
    command.arg(program("trastienda-agent")?).arg("run");
    Process::spawn(directory, "activated", &mut command)
        .context("systemd is not installed: run scripts/setup.sh")
}
