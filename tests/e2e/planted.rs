//! Secrets, addresses, card data and tokens that are planted in a whole run are readable nowhere that they must not be: no
//! log, no error that is answered, no metric, no page of the dashboard that nobody asked to reveal.

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context as _, ensure};
use e2e::{Hub, Stack, client};
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};

const EMAIL: &str = "plantada.dos@cliente.example.com";
/// As it is kept, after the country and the mobile prefix.
const PHONE: &str = "1123456701";
const NAME: &str = "Plantina Secretóvich";
const STREET: &str = "Calle Plantada 4242";
const CARD: &str = "5031755734530604";
const CARD_TOKEN: &str = "tok_plantado_0123456789abcdef";

#[tokio::test]
async fn what_is_planted_is_found_in_no_log_error_metric_or_masked_page() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    stack.hub.set_credentials(&stack.project_a, &stack.simulator).await?;
    let answer = stack.shop_a.order(None, "yerba-kilo", EMAIL, Some("+54 9 11 2345-6701")).await?;
    let order = answer["order_id"].as_str().context("no order")?;
    let made = stack.shop_a.checkout(order).await?;
    let payment = format!("/v1/payments/{}", made["payment_id"].as_str().context("no payment")?);
    let paid = stack.hub.get(&stack.project_a, &payment).await?;
    stack.simulator.pay(paid["provider_reference"].as_str().context("no preference")?).await?;
    stack.catcher.mail_to(EMAIL).await?;
    let customer = json!({"name": NAME, "email": EMAIL, "phone": format!("+549{PHONE}"), "address": STREET});
    let data = json!({"order_id": "P-1", "customer": customer, "card": CARD, "card_token": CARD_TOKEN, "note": NAME});
    stack.hub.post(&stack.project_a, "/v1/events", json!({"type": "order.created", "data": data})).await?;
    let mail = json!({"channel": "email", "to": EMAIL, "subject": NAME, "text": format!("{STREET} {CARD}"),
        "metadata": {"card": CARD, "who": NAME}, "order_id": "P-1"});
    stack.hub.post(&stack.project_a, "/v1/notifications", mail).await?;
    let whatsapp =
        json!({"channel": "whatsapp", "to": format!("+549{PHONE}"), "text": format!("{NAME}, {STREET}")});
    stack.hub.post(&stack.project_a, "/v1/notifications", whatsapp).await?;
    let errors = errors(&stack).await?;
    // A hub that dies and comes back tells of failures too.
    stack.hub.kill().await?;
    stack.shop_a.order(None, "yerba-kilo", EMAIL, None).await?;
    stack.hub.restart(&stack.directory).await?;
    stack.agent.until_drained().await?;

    let master_key = std::fs::read_to_string(stack.directory.path("hub/master.key"))?;
    let secrets = [
        ("an API key's secret", stack.project_a.secret().to_owned()),
        ("the admin token", stack.hub.admin_token().to_owned()),
        ("the provider's access token", stack.simulator.access_token.clone()),
        ("the provider's webhook secret", stack.simulator.webhook_secret.clone()),
        ("the master key", master_key.trim().to_owned()),
        ("a webhook secret", "whsec_".to_owned()),
        ("an address", EMAIL.to_owned()),
        ("a number", PHONE.to_owned()),
        ("a name", NAME.to_owned()),
        ("a street", STREET.to_owned()),
        ("a card", CARD.to_owned()),
        ("a card's token", CARD_TOKEN.to_owned()),
    ];
    let search = |place: &str, text: &str| -> anyhow::Result<()> {
        for (what, secret) in &secrets {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            ensure!(line.is_none(), "{what} is in {place}: {}", line.unwrap_or_default());
        }
        Ok(())
    };
    ensure!(errors.len() >= 8, "only {} calls were refused", errors.len());
    for (place, text) in &errors {
        search(place, text)?;
    }
    let metrics = client()?
        .get(format!("{}/metrics", stack.hub.url))
        .bearer_auth(stack.hub.admin_token())
        .send()
        .await?;
    let metrics = metrics.error_for_status()?.text().await?;
    ensure!(metrics.contains("trastienda_http_requests_total"), "no metrics: {metrics}");
    search("the metrics", &metrics)?;
    let pages = crawl(&stack.hub).await?;
    for kind in [
        "/events/evt_",
        "/deliveries/whd_",
        "/notifications/ntf_",
        "/payments/pay_",
        "/endpoints/whe_",
        "/alerts",
        "/audit",
    ] {
        ensure!(pages.iter().any(|(path, _)| path.contains(kind)), "no page {kind} was seen");
    }
    for (path, text) in &pages {
        search(path, text)?;
    }
    let ours = |name: &str| {
        name.starts_with("hub") || name.starts_with("agent") || name == "server.log" || name == "laravel.log"
    };
    let logs = stack.directory.logs()?;
    let logs = logs.iter().map(|(file, text)| (file.file_name().unwrap_or_default().to_string_lossy(), text));
    let mut searched = String::new();
    for (name, text) in logs.filter(|(name, _)| ours(name)) {
        search(&name, text)?;
        searched.push_str(text);
    }
    // The right files, at the level that tells most.
    for line in ["the hub is ready", "DEBUG request", "a batch was not taken"] {
        ensure!(searched.contains(line), "`{line}` is not in what was searched");
    }
    stack.stop().await
}

