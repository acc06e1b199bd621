//! Agents and extensions of two versions.

use anyhow::{Context as _, ensure};
use e2e::{Agent, Directory, Hub, Postgres, Project, Shop, Transport, free_port};
use serde_json::json;

use crate::{Build, say};

/// Calls that each version puts into a buffer.
const CALLS: usize = 300;

/// A buffer that one version has filled while no hub was there is gone on with by the other, and handed over to a hub of either.
pub(crate) async fn across_versions(
    directory: &Directory,
    postgres: &Postgres,
    hubs: [&Hub; 2],
    builds: [&Build; 2],
    project: &Project,
) -> anyhow::Result<()> {
    let ways =
        [(builds[0], builds[1], hubs[1]), (builds[0], builds[1], hubs[0]), (builds[1], builds[0], hubs[0])];
    let mut expected = 0;
    for (number, (before, after, hub)) in ways.into_iter().enumerate() {
        let away = format!("http://127.0.0.1:{}", free_port()?);
        let mut agent = Agent::new(directory, &format!("buffer-{number}"), &away, project)?;
        agent.set_program(before.agent.clone());
        agent.restart(directory).await?;
        accept(&agent, CALLS).await?;
        agent.pause().await?;

        agent.set_program(after.agent.clone());
        let went_on = match agent.restart(directory).await {
            Ok(()) => format!("the {} agent goes on with it", after.name),
            // The buffer of a newer agent may be one that an older does not know: it says so, and touches nothing.
            Err(error) if before.name == "newer" => {
                ensure!(format!("{error:#}").contains("newer"), "refused for another reason: {error:#}");
                agent.set_program(before.agent.clone());
                agent.restart(directory).await?;
                "the older agent refuses it, and leaves it as it is".to_owned()
            }
            Err(error) => return Err(error.context("the newer agent does not start on the older's buffer")),
        };
        accept(&agent, CALLS).await?;
        agent.pause().await?;
        agent.set("TRASTIENDA_HUB_URL", &hub.url);
        agent.restart(directory).await?;
        agent.until_drained().await?;
        agent.stop().await?;
        expected += 2 * CALLS;
        let stored = postgres.count("select count(*) from events where type = 'buffer.counted'").await?;
        ensure!(stored == i64::try_from(expected)?, "{stored} of {expected} buffered calls are stored");
        say(&format!(
            "  a buffer of the {} agent: {went_on}; all {} calls are at the hub, once",
            before.name,
            2 * CALLS
        ));
    }
    Ok(())
}

async fn accept(agent: &Agent, calls: usize) -> anyhow::Result<()> {
    for number in 0..calls {
        let body = json!({"type": "buffer.counted", "data": {"number": number}});
        let (status, answer) = agent.post("/v1/events", &body).await?;
        ensure!(status == 202, "{status}: {answer}");
    }
    Ok(())
}

/// Each version's extension sells something through the other's agent.
pub(crate) async fn extensions(
    directory: &Directory,
    hubs: [&Hub; 2],
    builds: [&Build; 2],
    project: &Project,
) -> anyhow::Result<()> {
    for (ours, others, hub) in [(builds[0], builds[1], hubs[0]), (builds[1], builds[0], hubs[1])] {
        let mut agent = Agent::new(directory, &format!("shop-{}", ours.name), &hub.url, project)?;
        agent.set_program(others.agent.clone());
        agent.restart(directory).await?;
        let mut shop = Shop::new(directory, "shop-a", project, hub, Some(&agent))?;
        shop.set_extension(ours.extension.clone());
        shop.artisan(None, &["migrate", "--force"]).await?;
        let order = shop.order(Some(Transport::Extension), "mate-calabaza", "ana@example.com", None).await?;
        agent.until_drained().await?;
        let event = order["event_id"].as_str().context("no event")?;
        let stored = hub.get(project, &format!("/v1/events/{event}")).await?;
        ensure!(stored["id"] == event, "{stored}");
        agent.stop().await?;
        say(&format!(
            "  the {} extension, the {} agent and the {} hub: an order arrives",
            ours.name, others.name, ours.name
        ));
    }
    Ok(())
}
