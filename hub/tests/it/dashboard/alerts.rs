//! The page of alerts: who is told, from when on, and whether it arrives.

use serde_json::json;
use sqlx::PgPool;
use trastienda_hub::alerts::Watch;

use super::{Browser, audit, location, text};
use crate::support::{Receiver, SmtpServer, TestApp};

#[sqlx::test(migrations = "../migrations")]
async fn the_test_button_tells_those_who_were_set_on_the_page(pool: PgPool) {
    let (smtp, receiver) = (SmtpServer::start().await, Receiver::start().await);
    let test = TestApp::with(pool, |config| config.smtp_url = Some(smtp.url().into())).await;
    let browser = Browser::logged_in(&test).await;
    assert_eq!(location(&browser.post("/alerts/test", &[]).await), "/alerts?done=nobody");
    assert_eq!(browser.post("/alerts/email", &[("email", "nobody")]).await.status, 422);
    assert_eq!(browser.post("/alerts/email", &[("email", "ana@example.com")]).await.status, 303);
    // What points at the hub's own network is refused as it is for shops.
    assert_eq!(browser.post("/alerts/webhook", &[("url", "http://10.0.0.1/x")]).await.status, 422);
    let shown = text(&browser.post("/alerts/webhook", &[("url", &receiver.url())]).await);
    let secret = format!("whsec_{}", shown.split("whsec_").nth(1).unwrap().split('<').next().unwrap());
    let secret = secret.replace("&#x2f;", "/");
    assert_eq!(location(&browser.post("/alerts/test", &[]).await), "/alerts?done=tested");
    test.until("the mail", async || (smtp.mails().len() == 1).then_some(())).await;
    assert!(smtp.mails()[0].contains("To: ana@example.com"));
    test.until("the event", async || (receiver.received().len() == 1).then_some(())).await;
    let received = receiver.received()[0].clone();
    received.verify(&secret, test.now()).unwrap();
    assert_eq!(received.json()["type"], "alert.test");
    let page = browser.page("/alerts").await;
    assert!(page.contains("ana@example.com") && page.contains("alert.test"), "{page}");
    assert!(!page.contains("whsec_") && !page.contains("/hook"), "the secret and the path stay hidden");
    let done: Vec<String> = audit(&test).await.into_iter().map(|(_, action, ..)| action).take(4).collect();
    assert_eq!(done, ["alerts.tested", "alerts.webhook_set", "alerts.email_set", "alerts.tested"]);
    // Taken away, it is as the variables say: nobody.
    assert_eq!(browser.post("/alerts/webhook", &[("url", "")]).await.status, 303);
    assert_eq!(browser.post("/alerts/email", &[("email", "")]).await.status, 303);
    assert_eq!(location(&browser.post("/alerts/test", &[]).await), "/alerts?done=nobody");
}

#[sqlx::test(migrations = "../migrations")]
async fn the_page_shows_what_is_open_and_was_and_turns_kinds_off(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, key) = test.project().await;
    let status = json!({"hub": "up", "buffered": 0, "oldest_seconds": 0, "dead_letters": 3, "disk_bytes": 1, "version": "1"});
    test.post(&key, "/v1/agent/heartbeat", json!({"agent_id": "a-1", "status": status})).await;
    let mut watch = Watch::new(&test.app);
    watch.look().await;
    let browser = Browser::logged_in(&test).await;
    let page = browser.page("/alerts").await;
    assert!(page.contains("Llamadas rechazadas en el agente de Mates"), "{page}");
    let plain = page.replace("&#x2f;", "/");
    assert!(
        plain.contains(&format!("href=\"/shops/{project}\""))
            && plain.contains("docs/runbook/dead_letters.md"),
        "{page}"
    );
    let rule = "/alerts/rules/queue_old";
    assert_eq!(browser.post(rule, &[("threshold", "5"), ("as", "on")]).await.status, 422);
    assert_eq!(browser.post(rule, &[("threshold", "900"), ("as", "on")]).await.status, 303);
    assert!(browser.page("/alerts").await.contains("value=\"900\""));
    assert_eq!(browser.post(rule, &[("as", "variable")]).await.status, 303);
    assert!(browser.page("/alerts").await.contains("value=\"300\""));
    assert_eq!(browser.post("/alerts/rules/dead_letters", &[("as", "off")]).await.status, 303);
    assert_eq!(browser.post("/alerts/rules/nothing", &[("as", "off")]).await.status, 404);
    watch.look().await;
    test.clock.advance(chrono::TimeDelta::minutes(3));
    watch.look().await;
    let page = browser.page("/alerts").await;
    assert!(page.contains("Ninguna: todo en orden."), "{page}");
    assert!(page.contains("Llamadas rechazadas en el agente de Mates"), "it is history now");
    // In the other language too.
    let english = browser.send("/preferences", &[("lang", "en"), ("to", "/alerts")], &[]).await;
    assert_eq!(english.status, 303);
}