/// What the hub answers to calls that it refuses, each with something planted in it.
async fn errors(stack: &Stack) -> anyhow::Result<Vec<(String, String)>> {
    let key = &stack.project_a.key;
    let card = json!({"order_id": "P-2", "amount": "10.00", "currency": "ARS", "description": "Mate", "method": "card",
        "payer": {"email": EMAIL}, "card": {"token": CARD_TOKEN, "payment_method_id": "visa", "installments": 1}});
    let calls: [(&str, &str, Value); 8] = [
        ("POST", "/v1/events", json!({"type": "NOT A TYPE", "data": {"card": CARD, "name": NAME}})),
        ("POST", "/v1/events", json!({"type": "order.created", "data": {"name": NAME, "email": EMAIL}})),
        ("POST", "/v1/notifications", json!({"channel": "email", "to": format!("{EMAIL}@@"), "text": CARD})),
        (
            "POST",
            "/v1/notifications",
            json!({"channel": "whatsapp", "to": format!("+999{PHONE}"), "text": STREET}),
        ),
        (
            "POST",
            "/v1/notifications",
            json!({"channel": "email", "to": EMAIL, "template": "order_confirmation", "data": {"who": NAME}}),
        ),
        ("POST", "/v1/payments", card.clone()),
        (
            "PUT",
            "/v1/payment-providers/mercadopago",
            json!({"access_token": CARD_TOKEN, "webhook_secret": CARD}),
        ),
        ("POST", "/v1/webhook-endpoints", json!({"url": format!("ftp://x/{CARD_TOKEN}"), "events": ["*"]})),
    ];
    let mut answers = Vec::new();
    for (method, path, body) in calls {
        let call = client()?.request(method.parse()?, format!("{}{path}", stack.hub.url));
        let answer = call.header("x-api-key", key).json(&body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_client_error(), "{method} {path} answers {status}: {text}");
        answers.push((format!("the answer {status} of {method} {path}"), text));
    }
    // With a key of its own it is taken, and the provider refuses the token.
    let call = client()?.post(format!("{}/v1/payments", stack.hub.url)).header("idempotency-key", "planted");
    let answer = call.header("x-api-key", key).json(&card).send().await?;
    answers.push(("the answer to a card".to_owned(), answer.text().await?));
    let wrong = format!("{key}x");
    let answer =
        client()?.get(format!("{}/v1/project", stack.hub.url)).header("x-api-key", wrong).send().await?;
    answers.push(("the answer to a wrong key".to_owned(), answer.text().await?));
    Ok(answers)
}

/// Every page that the first one leads to, by links alone: nothing is revealed.
async fn crawl(hub: &Hub) -> anyhow::Result<Vec<(String, String)>> {
    const MOST: usize = 400;
    let client = client()?;
    let form = format!("name=&to=%2F&secret={}", hub.admin_token());
    let login = client.post(format!("{}/login", hub.url)).body(form);
    let answer = login.header("content-type", "application/x-www-form-urlencoded").send().await?;
    let cookie = answer.headers().get(SET_COOKIE).context("not logged in")?.to_str()?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let mut waiting = VecDeque::from(["/".to_owned()]);
    let mut known = BTreeSet::from(["/".to_owned()]);
    let mut pages = Vec::new();
    while let Some(path) = waiting.pop_front().filter(|_| pages.len() < MOST) {
        let answer = client.get(format!("{}{path}", hub.url)).header(COOKIE, &cookie).send().await?;
        ensure!(answer.status().is_success(), "{path} answers {}", answer.status());
        let text = answer.text().await?;
        for link in text.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let link = link.replace("&#x2f;", "/").replace("&amp;", "&").replace("&#x3d;", "=");
            let link = link.split('#').next().unwrap_or_default().to_owned();
            let is_page = link == "/"
                || ["/shops/", "/alerts", "/audit", "/account"].iter().any(|start| link.starts_with(start));
            if is_page && known.insert(link.clone()) {
                waiting.push_back(link);
            }
        }
        pages.push((path, text));
    }
    Ok(pages)
}
