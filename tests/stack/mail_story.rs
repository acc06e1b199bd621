//! Mails while the hub is killed again and again: each arrives, and what was in flight may come twice, as the same mail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, NotificationId, RandomIds};

use crate::{Ground, Hub, Project};

/// Mails that one hub has handed over to the operator's server and not written down, at most: four for each connection.
const IN_FLIGHT: usize = 64;
/// Thousands of mails take longer than anything else.
const PATIENCE: Duration = Duration::from_mins(10);
/// Callers at once.
const CALLERS: usize = 8;

/// What became of the mails.
#[derive(Debug, Clone, Copy)]
pub struct Mails {
    /// Different ones that arrived.
    pub arrived: usize,
    /// Those that came more than once.
    pub repeated: usize,
    /// How often the hub was killed.
    pub kills: usize,
}

/// Sends mails through a hub that is killed while it sends, and checks what was promised.
pub async fn mails_through_kills(count: usize, kills: usize) -> anyhow::Result<Mails> {
    let mut ground = Ground::start().await?;
    let project = ground.hub.create_project("Mate y Compañía", "mates.example.com").await?;
    ground.hub.lift_limits(&project).await?;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (url, project) = (ground.hub.url.clone(), project.clone());
            let numbers = (caller..count).step_by(CALLERS);
            tokio::spawn(async move {
                for number in numbers {
                    accept(&url, &project, number).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for kill in 1..=kills {
        let wanted = count * kill / (kills + 1);
        patiently("enough mails came", async || Ok(ground.catcher.mails().await?.len() >= wanted)).await?;
        ground.hub.kill().await?;
        ground.hub.restart(&ground.directory).await?;
    }
    for caller in callers {
        caller.await??;
    }
    patiently("nothing waits any more", async || Ok(pending(&ground.hub, &project).await? == 0)).await?;
    let mails = check(&ground, count, kills).await?;
    ground.hub.stop().await?;
    Ok(mails)
}

async fn check(ground: &Ground, count: usize, kills: usize) -> anyhow::Result<Mails> {
    let mut by_recipient: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in ground.catcher.mails().await? {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a mail without its headers");
        by_recipient.entry(text(&mail["envelope_to"][0])?).or_default().push(text(&mail["message_id"])?);
    }
    ensure!(by_recipient.len() == count, "{} of {count} mails arrived", by_recipient.len());
    for (recipient, message_ids) in &by_recipient {
        let first = &message_ids[0];
        ensure!(
            message_ids.iter().all(|id| id == first),
            "{recipient} got two different mails: {message_ids:?}"
        );
    }
    let repeated = by_recipient.values().filter(|ids| ids.len() > 1).count();
    ensure!(repeated <= kills * IN_FLIGHT, "{repeated} mails came twice, with {kills} kills");
    Ok(Mails { arrived: by_recipient.len(), repeated, kills })
}

/// Calls until there is an answer, always with the same id.
async fn accept(url: &str, project: &Project, number: usize) -> anyhow::Result<()> {
    let id: NotificationId = ids::new(&RandomIds, &SystemClock);
    let data = json!({"order_id": format!("A-{number}"), "customer_name": "Ana", "total": "1500.00", "currency": "ARS"});
    let to = format!("cliente{number}@example.com");
    let body = json!({"id": id.to_string(), "channel": "email", "to": to, "template": "order_confirmation", "data": data});
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = crate::hub::client()?.request(Method::POST, format!("{url}/v1/notifications"));
        let told = match request.bearer_auth(&project.key).json(&body).send().await {
            Ok(answer) if answer.status() == 202 => return Ok(()),
            Ok(answer) => format!("{}: {}", answer.status(), answer.text().await?),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            bail!("the hub never took a mail: {told}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pending(hub: &Hub, project: &Project) -> anyhow::Result<usize> {
    let page = hub.get(project, "/v1/notifications?status=pending&limit=1").await?;
    Ok(page["data"].as_array().map_or(0, Vec::len))
}

async fn patiently(what: &str, mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if is_so().await.unwrap_or(false) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("waited in vain for this: {what}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
