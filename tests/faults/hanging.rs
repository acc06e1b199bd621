//! Thousands of deliveries that hang, and a neighbour who does not notice.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{Fleet, Sink, post_events, until};
use serde_json::json;

/// Deliveries in flight that each endpoint allows.
const PLACES: usize = 10;
/// The neighbour's deliveries.
const NEIGHBOURS: usize = 1_000;

/// Lets so many deliveries hang; gives how long the neighbour's took meanwhile.
pub(crate) async fn run(deliveries: usize) -> anyhow::Result<Duration> {
    let fleet = Fleet::start(1).await?;
    let hub = &fleet.hubs[0];
    // Longer than any hub waits.
    let hanging = Sink::start(Duration::from_hours(1)).await?;
    let well = Sink::start(Duration::ZERO).await?;
    let mut projects = Vec::new();
    for sink in [&hanging, &well] {
        let project = fleet.create_project().await?;
        let endpoint = json!({"url": sink.url, "events": ["*"], "max_in_flight": PLACES});
        hub.post(&project, "/v1/webhook-endpoints", endpoint).await?;
        projects.push(project);
    }
    post_events(hub, &projects[0], "stock.counted", deliveries).await?;
    until("they hang", async || Ok((hanging.most_in_flight() == PLACES).then_some(()))).await?;
    let started = Instant::now();
    post_events(hub, &projects[1], "stock.counted", NEIGHBOURS).await?;
    until("the neighbour has all", async || Ok((well.taken() == NEIGHBOURS).then_some(()))).await?;
    let took = started.elapsed();
    ensure!(hanging.taken() == 0, "something was taken by who hangs");
    let most = hanging.most_in_flight().max(well.most_in_flight());
    ensure!(most <= PLACES, "{most} in flight at once");
    let sent = fleet.postgres.count("select count(*) from webhook_deliveries where status = 'sent'").await?;
    ensure!(usize::try_from(sent)? <= NEIGHBOURS, "{sent} are sent");
    Ok(took)
}
