//! A sample of `make chaos`, by a seed, and whether what it is played on can show a loss at all.

use std::process::Command;

use e2e::{Agent, Dice, Directory, Hub, Layer, PowerCut};
use serde_json::json;

#[test]
fn a_sample_of_every_misfortune_breaks_no_promise() -> anyhow::Result<()> {
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_chaos"));
    let output = chaos.args(["--seed", "20261124", "--steps", "20"]).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // With twenty steps each of them happened. Only a disk cannot be filled without root; that is said.
    for row in told.lines().filter(|line| line.starts_with("| **")) {
        let times = row.split('|').nth(2).unwrap().trim();
        let ran = times.parse::<u64>().is_ok_and(|times| times > 0);
        assert!(ran || (row.contains("disk full") && told.contains("NOT RUN: ")), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_power_cut_takes_what_only_the_process_tier_acknowledged() -> anyhow::Result<()> {
    for (tier, all) in [("process", false), ("disk", true)] {
        let directory = Directory::new()?;
        let mut hub = Hub::start_alone(&directory).await?;
        let project = hub.create_project("Remojo", "remojo.example.com").await?;
        hub.kill().await?;
        let files = directory.path("buffer");
        std::fs::create_dir(&files)?;
        let layer = Layer::new(&directory.path("layer"), &files).await?;
        let mut settings = layer.environment();
        settings.push(("TRASTIENDA_AGENT_DATA_DIR", files.display().to_string()));
        settings.push(("TRASTIENDA_DURABILITY", tier.to_owned()));
        let mut agent = Agent::start_with(&directory, "cut", &hub.url, &project, settings).await?;
        for number in 0..20 {
            let body = json!({"type": "stock.counted", "data": {"number": number}});
            assert_eq!(agent.post("/v1/events", &body).await?.0, 202);
        }
        agent.kill().await?;
        let loss = layer.cut_power(PowerCut::Clean, &mut Dice::new(1))?;
        agent.restart(&directory).await?;
        let left = agent.status().await?["buffered"].as_u64();
        assert_eq!(left == Some(20), all, "{left:?} of 20 are left in the tier {tier}, {loss:?}");
        agent.stop().await?;
    }
    Ok(())
}
