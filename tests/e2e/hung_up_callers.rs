//! Callers that do not wait for the answer.

use std::sync::Arc;
use std::time::Duration;

use e2e::{Fleet, Sink, until};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const CALLS: u64 = 2_000;
const AT_ONCE: usize = 12;

/// Whether the hub had answered when the caller went.
async fn call_and_hang_up(address: String, key: String, number: u64) -> anyhow::Result<bool> {
    let body = json!({"type": "call.cut", "data": {"number": number}}).to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await?;
    stream.write_all(request.as_bytes()).await?;
    // Eight milliseconds, give or take: some go before their event is stored, some while, some after.
    tokio::time::sleep(Duration::from_millis(4 + number % 9)).await;
    Ok(stream.try_read(&mut [0; 16]).is_ok_and(|read| read > 0))
}

#[tokio::test]
async fn what_hung_up_callers_stored_is_delivered() -> anyhow::Result<()> {
    let fleet = Fleet::start(1).await?;
    let project = fleet.create_project().await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let endpoint = json!({"url": sink.url, "events": ["call.*"], "max_in_flight": 100});
    fleet.hubs[0].post(&project, "/v1/webhook-endpoints", endpoint).await?;
    let address = fleet.hubs[0].url.trim_start_matches("http://").to_owned();

    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls: JoinSet<anyhow::Result<bool>> = JoinSet::new();
    for number in 0..CALLS {
        let (address, key, places) = (address.clone(), project.key.clone(), places.clone());
        calls.spawn(async move {
            let _place = places.acquire().await?;
            call_and_hang_up(address, key, number).await
        });
    }
    let mut answered = 0;
    while let Some(call) = calls.join_next().await {
        answered += u64::from(call??);
    }
    assert!(answered < CALLS / 2, "{answered} of {CALLS} were answered: nobody hung up");

    // What is under way ends: two looks that see the same, and nothing pending.
    let stored = "select count(*) from events where type = 'call.cut'";
    let pending = "select count(*) from webhook_deliveries where status = 'pending'";
    let mut before = -1;
    let stored = until("all is stored and delivered", async || {
        let now = fleet.postgres.count(stored).await?;
        let settled = now == before && fleet.postgres.count(pending).await? == 0;
        before = now;
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(settled.then_some(now))
    })
    .await?;
    println!("{CALLS} calls, {answered} answered in time, {stored} stored");
    assert!(stored > 100, "only {stored} were stored: nothing was tried");
    let never = "select count(*) from events e where type = 'call.cut' and not exists
                 (select from webhook_deliveries d where d.event_id = e.id and d.status = 'sent' and d.attempts = 1)";
    assert_eq!(fleet.postgres.count(never).await?, 0, "stored and never attempted");
    assert_eq!(i64::try_from(sink.taken())?, stored);
    fleet.stop().await
}
