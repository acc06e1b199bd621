//! A database that is away for longer than a lease, while deliveries are in flight.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Directory, Hub, Postgres, Proxy, Sink, post_events, until};
use serde_json::json;

/// Deliveries in flight when the database goes.
const IN_FLIGHT: usize = 20;
/// How long the receiver takes: the answers come when there is nowhere to write them.
const ANSWER: Duration = Duration::from_secs(2);

/// Takes the database away for so long; then everything that was in flight has been sent once and is written.
pub(crate) async fn run(away: Duration) -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let postgres = Postgres::start(&directory).await?;
    let proxy = Proxy::start(postgres.port).await?;
    let hub = Arc::new(Hub::start_sharing(&directory, "hub", postgres.url(Some(proxy.port))).await?);
    let project = hub.create_project("Remojo", "remojo.example.com").await?;
    let sink = Sink::start(ANSWER).await?;
    let endpoint = json!({"url": sink.url, "events": ["*"], "max_in_flight": IN_FLIGHT});
    hub.post(&project, "/v1/webhook-endpoints", endpoint).await?;
    post_events(&hub, &project, "stock.counted", IN_FLIGHT).await?;
    until("all are in flight", async || Ok((sink.in_flight() == IN_FLIGHT).then_some(()))).await?;
    proxy.shut();
    until("all are answered", async || Ok((sink.taken() == IN_FLIGHT).then_some(()))).await?;
    tokio::time::sleep(away).await;
    proxy.mend();
    let written = "select count(*) from webhook_deliveries where status = 'sent' and attempts = 1 and lease_token is null";
    until("all is written", async || {
        Ok((usize::try_from(postgres.count(written).await?)? == IN_FLIGHT).then_some(()))
    })
    .await?;
    let came: Vec<usize> = sink.arrivals().values().map(|arrival| arrival.at.len()).collect();
    ensure!(came == [1; IN_FLIGHT], "they came so often: {came:?}");
    Arc::into_inner(hub).context("somebody still has the hub")?.stop().await
}
