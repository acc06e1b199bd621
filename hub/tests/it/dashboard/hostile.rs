//! What shops and strangers write cannot run in the operator's page, whichever field it stands in.

use serde_json::json;
use sqlx::PgPool;

use super::{Browser, text};
use crate::support::TestApp;

const MARK: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg/onload=alert(3)>{{ 7*7 }}";

/// Nothing of it became an element, an attribute or an expression.
fn is_harmless(page: &str) -> bool {
    !page.contains("<img src=x")
        && !page.contains("<script>alert")
        && !page.contains("<svg/onload")
        && !page.contains("onerror=alert(1)>")
}

#[sqlx::test(migrations = "../migrations")]
async fn hostile_text_in_every_field_is_only_text(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let body = json!({"name": MARK, "domain": "evil.example.com"});
    let made = test.admin("POST", "/admin/v1/projects", body).await.body;
    let (project, key) = (made["project"]["id"].as_str().unwrap(), made["api_key"].as_str().unwrap());
    let data =
        json!({"order_id": MARK, MARK: MARK, "customer": {"name": MARK, "email": MARK}, "list": [MARK]});
    let event = test.post(key, "/v1/events", json!({"type": "note.made", "data": data})).await.id();
    let endpoint = json!({"url": "http://127.0.0.1:9/?x='\"><script>alert(2)</script>", "events": ["*"], "description": MARK});
    let endpoint = test.post(key, "/v1/webhook-endpoints", endpoint).await.id();
    let delivered = test
        .post(key, "/v1/events", json!({"type": "note.made", "data": {"order_id": MARK, "note": MARK}}))
        .await;
    let delivered = delivered.body["id"].as_str().map(str::to_owned);
    let mail = json!({"channel": "email", "to": "a@example.com", "subject": MARK, "html": MARK, "text": MARK, "metadata": {"x": MARK}, "order_id": MARK});
    let mail = test.post(key, "/v1/notifications", mail).await;
    let mail = mail.body["id"].as_str().map_or_else(|| panic!("{mail:?}"), str::to_owned);
    let whatsapp = json!({"channel": "whatsapp", "to": "+5491155551234", "text": MARK, "metadata": {"x": MARK}, "order_id": MARK});
    let whatsapp = test.post(key, "/v1/notifications", whatsapp).await.id();
    let payment = json!({"order_id": MARK, "amount": "1.00", "currency": "ARS", "description": MARK, "method": "manual",
        "payer": {"email": "a@example.com"}, "metadata": {"x": MARK}});
    let headers = [("x-api-key", key), ("idempotency-key", "one")];
    let payment = test.send("POST", "/v1/payments", &headers, payment.to_string()).await.id();
    let template = json!({"channel": "email", "subject": "x", "html": "<script>alert(2)</script></textarea><img src=x onerror=alert(1)>", "text": "</textarea><script>alert(2)</script>", "sample": {"a": MARK}});
    let saved = test.send("PUT", "/v1/templates/evil", &[("x-api-key", key)], template.to_string()).await;
    assert_eq!(saved.status, 201, "{saved:?}");
    let agent = json!({"agent_id": MARK, "status": {"hub": "up", "buffered": 1, "oldest_seconds": 1, "dead_letters": 1, "disk_bytes": 1, "version": MARK}});
    assert_eq!(test.post(key, "/v1/agent/heartbeat", agent).await.status, 204);
    let (name, text_) = (MARK, MARK);
    sqlx::query("insert into payment_cases (project_id, id, kind, subject, status, provider, order_id, external_id, detail, created_at)
                 select id, gen_random_uuid(), 'duplicate', $1, 'open', $1, $2, $1, $1, now() from projects")
        .bind(name).bind(text_).execute(&test.app.db).await.unwrap();
    // An alert of each that shops have a say in.
    test.clock.advance(chrono::TimeDelta::minutes(20));
    let mut watch = trastienda_hub::alerts::Watch::new(&test.app);
    test.clock.advance(chrono::TimeDelta::minutes(20));
    watch.look().await;
    let browser = Browser::logged_in(&test).await;
    let mut stranger = Browser::new(&test);
    stranger.log_in(MARK, MARK).await;

    let mut pages = vec![
        "/".to_owned(),
        "/alerts".to_owned(),
        "/audit".to_owned(),
        "/account".to_owned(),
        format!("/shops/{project}"),
    ];
    for kind in [
        "events",
        "deliveries",
        "endpoints",
        "notifications",
        "whatsapp",
        "payments",
        "cases",
        "templates",
        "settings",
        "audit",
    ] {
        pages.push(format!("/shops/{project}/{kind}"));
        let query = super::form(&[
            ("type", MARK),
            ("order_id", MARK),
            ("to", MARK),
            ("template", MARK),
            ("status", MARK),
            ("kind", MARK),
            ("done", MARK),
            ("cursor", MARK),
        ]);
        pages.push(format!("/shops/{project}/{kind}?{query}"));
    }
    pages.push(format!("/shops/{project}/templates/evil?version=1"));
    let mut things = vec![
        ("events", event),
        ("endpoints", endpoint),
        ("notifications", mail),
        ("notifications", whatsapp),
        ("payments", payment),
    ];
    things.extend(delivered.map(|id| ("events", id)));
    if let Some(id) = test.get(key, "/v1/webhook-deliveries").await.body["data"][0]["id"].as_str() {
        things.push(("deliveries", id.to_owned()));
    }
    for (kind, id) in &things {
        pages.push(format!("/shops/{project}/{kind}/{id}"));
    }
    let mut seen = 0;
    for page in pages {
        let answer = browser.get(&page).await;
        assert!(answer.status.is_success(), "{page}: {answer:?}");
        let shown = text(&answer);
        assert!(is_harmless(&shown), "{page}:\n{shown}");
        seen += usize::from(shown.contains("&lt;img src=x") || shown.contains("&lt;script&gt;"));
    }
    assert!(seen > 12, "the payload stood on {seen} pages only: is it still there?");
    for (kind, id) in things.iter().filter(|(kind, _)| *kind != "endpoints") {
        let shown = text(&browser.post(&format!("/shops/{project}/{kind}/{id}/reveal"), &[]).await);
        assert!(is_harmless(&shown), "{kind}:\n{shown}");
        assert!(shown.contains("&lt;"), "{kind}: it is shown, as text");
    }
}
