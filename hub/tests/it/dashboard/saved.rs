//! What a shop was spared, counted from the record; and when its keys were last used.

use chrono::{Datelike as _, TimeDelta};
use serde_json::json;
use sqlx::PgPool;
use trastienda_protocol::ids::{EventId, Id as _, IdSource as _, RandomIds};

use super::Browser;
use crate::support::{Receiver, TestApp};

#[sqlx::test(migrations = "../migrations")]
async fn every_number_of_what_was_saved_opens_the_rows_behind_it(pool: PgPool) {
    let (test, receiver) = (TestApp::new(pool).await, Receiver::start().await);
    // Not in the first minutes of a month: what was kept for five would be the month's before.
    test.clock.advance(TimeDelta::minutes(if test.now().day() == 1 { 10 } else { 0 }));
    let (project, key) = test.project().await;
    let endpoint = json!({"url": receiver.url(), "events": ["order.paid"]});
    test.post(&key, "/v1/webhook-endpoints", endpoint).await;
    // Two calls that an agent kept for five minutes, and one that came at once.
    let operation = |minutes: i64, order: &str| {
        let id = EventId::from_uuid(RandomIds.uuid(test.now() - TimeDelta::minutes(minutes)));
        let accepted_at = trastienda_protocol::time::format(test.now() - TimeDelta::minutes(minutes));
        json!({"kind": "event", "id": id, "accepted_at": accepted_at,
               "body": {"type": "note.made", "data": {"order_id": order}}})
    };
    let operations = [operation(5, "KEPT-1"), operation(5, "KEPT-2"), operation(0, "AT-ONCE")];
    assert_eq!(test.post(&key, "/v1/batch", json!({"operations": operations})).await.status, 200);
    // A delivery that fails once, and a second order.paid that goes nowhere.
    receiver.answer(500, &[]);
    let paid = json!({"type": "order.paid", "data": {"order_id": "TWICE"}});
    test.post(&key, "/v1/events", paid.clone()).await;
    test.until("it fails", async || (receiver.received().len() == 1).then_some(())).await;
    receiver.answer(200, &[]);
    test.post(&key, "/v1/events", paid).await;
    test.until("the failure is written", async || {
        let waiting = test.get(&key, "/v1/webhook-deliveries?status=pending").await;
        (waiting.body["data"][0]["attempt_count"] == 1).then_some(())
    })
    .await;
    test.clock.advance(TimeDelta::seconds(7));
    test.delivery(&key, "sent").await;

    let browser = Browser::logged_in(&test).await;
    let month = test.now().format("%Y-%m").to_string();
    let before = browser.page(&format!("/shops/{project}/saved")).await;
    assert_eq!(before.matches("<h2 id=\"m-20").count(), 1, "no month from before there was a shop: {before}");
    for (what, count) in
        [("kept", 2), ("redelivered", 1), ("remailed", 0), ("duplicates", 1), ("recovered", 0)]
    {
        let link = format!("saved?what={what}&amp;month={month}#behind\">{count}<span");
        assert!(before.replace("&#x2f;", "/").contains(&link), "{what}: {before}");
    }
    let rows = browser.page(&format!("/shops/{project}/saved?what=kept&month={month}")).await;
    assert!(rows.contains("KEPT-1") && rows.contains("KEPT-2") && !rows.contains("AT-ONCE"), "{rows}");
    assert!(rows.contains("5 min"), "{rows}");
    let rows = browser.page(&format!("/shops/{project}/saved?what=duplicates&month={month}")).await;
    assert!(rows.contains("TWICE"), "{rows}");
    assert_eq!(browser.get(&format!("/shops/{project}/saved?what=nothing&month={month}")).await.status, 404);

    // A day that cannot change any more is kept when its rows are gone.
    test.clock.advance(TimeDelta::days(12));
    browser_again(&test).await.page(&format!("/shops/{project}/saved")).await;
    sqlx::raw_sql("delete from webhook_deliveries; delete from events").execute(&test.app.db).await.unwrap();
    let after = browser_again(&test).await.page(&format!("/shops/{project}/saved")).await;
    let link = format!("saved?what=kept&amp;month={month}#behind\">2<span");
    assert!(after.replace("&#x2f;", "/").contains(&link), "{after}");
}

/// Sessions end while the clock moves on.
async fn browser_again(test: &TestApp) -> Browser<'_> {
    Browser::logged_in(test).await
}

#[sqlx::test(migrations = "../migrations")]
async fn when_a_key_was_last_used_is_shown_and_costs_no_write_per_request(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let browser = Browser::logged_in(&test).await;
    let page = format!("/shops/{project}/settings");
    assert!(browser.page(&page).await.contains("nunca"));
    for _ in 0..5 {
        assert_eq!(test.get(&key, "/v1/project").await.status, 200);
    }
    let written = async || {
        sqlx::query_scalar::<_, i64>("select count(*) from api_keys where last_used_at is not null")
            .fetch_one(&test.app.db)
            .await
            .unwrap()
    };
    assert_eq!(written().await, 0, "not with the request");
    test.app.verifier.write_uses(&test.app.db).await.unwrap();
    assert_eq!(written().await, 1);
    test.clock.advance(TimeDelta::minutes(10));
    assert!(browser.page(&page).await.contains("hace 10 min"));
}
