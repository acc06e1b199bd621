//! What can be done on the pages, what they mask, and who is noted for it.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Browser, audit, location, order, text};
use crate::support::{Receiver, TestApp};

#[sqlx::test(migrations = "../migrations")]
async fn a_payload_is_masked_until_asked_for_and_whoever_asks_is_noted(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url(), "events": ["*"]});
    test.post(&key, "/v1/webhook-endpoints", body).await;
    let event = test.post(&key, "/v1/events", order("A-1001")).await.id();
    let delivery = test.delivery(&key, "sent").await["id"].as_str().unwrap().to_owned();
    let browser = Browser::logged_in(&test).await;
    for (kind, id) in [("events", &event), ("deliveries", &delivery)] {
        let page = format!("/shops/{project}/{kind}/{id}");
        let masked = browser.page(&page).await;
        assert!(masked.contains("A-1001") && masked.contains("18500.00"), "{masked}");
        for personal in ["Ana Pérez", "ana.perez@", "5551234"] {
            assert!(!masked.contains(personal), "{kind}: {personal}");
        }
        let before = audit(&test).await.len();
        let shown = text(&browser.post(&format!("{page}/reveal"), &[]).await);
        assert!(shown.contains("Ana Pérez") && shown.contains("ana.perez@example.com"), "{shown}");
        let log = audit(&test).await;
        assert_eq!(log.len(), before + 1);
        assert_eq!((log[0].1.as_str(), &log[0].2), (format!("{kind}.reveal").as_str(), id));
        // Asked for once, it is not there by itself the next time.
        assert!(!browser.page(&page).await.contains("Ana Pérez"));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_request_is_shown_as_a_command_that_the_receiver_would_verify(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url(), "events": ["*"]});
    let secret =
        test.post(&key, "/v1/webhook-endpoints", body).await.body["secret"].as_str().unwrap().to_owned();
    test.post(&key, "/v1/events", json!({"type": "note.made", "data": {"text": "it's <b>"}})).await;
    let delivery = test.delivery(&key, "sent").await["id"].as_str().unwrap().to_owned();
    let browser = Browser::logged_in(&test).await;
    let page = format!("/shops/{project}/deliveries/{delivery}");
    assert!(browser.page(&page).await.contains("v1,•••"));
    let shown = text(&browser.post(&format!("{page}/reveal"), &[]).await);
    let command =
        shown.split(r#"<pre id="curl" tabindex="0">"#).nth(1).unwrap().split("</pre>").next().unwrap();
    let command = command
        .replace("&#x27;", "'")
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#x2f;", "/")
        .replace("&amp;", "&");
    let header = |name: &str| {
        let value = command.split(&format!("{name}: ")).nth(1).unwrap();
        value.split('\'').next().unwrap().to_owned()
    };
    let body = command.split("--data-binary '").nth(1).unwrap().replace(r"'\''", "'");
    let body = body.trim_end().strip_suffix('\'').unwrap();
    let said: Value = serde_json::from_str(body).unwrap();
    assert_eq!(said["data"]["text"], "it's <b>");
    let secret = trastienda_protocol::webhook::Secret::parse(&secret).unwrap();
    let signed =
        secret.sign(&header("webhook-id"), header("webhook-timestamp").parse().unwrap(), body.as_bytes());
    assert_eq!(header("webhook-signature"), signed);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_delivery_is_sent_again_and_an_endpoint_tested_rotated_and_replayed(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let receiver = Receiver::start().await;
    let made =
        test.post(&key, "/v1/webhook-endpoints", json!({"url": receiver.url(), "events": ["*"]})).await;
    let (endpoint, secret) = (made.id(), made.body["secret"].as_str().unwrap().to_owned());
    test.post(&key, "/v1/events", order("A-1")).await;
    let delivery = test.delivery(&key, "sent").await["id"].as_str().unwrap().to_owned();
    let browser = Browser::logged_in(&test).await;

    let answer = browser.post(&format!("/shops/{project}/deliveries/{delivery}/retry"), &[]).await;
    assert_eq!(location(&answer), format!("/shops/{project}/deliveries/{delivery}?done=retry"));
    test.until("it is received again", async || (receiver.received().len() == 2).then_some(())).await;
    assert!(browser.page(location(&answer)).await.contains("Se envía de nuevo."));

    let here = format!("/shops/{project}/endpoints/{endpoint}");
    assert_eq!(browser.post(&format!("{here}/test"), &[]).await.status, 303);
    test.until("the test is received", async || (receiver.received().len() == 3).then_some(())).await;
    test.until("the test is written as sent", async || {
        let sent = test.get(&key, "/v1/webhook-deliveries?status=sent").await;
        (sent.body["data"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;

    // Until now, and not with it.
    test.clock.advance(TimeDelta::seconds(1));
    let fields = [("since", "2020-01-01T00:00"), ("status", "all"), ("dry_run", "yes")];
    let dry = browser.post(&format!("{here}/replay"), &fields).await;
    assert_eq!(location(&dry), format!("{here}?done=dry-run&n=2"));
    assert_eq!(receiver.received().len(), 3, "a dry run sends nothing");
    let wet = browser.post(&format!("{here}/replay"), &fields[..2]).await;
    assert_eq!(location(&wet), format!("{here}?done=replay&n=2"));
    test.until("both are received again", async || (receiver.received().len() == 5).then_some(())).await;

    let rotated = text(&browser.post(&format!("{here}/rotate-secret"), &[("overlap_seconds", "0")]).await);
    let shown = rotated.split("whsec_").nth(1).expect("a secret").split('<').next().unwrap().to_owned();
    assert!(!shown.is_empty() && !secret.contains(&shown));
    assert!(!browser.page(&here).await.contains("whsec_"), "shown this once");

    let done: Vec<_> =
        audit(&test).await.into_iter().map(|(_, action, _, outcome)| format!("{action} {outcome}")).collect();
    assert_eq!(
        done[..5],
        [
            "endpoints.rotate-secret ok",
            "endpoints.replay ok",
            "endpoints.replay ok",
            "endpoints.test ok",
            "deliveries.retry ok"
        ]
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_api_refuses_is_refused_here_and_noted(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, _) = test.project().await;
    let browser = Browser::logged_in(&test).await;
    let missing = "whd_0192f0c1d2e37a4b8c5d6e7f8091a2b3";
    let answer = browser.post(&format!("/shops/{project}/deliveries/{missing}/retry"), &[]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(audit(&test).await[0].3, "not_found");
    for path in [
        "deliveries/..%2f..%2fadmin/retry",
        "deliveries/x%3fy=1/retry",
        "events/evt_1/delete",
        "nothing/x/retry",
    ] {
        assert_eq!(browser.post(&format!("/shops/{project}/{path}"), &[]).await.status, 404, "{path}");
    }
    // Another shop's things are not this shop's.
    let (_, other) = test.project().await;
    let event = test.post(&other, "/v1/events", order("B-1")).await.id();
    assert_eq!(browser.get(&format!("/shops/{project}/events/{event}")).await.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn lists_are_filtered_and_an_id_opens_what_it_names(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, key) = test.project().await;
    for index in 0..60 {
        test.post(&key, "/v1/events", order(&format!("A-{index}"))).await;
    }
    let event = test.post(&key, "/v1/events", json!({"type": "note.made", "data": {}})).await.id();
    let browser = Browser::logged_in(&test).await;
    let list = format!("/shops/{project}/events");
    let first = browser.page(&list).await;
    assert_eq!(first.matches("<tr><th scope=\"row\">").count(), 50);
    let next = first
        .split(r#"class="button" href=""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&amp;", "&")
        .replace("&#x2f;", "/");
    assert_eq!(browser.page(&next).await.matches("<tr><th scope=\"row\">").count(), 11);
    let found = browser.page(&format!("{list}?order_id=A-7")).await;
    assert_eq!(found.matches("<tr><th scope=\"row\">").count(), 1);
    assert_eq!(location(&browser.get(&format!("{list}?id={event}")).await), format!("{list}/{event}"));
    let wrong = browser.page(&format!("{list}?cursor=nonsense")).await;
    assert!(wrong.contains(r#"role="alert""#), "{wrong}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_mail_is_rendered_in_a_frame_for_whoever_asked_and_retried_and_cancelled(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, key) = test.project().await;
    let body = json!({"channel": "email", "to": "ana.perez@example.com", "subject": "Hola Ana",
        "html": "<p>Gracias, <b>Ana Pérez</b></p><script>parent.alert(1)</script>"});
    let id = test.post(&key, "/v1/notifications", body).await.id();
    let browser = Browser::logged_in(&test).await;
    let here = format!("/shops/{project}/notifications/{id}");
    let masked = browser.page(&here).await;
    assert!(
        masked.contains("a•••@example.com") && !masked.contains("Ana Pérez") && !masked.contains("Hola Ana"),
        "{masked}"
    );
    assert!(!browser.page(&format!("/shops/{project}/notifications")).await.contains("ana.perez"));
    for ticket in ["", "?ticket=00"] {
        assert_eq!(browser.get(&format!("{here}/mail{ticket}")).await.status, 403);
    }
    let shown = text(&browser.post(&format!("{here}/reveal"), &[]).await);
    assert_eq!(audit(&test).await[0].1, "notifications.reveal");
    assert!(shown.contains(r#"<iframe class="mail" sandbox src="#));
    let mail =
        shown.split(r#"sandbox src=""#).nth(1).unwrap().split('"').next().unwrap().replace("&#x2f;", "/");
    let framed = browser.get(&mail).await;
    let policy = framed.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("sandbox; default-src 'none'") && !policy.contains("allow-scripts"),
        "{policy}"
    );
    assert!(text(&framed).contains("Gracias, <b>Ana"));
    let another = Browser::logged_in(&test).await;
    assert_eq!(another.get(&mail).await.status, 403, "a ticket is its session's alone");

    assert_eq!(browser.post(&format!("{here}/retry"), &[]).await.status, 303);
    assert_eq!(browser.post(&format!("{here}/cancel"), &[]).await.status, 303);
    assert_eq!(test.get(&key, &format!("/v1/notifications/{id}")).await.body["detail"], "cancelled");
}

#[sqlx::test(migrations = "../migrations")]
async fn whatsapp_waits_to_be_tapped_and_leaves_the_queue_then(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, key) = test.project().await;
    let body = json!({"channel": "whatsapp", "to": "+5491155551234", "text": "Tu pedido está listo"});
    test.post(&key, "/v1/notifications", body).await;
    let browser = Browser::logged_in(&test).await;
    let queue = format!("/shops/{project}/whatsapp");
    let page = browser.page(&queue).await;
    assert!(!page.contains("5551234") && page.contains("•••34"), "{page}");
    let link = page
        .split(r#"class="button primary" href=""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#x2f;", "/");
    let path = link.strip_prefix("http://hub.test").unwrap();
    assert_eq!(test.send("GET", path, &[("user-agent", "Mozilla/5.0")], "").await.status, 302);
    assert!(browser.page(&queue).await.contains("No queda ninguno por enviar."));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_manual_payment_is_confirmed_refunded_once_and_another_is_cancelled(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let pay = async |order: &str| {
        let body = json!({"order_id": order, "amount": "1500.00", "currency": "ARS", "description": "Mate para Ana Pérez",
            "method": "manual", "payer": {"email": "ana.perez@example.com"}});
        let headers = [("x-api-key", key.as_str()), ("idempotency-key", order)];
        test.send("POST", "/v1/payments", &headers, body.to_string()).await.id()
    };
    let browser = Browser::logged_in(&test).await;
    let (paid, given_up) = (pay("A-1").await, pay("A-2").await);
    let here = format!("/shops/{project}/payments/{paid}");
    let page = browser.page(&here).await;
    assert!(!page.contains("Ana Pérez"), "{page}");
    assert_eq!(
        browser.post(&format!("{here}/confirm"), &[("reference", "transferencia 77")]).await.status,
        303
    );
    assert_eq!(test.get(&key, &format!("/v1/payments/{paid}")).await.body["status"], "paid");
    assert!(browser.page(&here).await.contains("confirmed by the operator"));
    let fields = [("amount", "500.00"), ("once", "0123456789abcdef")];
    for _ in 0..2 {
        assert_eq!(browser.post(&format!("{here}/refunds"), &fields).await.status, 303);
    }
    test.until("a refund is done, once", async || {
        let payment = test.get(&key, &format!("/v1/payments/{paid}")).await.body;
        (payment["amount_refunded"] == "500.00" && payment["refunds"].as_array().unwrap().len() == 1)
            .then_some(())
    })
    .await;
    let cancelled = browser.post(&format!("/shops/{project}/payments/{given_up}/cancel"), &[]).await;
    assert_eq!(cancelled.status, 303, "{cancelled:?}");
    assert_eq!(test.get(&key, &format!("/v1/payments/{given_up}")).await.body["status"], "failed");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_case_is_closed_with_a_note(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, key) = test.project().await;
    sqlx::query(
        "insert into payment_cases (project_id, id, kind, subject, status, provider, order_id, detail, created_at)
         select id, $1, 'duplicate', 'x', 'open', 'mercadopago', 'A-9', 'charged twice', now() from projects",
    )
    .bind(test.app.ids.uuid(test.now()))
    .execute(&test.app.db)
    .await
    .unwrap();
    let case = test.get(&key, "/v1/payment-cases").await.body["data"][0]["id"].as_str().unwrap().to_owned();
    let browser = Browser::logged_in(&test).await;
    assert!(browser.page("/").await.contains("casos abiertos"));
    let path = format!("/shops/{project}/cases/{case}/close");
    assert_eq!(browser.post(&path, &[]).await.status, 422, "a note is required");
    assert_eq!(browser.post(&path, &[("note", "devuelto a mano")]).await.status, 303);
    let closed = test.get(&key, "/v1/payment-cases").await;
    assert_eq!(
        (&closed.body["data"][0]["status"], &closed.body["data"][0]["note"]),
        (&json!("closed"), &json!("devuelto a mano"))
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn a_template_is_edited_previewed_on_a_real_order_compared_and_activated(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (project, key) = test.project().await;
    test.post(&key, "/v1/events", order("A-1001")).await;
    let browser = Browser::logged_in(&test).await;
    let here = format!("/shops/{project}/templates/aviso");
    let part = |html: &'static str| {
        [
            ("channel", "email"),
            ("locale", "es"),
            ("subject", "Pedido {{ order_id }}"),
            ("html", html),
            ("sample", r#"{"order_id": "X-1"}"#),
        ]
    };
    for html in ["<p>Primera</p>", "<p>Segunda {{ order_id }}</p>"] {
        assert_eq!(browser.post(&here, &part(html)).await.status, 303);
    }
    let wrong = browser.post(&here, &part("{{ order_id")).await;
    assert_eq!(wrong.status, 422);

    let fields: Vec<_> =
        part("<p>{{ order_id }} {{ total }}</p>").into_iter().chain([("order", "A-1001")]).collect();
    let preview = browser.post(&format!("{here}/preview"), &fields).await;
    assert!(preview.headers["content-security-policy"].to_str().unwrap().starts_with("sandbox;"));
    let shown = text(&preview);
    assert!(shown.contains("Pedido A-1001") && shown.contains("<p>A-1001 18500.00</p>"), "{shown}");
    assert_eq!(audit(&test).await[0].1, "templates.previewed");
    let broken = text(&browser.post(&format!("{here}/preview"), &part("<p>{{ nothing }}</p>")).await);
    assert!(broken.contains(r#"role="alert""#) && broken.contains("nothing"), "{broken}");

    let compared = browser.page(&format!("{here}?version=2&from=1&channel=email")).await;
    assert!(compared.contains("Segunda") && compared.contains(r#"class="plus""#), "{compared}");
    assert_eq!(browser.post(&format!("{here}/activate"), &[("version", "2")]).await.status, 303);
    let active = test.get(&key, "/v1/templates/aviso").await;
    assert_eq!((&active.body["version"], &active.body["made_by"]), (&json!(2), &json!("admin-token")));
}

#[sqlx::test(migrations = "../migrations")]
async fn keys_are_rotated_limits_plan_and_flags_set_and_shops_made(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (project, key) = test.project().await;
    let browser = Browser::logged_in(&test).await;
    let here = format!("/shops/{project}/settings");
    let shown = text(&browser.post(&format!("{here}/rotate-key"), &[("grace_seconds", "3600")]).await);
    let fresh = format!("tk_live_{}", shown.split("tk_live_").nth(1).unwrap().split('<').next().unwrap());
    assert_eq!(
        [test.get(&key, "/v1/project").await.status, test.get(&fresh, "/v1/project").await.status],
        [200, 200]
    );
    browser.post(&format!("{here}/rotate-key"), &[("grace_seconds", "0")]).await;
    assert_eq!(
        [test.get(&key, "/v1/project").await.status, test.get(&fresh, "/v1/project").await.status],
        [401, 401]
    );

    assert_eq!(browser.post(&format!("{here}/limits"), &[("emails_per_day", "7")]).await.status, 303);
    assert_eq!(browser.post(&format!("{here}/limits"), &[("emails_per_day", "many")]).await.status, 422);
    assert_eq!(browser.post(&format!("{here}/project"), &[("plan", "pro")]).await.status, 303);
    assert_eq!(
        browser.post(&format!("{here}/flag"), &[("flag", "payments"), ("enabled", "off")]).await.status,
        303
    );
    let about = test.admin("GET", &format!("/admin/v1/projects/{project}"), json!({})).await.body;
    assert_eq!(
        (&about["limits"]["emails_per_day"], &about["plan"], &about["features"]["payments"]),
        (&json!(7), &json!("pro"), &json!(false))
    );

    let made = text(
        &browser
            .post("/shops", &[("name", "Yerba"), ("domain", "yerba.example.com"), ("mode", "test")])
            .await,
    );
    assert!(made.contains("tk_test_"), "{made}");
    assert!(browser.page("/").await.contains("yerba.example.com"));
}
