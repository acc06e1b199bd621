//! The dashboard in a real browser: every page and what it is for, by keyboard too; nothing on the console, nothing that a
//! page's policy refuses, nothing that axe finds, in both themes and on a phone.

use anyhow::{Context as _, ensure};
use e2e::{Ground, command, root};

#[tokio::test]
async fn every_page_does_its_work_in_a_browser_and_nothing_is_wrong_with_it() -> anyhow::Result<()> {
    let installed = root().join(".browser");
    ensure!(
        installed.join("pins").exists(),
        "what drives the browser is not installed: run scripts/setup.sh"
    );
    let ground = Ground::start().await?;
    let project = ground.hub.create_project("Mate y Compañía", "mates.example.com").await?;
    ground.hub.set_credentials(&project, &ground.simulator).await?;
    let mut node = command("/usr/bin/env");
    node.arg("node").arg(root().join("tests/browser/dashboard.mjs"));
    node.args([&ground.hub.url, ground.hub.admin_token(), &project.id, &project.key]);
    node.arg(ground.directory.path("browser"));
    let output = node.output().await.context("node")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.starts_with("ok: "),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    ground.hub.stop().await
}
