//! Templates: versions, locales, previews, and what comes with the hub.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{settled, with_mail};
use crate::support::TestApp;

async fn put(test: &TestApp, key: &str, name: &str, body: Value) -> crate::support::Answer {
    test.send("PUT", &format!("/v1/templates/{name}"), &[("x-api-key", key)], body.to_string()).await
}

fn versions(page: &Value) -> Vec<(String, i64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| (text(&row["channel"]), row["version"].as_i64().unwrap(), text(&row["locale"])))
        .collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn versions_never_change_and_the_active_one_is_used(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let put = async |text: &str| {
        let body = json!({"channel": "email", "subject": "Hola {{ name }}", "text": text, "sample": {"name": "Ana"}});
        let made = test.send("PUT", "/v1/templates/hello", &[("x-api-key", &key)], body.to_string()).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["version"].as_i64().unwrap()
    };
    assert_eq!((put("uno {{ name }}").await, put("dos {{ name }}").await), (1, 2));
    let send = async || {
        let body = json!({"channel": "email", "to": "a@b.co", "template": "hello", "data": {"name": "Eva"}});
        let id = test.post(&key, "/v1/notifications", body).await.id();
        settled(&test, &key, &id, "sent").await["template_version"].as_i64().unwrap()
    };
    assert_eq!(send().await, 1);
    let activated = test.post(&key, "/v1/templates/hello/activate", json!({"version": 2})).await;
    assert!(activated.status.is_success(), "{activated:?}");
    assert_eq!(send().await, 2);
    assert!(smtp.mails()[1].contains("dos Eva"));
    let preview =
        test.post(&key, "/v1/templates/hello/preview", json!({"data": {"name": "<b>"}, "version": 1})).await;
    assert_eq!(preview.body["text"], "uno <b>", "{preview:?}");
    let broken = json!({"channel": "email", "subject": "s", "text": "{{ name"}).to_string();
    let refused = test.send("PUT", "/v1/templates/hello", &[("x-api-key", &key)], broken).await;
    assert_eq!((refused.status.as_u16(), refused.pointers()), (422, vec!["/text"]));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_starts_with_templates_and_its_own_take_their_place(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let (_, other) = test.project().await;
    let query = "/v1/templates?name=order_confirmation&channel=email";
    let all = [("email", 0, "es"), ("email", 0, "pt"), ("email", 0, "en")]
        .map(|(c, v, l)| (c.to_owned(), v, l.to_owned()));
    assert_eq!(versions(&test.get(&key, query).await.body), all);
    let own = json!({"channel": "email", "locale": "es-AR", "subject": "Pedido", "html": "<p>¡Listo!</p>"});
    assert_eq!(
        put(&test, &key, "order_confirmation", own).await.body,
        json!({"name": "order_confirmation", "version": 1, "active": true})
    );
    assert_eq!(versions(&test.get(&key, query).await.body), [("email".to_owned(), 1, "es-AR".to_owned())]);
    assert_eq!(versions(&test.get(&other, query).await.body), all);
    // The other channel keeps what comes with the hub, and so does who asks for it by its number.
    let whatsapp = test.get(&key, "/v1/templates/order_confirmation?channel=whatsapp").await;
    assert_eq!(
        (whatsapp.body["builtin"].as_bool(), whatsapp.body["version"].as_i64()),
        (Some(true), Some(0))
    );
    assert_eq!(test.get(&key, "/v1/templates/order_confirmation").await.body["version"], 1);
    assert_eq!(
        test.get(&key, "/v1/templates/order_confirmation?version=0&locale=pt-BR").await.body["locale"],
        "pt"
    );
    assert_eq!(test.get(&key, "/v1/templates/order_confirmation?version=7").await.status, 404);
    assert_eq!(test.get(&other, "/v1/templates/order_confirmation?version=1").await.status, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_locale_falls_back_and_the_version_used_is_noted(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let data = json!({"order_id": "A-1", "customer_name": "Ana", "total": "18500.00", "currency": "BRL"});
    let mut subjects = Vec::new();
    for (locale, rendered) in [("pt-BR", "pt"), ("fr", "es"), ("en", "en")] {
        let body = json!({"channel": "email", "to": "ana@example.com", "template": "order_confirmation", "locale": locale, "data": data});
        let id = test.post(&key, "/v1/notifications", body).await.id();
        let sent = settled(&test, &key, &id, "sent").await;
        assert_eq!((sent["locale"].as_str(), sent["template_version"].as_i64()), (Some(rendered), Some(0)));
        subjects.push(sent["content"]["subject"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        subjects,
        ["Recebemos o seu pedido A-1", "Recibimos tu pedido A-1", "We received your order A-1"]
    );
    assert_eq!(smtp.mails().len(), 3);
    // Where nothing else is there, it is the project's own.
    let settings = json!({"locale": "pt-BR", "country": "BR", "time_zone": "America/Sao_Paulo"});
    let path = "/v1/notification-settings";
    assert_eq!(test.get(&key, path).await.body["locale"], "es");
    let set = test.send("PUT", path, &[("x-api-key", &key)], settings.to_string()).await;
    assert_eq!((set.status.as_u16(), &test.get(&key, path).await.body), (200, &settings));
    let body = json!({"channel": "email", "to": "ana@example.com", "template": "order_confirmation", "locale": "fr", "data": data});
    let id = test.post(&key, "/v1/notifications", body).await.id();
    assert_eq!(settled(&test, &key, &id, "sent").await["locale"], "pt");
    for wrong in [json!({"country": "Brasil"}), json!({"time_zone": "Mars/Olympus"}), json!({"locale": "x"})]
    {
        let refused = test.send("PUT", path, &[("x-api-key", &key)], wrong.to_string()).await;
        assert_eq!(refused.status, 422, "{wrong}");
    }
    // Who asks for no locale gets the only one that there is; who asks for another is told.
    put(&test, &key, "welcome", json!({"channel": "email", "locale": "en", "subject": "Hi", "text": "Hi"}))
        .await;
    let body = |locale: Option<&str>| json!({"channel": "email", "to": "ana@example.com", "template": "welcome", "locale": locale});
    assert_eq!(test.post(&key, "/v1/notifications", body(None)).await.status, 202);
    assert_eq!(test.post(&key, "/v1/notifications", body(Some("pt"))).await.pointers(), ["/locale"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_preview_shows_html_and_text_and_sends_nothing(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let preview = test.post(&key, "/v1/templates/order_confirmation/preview", json!({})).await;
    assert_eq!(preview.body["subject"], "Recibimos tu pedido A-1042", "{preview:?}");
    let own = json!({"channel": "email", "subject": "Hola {{ name }}", "html": "<h1>Hola {{ name }}</h1><p>{{ total | money('ARS') }}</p>", "sample": {"name": "Ana", "total": "1500"}});
    put(&test, &key, "hello", own).await;
    let preview = test
        .post(&key, "/v1/templates/hello/preview", json!({"data": {"name": "<b>\r\nBcc: x", "total": 2}}))
        .await;
    assert_eq!(preview.body["subject"], "Hola <b> Bcc: x");
    assert!(preview.body["html"].as_str().unwrap().contains("&lt;b&gt;"), "{preview:?}");
    assert_eq!(preview.body["text"], "Hola <b> Bcc: x\n\n$ 2,00");
    assert_eq!(
        test.post(&key, "/v1/templates/hello/preview", json!({"data": {}})).await.pointers(),
        ["/data/name", "/data/total"]
    );
    assert_eq!(test.post(&key, "/v1/templates/nothing/preview", json!({})).await.status, 404);
    assert!(smtp.mails().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_template_cannot_be_is_refused(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    for (body, pointers) in [
        (json!({"channel": "email", "subject": "s", "mjml": "<mjml><mj-body>"}), vec!["/mjml"]),
        (json!({"channel": "email", "subject": "s", "mjml": "<mjml></mjml>", "html": "<p>"}), vec!["/mjml"]),
        (
            json!({"channel": "email", "subject": "s", "mjml": "<mjml><mj-body><mj-raw>{{ x</mj-raw></mj-body></mjml>"}),
            vec!["/mjml"],
        ),
        (json!({"channel": "email", "text": "t"}), vec!["/subject"]),
        (json!({"channel": "email", "subject": "{% if %}", "html": "{{ x"}), vec!["/subject", "/html"]),
        (
            json!({"channel": "email", "subject": "{{ a }}", "text": "{{ b }}", "sample": {"c": 1}}),
            vec!["/sample/a", "/sample/b"],
        ),
        (json!({"channel": "whatsapp", "text": "t", "html": "h"}), vec!["/html"]),
        (json!({"channel": "whatsapp", "text": "t", "locale": "spanish"}), vec!["/locale"]),
        (json!({"channel": "whatsapp", "text": "{% include 'x' %}", "sample": {"a": 1}}), vec!["/sample"]),
    ] {
        let refused = put(&test, &key, "t", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (422, pointers), "{body}");
    }
    assert_eq!(
        put(&test, &key, "Not%20A%20Name", json!({"channel": "whatsapp", "text": "t"})).await.status,
        422
    );
    assert_eq!(test.post(&key, "/v1/templates/t/activate", json!({"version": 1})).await.status, 404);
    let page = test.get(&key, "/v1/templates?name=t").await;
    assert!(page.body["data"].as_array().unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn versions_made_at_once_have_numbers_of_their_own_and_one_is_active(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body = json!({"channel": "whatsapp", "text": "Hola"});
    let puts = (0..8).map(|_| put(&test, &key, "hello", body.clone()));
    let made = futures_util::future::join_all(puts).await;
    let mut numbers: Vec<i64> = made.iter().map(|answer| answer.body["version"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    let activations =
        (1..=8).map(|version| test.post(&key, "/v1/templates/hello/activate", json!({"version": version})));
    let made: Vec<_> = futures_util::future::join_all(activations).await;
    assert!(made.iter().all(|answer| answer.status == 200), "{made:?}");
    let page = test.get(&key, "/v1/templates?name=hello").await;
    let active = page.body["data"].as_array().unwrap().iter().filter(|row| row["active"] == true).count();
    assert_eq!(active, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn mjml_is_compiled_once_and_its_text_part_made(pool: PgPool) {
    let (test, smtp, key) = with_mail(pool).await;
    let mjml = "<mjml><mj-head><mj-style>h1 { color: #123456 }</mj-style></mj-head><mj-body><mj-section><mj-column>\
                <mj-text><h1>Hola {{ name }}</h1></mj-text>\
                <mj-table>{% for item in items %}<tr><td>{{ item }}</td></tr>{% endfor %}</mj-table>\
                </mj-column></mj-section></mj-body></mjml>";
    let body = json!({"channel": "email", "subject": "Hola", "mjml": mjml, "sample": {"name": "Ana", "items": ["a"]}});
    assert_eq!(put(&test, &key, "hello", body).await.status, 201);
    let shown = test.get(&key, "/v1/templates/hello").await;
    assert_eq!((shown.body["mjml"].as_str(), &shown.body["html"]), (Some(mjml), &Value::Null));
    assert_eq!(shown.body["variables"], json!(["items", "name"]));
    let body = json!({"channel": "email", "to": "a@b.co", "template": "hello", "data": {"name": "<Eva>", "items": ["uno", "dos"]}});
    let id = test.post(&key, "/v1/notifications", body).await.id();
    let content = &settled(&test, &key, &id, "sent").await["content"];
    let html = content["html"].as_str().unwrap();
    assert!(html.contains("color: #123456") && html.contains("Hola &lt;Eva&gt;</h1>"), "{html}");
    assert!(html.contains("<tr><td") && html.contains("dos</td></tr>"), "{html}");
    assert_eq!(content["text"], "Hola <Eva>\n\nuno\ndos");
    assert!(smtp.mails()[0].contains("multipart/alternative"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_version_that_its_sample_does_not_meet_stays_a_draft(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let body = |text: &str, sample: Value| {
        let mut body = json!({"channel": "email", "subject": "s", "text": text});
        if !sample.is_null() {
            body["sample"] = sample;
        }
        body
    };
    let active = async |text: &str, sample: Value| {
        let made = put(&test, &key, "hello", body(text, sample)).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["active"].as_bool().unwrap()
    };
    assert!(!active("{{ name }}", Value::Null).await);
    let activate = async |version: i32| {
        test.post(&key, "/v1/templates/hello/activate", json!({"version": version})).await
    };
    assert_eq!(activate(1).await.pointers(), ["/sample/name"]);
    let waiting =
        json!({"channel": "email", "to": "ana@example.com", "template": "hello", "data": {"name": "Ana"}});
    let refused = test.post(&key, "/v1/notifications", waiting).await;
    assert_eq!(refused.pointers(), ["/template"]);
    let told = refused.body["errors"][0]["message"].as_str().unwrap();
    assert!(told.contains("no active version") && told.contains("/v1/templates/hello/activate"), "{told}");
    assert!(active("{{ name }}", json!({"name": "Ana"})).await);
    // Without a sample, that of the version before it counts.
    assert!(!active("Hola {{ name }}", Value::Null).await);
    assert_eq!(activate(3).await.status, 200);
    assert_eq!(activate(2).await.status, 200);
    // Twice the same is no second activation.
    assert_eq!(activate(2).await.status, 200);
    let log = test.get(&key, "/v1/templates/hello/activations").await;
    let told: Vec<i64> =
        log.body["data"].as_array().unwrap().iter().map(|row| row["version"].as_i64().unwrap()).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(log.body["data"][0]["activated_by"], key[8..20]);
    assert_eq!(test.get(&key, "/v1/templates/hello").await.body["activated_by"], key[8..20]);
}

#[sqlx::test(migrations = "../migrations")]
async fn two_versions_are_told_apart_line_by_line(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    for text in ["uno\ndos\ntres", "uno\nDOS\ntres"] {
        put(&test, &key, "hello", json!({"channel": "whatsapp", "text": text})).await;
    }
    let diff = test.get(&key, "/v1/templates/hello/diff?to=2").await;
    assert_eq!((diff.body["from"].as_i64(), diff.body["to"].as_i64()), (Some(1), Some(2)));
    let change = &diff.body["changes"][0];
    assert_eq!(change["part"], "text");
    assert_eq!(change["diff"], "--- version 1\n+++ version 2\n@@ -1,3 +1,3 @@\n uno\n-dos\n+DOS\n tres\n");
    assert_eq!(diff.body["changes"].as_array().unwrap().len(), 1);
    assert_eq!(test.get(&key, "/v1/templates/hello/diff").await.pointers(), ["?to"]);
    assert_eq!(test.get(&key, "/v1/templates/hello/diff?from=1&to=9").await.status, 404);
    let mine =
        put(&test, &key, "shipping", json!({"channel": "email", "subject": "Sale", "text": "Sale"})).await;
    assert_eq!(mine.body["active"], true);
    let diff = test.get(&key, "/v1/templates/shipping/diff?from=0&to=1&channel=email").await;
    let parts: Vec<_> = diff.body["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["part"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["subject", "mjml", "text"]);
}
