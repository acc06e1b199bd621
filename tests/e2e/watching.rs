//! The rules for Prometheus, checked and tested by its own tool.

use anyhow::ensure;
use e2e::{command, root};

#[tokio::test]
async fn prometheus_takes_the_rules_and_they_fire_when_they_should() -> anyhow::Result<()> {
    let promtool = root().join(".promtool/promtool");
    ensure!(promtool.exists(), "promtool is not there: run scripts/setup.sh");
    let rules = root().join("deploy/prometheus");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let output = command(&promtool).args(arguments).current_dir(&rules).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
