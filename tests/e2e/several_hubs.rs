//! Three hubs on one database, and one of them dies while it delivers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{Fleet, Sink, post_events, until};
use serde_json::json;

/// What the second hub has in flight.
const IN_FLIGHT_OF_2: &str =
    "select 'evt_' || replace(event_id::text, '-', '') from webhook_deliveries where lease_hub = 2";

#[tokio::test]
async fn three_hubs_share_the_work_and_one_that_is_killed_loses_nothing() -> anyhow::Result<()> {
    let mut fleet = Fleet::start(3).await?;
    let project = fleet.create_project().await?;
    let sink = Sink::start(Duration::from_millis(200)).await?;
    // Ten places for each of them.
    let endpoint = json!({"url": sink.url, "events": ["*"], "max_in_flight": 30});
    fleet.hubs[0].post(&project, "/v1/webhook-endpoints", endpoint).await?;

    // All are taken in by the first hub, which alone could send fifty in a second.
    let first: BTreeSet<String> =
        post_events(&fleet.hubs[0], &project, "count.first", 150).await?.into_iter().collect();
    until("all are delivered", async || Ok((sink.taken() == first.len()).then_some(()))).await?;
    let arrivals = sink.arrivals();
    assert_eq!(arrivals.keys().collect::<Vec<_>>(), first.iter().collect::<Vec<_>>());
    assert!(
        arrivals.values().all(|arrival| arrival.at.len() == 1),
        "nothing failed, and something came twice"
    );
    for hub in &fleet.hubs {
        let attempts = hub.counter("trastienda_webhook_attempts_total").await?;
        assert!(attempts > 0.0, "{} did nothing", hub.url);
    }

    // The second hub stops in the middle of its deliveries, and is killed before it can say anything.
    sink.set_delay(Duration::from_millis(500));
    let (hub, of) = (fleet.hubs[0].clone(), project.clone());
    let posting = tokio::spawn(async move { post_events(&hub, &of, "count.second", 150).await });
    until("the second hub delivers", async || {
        Ok((fleet.postgres.texts(IN_FLIGHT_OF_2).await?.len() >= 5).then_some(()))
    })
    .await?;
    fleet.hubs[1].freeze();
    let in_flight: BTreeSet<String> = fleet.postgres.texts(IN_FLIGHT_OF_2).await?.into_iter().collect();
    let victim = fleet.hubs.remove(1);
    Arc::into_inner(victim).unwrap().kill().await?;
    let killed = Instant::now();
    let second: BTreeSet<String> = posting.await??.into_iter().collect();
    until("all are delivered", async || Ok((sink.taken() == first.len() + second.len()).then_some(())))
        .await?;

    let arrivals = sink.arrivals();
    let twice: BTreeSet<String> =
        arrivals.iter().filter(|(_, arrival)| arrival.at.len() > 1).map(|(id, _)| id.clone()).collect();
    assert!(
        twice.is_subset(&in_flight),
        "came twice and was not in flight: {:?}",
        twice.difference(&in_flight)
    );
    assert!(in_flight.iter().all(|id| second.contains(id)));
    let again = in_flight.iter().map(|id| {
        let after = arrivals[id].at.iter().find(|at| **at > killed);
        *after.unwrap_or_else(|| panic!("{id} was in flight and did not come again"))
    });
    let last = again.max().unwrap().duration_since(killed);
    println!("{} in flight at the kill; the last was under way again after {last:?}", in_flight.len());
    assert!(last < Duration::from_secs(10), "{last:?}");
    let unwritten = "select count(*) from webhook_deliveries where status <> 'sent'";
    until("all is written", async || Ok((fleet.postgres.count(unwritten).await? == 0).then_some(()))).await?;
    fleet.stop().await
}
