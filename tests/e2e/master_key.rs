//! The master key is changed while two hubs work, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Fleet, MASTER_KEY, Project, Sink, client, until};
use serde_json::{Value, json};

const NEW_KEY: &str = "b3RoZXItbWFzdGVyLWtleS1vZi0zMi1ieXRlcy1sb24=";
const ENDPOINTS: usize = 4;

/// Somebody who reports events and changes endpoints' secrets all the time, through the hub that they are pointed at.
struct Load {
    urls: [String; 2],
    project: Project,
    endpoints: Vec<String>,
    at: AtomicUsize,
    rounds: AtomicUsize,
    is_over: AtomicBool,
}

impl Load {
    async fn post(&self, path: &str, body: Value) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.urls[self.at.load(Ordering::SeqCst)]);
        let answer = client()?.post(&url).bearer_auth(&self.project.key).json(&body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{url}: {status} {}", answer.text().await?);
        Ok(())
    }

    async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        while !self.is_over.load(Ordering::SeqCst) {
            let round = self.rounds.load(Ordering::SeqCst);
            let endpoint = &self.endpoints[round % ENDPOINTS];
            self.post(&format!("/v1/webhook-endpoints/{endpoint}/rotate-secret"), json!({})).await?;
            self.post("/v1/events", json!({"type": "stock.changed", "data": {"round": round}})).await?;
            self.rounds.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Points it at a hub, and waits until it has gone round a few times there.
    async fn point_at(&self, hub: usize) -> anyhow::Result<()> {
        self.at.store(hub, Ordering::SeqCst);
        let seen = self.rounds.load(Ordering::SeqCst);
        until("the load goes on", async || Ok((self.rounds.load(Ordering::SeqCst) >= seen + 5).then_some(())))
            .await
    }
}

#[tokio::test]
async fn the_master_key_is_changed_under_load_and_every_webhook_is_signed() -> anyhow::Result<()> {
    let mut fleet = Fleet::start(2).await?;
    let project = fleet.create_project().await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let mut endpoints = Vec::new();
    for _ in 0..ENDPOINTS {
        let body = json!({"url": sink.url, "events": ["stock.*"], "headers": {"x-shop": "mates"}});
        let made = fleet.hubs[0].post(&project, "/v1/webhook-endpoints", body).await?;
        endpoints.push(made["id"].as_str().context("no id")?.to_owned());
    }
    let urls = [fleet.hubs[0].url.clone(), fleet.hubs[1].url.clone()];
    let (at, rounds, is_over) = (AtomicUsize::new(1), AtomicUsize::new(0), AtomicBool::new(false));
    let load = Arc::new(Load { urls, project: project.clone(), endpoints, at, rounds, is_over });
    let running = tokio::spawn(load.clone().run());

    // One hub after the other is given both keys, while the load goes through the other.
    for number in 0..2 {
        load.point_at(1 - number).await?;
        let hub = Arc::get_mut(&mut fleet.hubs[number]).context("a hub is in use")?;
        hub.set("TRASTIENDA_MASTER_KEY", NEW_KEY);
        hub.set("TRASTIENDA_MASTER_KEY_OLD", MASTER_KEY);
        hub.pause().await?;
        hub.restart(&fleet.directory).await?;
        if number == 0 {
            load.point_at(0).await?;
            let refused = fleet.hubs[0].tell(&["seal", "rotate"]).await.unwrap_err().to_string();
            ensure!(refused.contains("was not given both keys"), "{refused}");
            // What a hub with both keys has sealed, the one with the old key alone can open.
            load.point_at(1).await?;
        }
    }
    load.point_at(0).await?;
    let told: Value = serde_json::from_str(&fleet.hubs[0].tell(&["seal", "rotate", "--json"]).await?)?;
    ensure!(told["resealed"]["hub_secrets.sealed"] == 1, "{told}");
    load.point_at(1).await?;
    load.point_at(0).await?;
    let told: Value = serde_json::from_str(&fleet.hubs[1].tell(&["seal", "status", "--json"]).await?)?;
    let columns = told.as_object().context("no columns")?;
    ensure!(
        columns.values().all(|keys| keys.as_object().is_some_and(|keys| keys.len() <= 1)),
        "more than the new key: {told}"
    );

    // The old key goes.
    for number in 0..2 {
        load.point_at(1 - number).await?;
        let hub = Arc::get_mut(&mut fleet.hubs[number]).context("a hub is in use")?;
        hub.set("TRASTIENDA_MASTER_KEY_OLD", "");
        hub.pause().await?;
        hub.restart(&fleet.directory).await?;
    }
    load.point_at(1).await?;
    load.is_over.store(true, Ordering::SeqCst);
    running.await??;

    let events = load.rounds.load(Ordering::SeqCst);
    let open = "select count(*) from webhook_deliveries where status <> 'sent'";
    until("all are delivered", async || Ok((fleet.postgres.count(open).await? == 0).then_some(()))).await?;
    let sent = fleet.postgres.count("select count(*) from webhook_deliveries").await?;
    ensure!(usize::try_from(sent)? == events * ENDPOINTS, "{sent} deliveries of {events} events");
    ensure!(sink.taken() == events, "{} of {events} events came", sink.taken());
    // A secret that could not be opened would be a failed attempt.
    let failed = fleet.postgres.texts("select error from webhook_logs where status <> 'sent'").await?;
    ensure!(failed.is_empty(), "{failed:?}");
    fleet.stop().await
}
