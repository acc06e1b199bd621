//! Three hubs and their limits: with a Redis that is killed and comes back, and when a hub hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{Directory, Fleet, Hub, Project, Redis, Sink, client, post_events, until};
use serde_json::json;

const PER_MINUTE: u32 = 300;

/// Until every hub shows this.
async fn all_show(hubs: &[Arc<Hub>], gauge: &str, wanted: f64) -> anyhow::Result<()> {
    for hub in hubs {
        until(&format!("{gauge} is {wanted} at {}", hub.url), async || {
            let shown = hub.counter(gauge).await?;
            if (shown - wanted).abs() < 0.5 {
                return Ok(Some(()));
            }
            // The operator may ask ten times a second.
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(None)
        })
        .await?;
    }
    Ok(())
}

/// A project that may make so many requests a minute.
async fn limited(fleet: &Fleet) -> anyhow::Result<Project> {
    let project = fleet.create_project().await?;
    fleet.hubs[0].set_limits(&project, json!({"requests_per_minute": PER_MINUTE})).await?;
    Ok(project)
}

/// Makes requests of these hubs in turn until all refuse; gives how many were taken, and how much of a minute that took.
async fn use_up(hubs: &[Arc<Hub>], project: &Project) -> anyhow::Result<(f64, f64)> {
    let (started, mut taken, mut refused) = (Instant::now(), 0.0, vec![false; hubs.len()]);
    while refused.contains(&false) {
        for (index, hub) in hubs.iter().enumerate() {
            let call = client()?.get(format!("{}/v1/features", hub.url)).bearer_auth(&project.key);
            match call.send().await?.status().as_u16() {
                200 => taken += 1.0,
                429 => refused[index] = true,
                other => anyhow::bail!("{} answered {other}", hub.url),
            }
        }
    }
    Ok((taken, started.elapsed().as_secs_f64() / 60.0))
}

fn holds(what: &str, (taken, minutes): (f64, f64), part: f64) -> anyhow::Result<()> {
    let allowed = f64::from(PER_MINUTE) * part * (1.0 + minutes);
    ensure!((0.9..=1.1).contains(&(taken / allowed)), "{what}: {taken} of {allowed:.0}");
    Ok(())
}

#[tokio::test]
async fn limits_hold_through_a_redis_that_is_killed_and_comes_back() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let mut redis = Redis::start(&directory).await?;
    let fleet = Fleet::start_in(directory, 3, &[("REDIS_URL", redis.url())]).await?;
    all_show(&fleet.hubs, "trastienda_hubs", 3.0).await?;
    all_show(&fleet.hubs, "trastienda_redis_up", 1.0).await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let busy = fleet.create_project().await?;
    let endpoint = json!({"url": sink.url, "events": ["*"], "max_in_flight": 2});
    fleet.hubs[0].post(&busy, "/v1/webhook-endpoints", endpoint).await?;

    // A key for each project in Redis, and nothing in the database; hubs wake each other there.
    holds("three hubs with Redis", use_up(&fleet.hubs, &limited(&fleet).await?).await?, 1.0)?;
    holds("one of three hubs with Redis", use_up(&fleet.hubs[..1], &limited(&fleet).await?).await?, 1.0)?;
    let keys = redis.ask("KEYS trastienda:*:requests:*").await?;
    ensure!(keys.matches(":requests:").count() >= 2, "{keys}");
    let in_database = "select count(*) from limit_buckets";
    ensure!(fleet.postgres.count(in_database).await? == 0, "limits are in the database too");
    let first = post_events(&fleet.hubs[0], &busy, "count.first", 60).await?;
    until("all are delivered", async || Ok((sink.taken() == first.len()).then_some(()))).await?;
    let told = redis.ask("INFO commandstats").await?;
    ensure!(told.contains("cmdstat_publish") && told.contains("cmdstat_subscribe"), "{told}");

    // Without it: an equal share at each hub, and every delivery.
    redis.kill().await?;
    all_show(&fleet.hubs, "trastienda_redis_up", 0.0).await?;
    let project = limited(&fleet).await?;
    holds("one of three hubs without Redis", use_up(&fleet.hubs[..1], &project).await?, 1.0 / 3.0)?;
    holds("three hubs without Redis", use_up(&fleet.hubs, &limited(&fleet).await?).await?, 1.0)?;
    let second = post_events(&fleet.hubs[1], &busy, "count.second", 60).await?;
    until("all are delivered", async || Ok((sink.taken() == first.len() + second.len()).then_some(())))
        .await?;
    ensure!(sink.most_in_flight() <= 2, "{} in flight at once", sink.most_in_flight());

    // Back again, empty: what is shared goes on.
    redis.restart(&fleet.directory).await?;
    all_show(&fleet.hubs, "trastienda_redis_up", 1.0).await?;
    holds(
        "one of three hubs with Redis again",
        use_up(&fleet.hubs[..1], &limited(&fleet).await?).await?,
        1.0,
    )?;
    fleet.stop().await
}

#[tokio::test]
async fn a_hub_that_hangs_loses_its_share_and_gets_it_back() -> anyhow::Result<()> {
    let fleet = Fleet::start(3).await?;
    all_show(&fleet.hubs, "trastienda_hubs", 3.0).await?;
    let project = fleet.create_project().await?;
    fleet.hubs[2].freeze();
    all_show(&fleet.hubs[..2], "trastienda_hubs", 2.0).await?;
    // All places are the others' now.
    let sink = Sink::start(Duration::from_secs(2)).await?;
    let endpoint = json!({"url": sink.url, "events": ["*"], "max_in_flight": 9});
    fleet.hubs[0].post(&project, "/v1/webhook-endpoints", endpoint).await?;
    let posted = post_events(&fleet.hubs[0], &project, "count.first", 30).await?;
    until("all places are taken", async || Ok((sink.in_flight() == 9).then_some(()))).await?;
    until("all are delivered", async || Ok((sink.taken() == posted.len()).then_some(()))).await?;
    ensure!(sink.most_in_flight() == 9, "{} in flight at once", sink.most_in_flight());
    fleet.hubs[2].thaw();
    all_show(&fleet.hubs, "trastienda_hubs", 3.0).await?;
    fleet.stop().await
}
