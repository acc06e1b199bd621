//! A stack ends with whoever started it, also when that is killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use e2e::{processes_of, until};

#[tokio::test]
async fn a_killed_demonstration_leaves_nothing_running() -> anyhow::Result<()> {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo")).arg("--stay").stdout(Stdio::piped()).spawn()?;
    let output = demo.stdout.take().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    let logs = lines
        .find_map(|line| line.ok().filter(|line| line.contains("*.log")))
        .context("it did not say where its logs are")?;
    let pattern = Path::new(logs.split_whitespace().last().unwrap_or_default());
    let directory = pattern.parent().context("no directory")?.to_path_buf();
    let name = directory.to_string_lossy().into_owned();
    assert!(name.starts_with("/tmp/tt-"), "{logs}");
    // Hub, PostgreSQL, agent, two shops with their workers.
    let running = processes_of(&name)?;
    assert!(running.len() > 10, "{running:?}");

    demo.kill()?;
    demo.wait()?;
    until("everything has ended", async || match processes_of(&name)?.as_slice() {
        [] => Ok(Some(())),
        left => bail!("still there: {}", left.join(", ")),
    })
    .await?;
    Ok(std::fs::remove_dir_all(directory)?)
}
