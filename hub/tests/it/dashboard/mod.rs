//! The operator's dashboard, as a browser without JavaScript would use it.

mod actions;
mod alerts;
mod hostile;
mod saved;
mod session;

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Answer, TestApp};

/// A browser: it keeps its cookies and sends forms.
struct Browser<'a> {
    test: &'a TestApp,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Somebody who is not logged in.
    fn new(test: &'a TestApp) -> Self {
        Self { test, cookie: String::new() }
    }

    /// Somebody who came in by the admin token.
    async fn logged_in(test: &'a TestApp) -> Self {
        let mut browser = Self::new(test);
        let answer = browser.log_in("", ADMIN_TOKEN).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        browser
    }

    async fn log_in(&mut self, name: &str, secret: &str) -> Answer {
        let body = form(&[("name", name), ("secret", secret), ("to", "/")]);
        let answer = self.test.send("POST", "/login", &[FORM], body).await;
        if let Some(cookie) = answer.headers.get("set-cookie") {
            cookie.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.test.send("GET", path, &[("cookie", &self.cookie)], Body::empty()).await
    }

    /// A page that is there, as text.
    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        text(&answer)
    }

    /// Sends a form with the token that the first page's forms have.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf().await;
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        self.send(path, &fields, &[]).await
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let own = [FORM, ("cookie", self.cookie.as_str())];
        let headers: Vec<_> = own.into_iter().chain(headers.iter().copied()).collect();
        self.test.send("POST", path, &headers, form(fields)).await
    }

    async fn csrf(&self) -> String {
        let page = self.page("/account").await;
        let start = page.split(r#"name="csrf" value=""#).nth(1).expect("a form with a token");
        start.split('"').next().unwrap().to_owned()
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            use std::fmt::Write as _;
            if byte.is_ascii_alphanumeric() {
                out.push(char::from(byte));
            } else {
                write!(out, "%{byte:02X}").unwrap();
            }
            out
        })
    };
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

fn text(answer: &Answer) -> String {
    match &answer.body {
        Value::String(text) => text.clone(),
        other => panic!("no page: {other}"),
    }
}

/// Where an answer sends the browser.
fn location(answer: &Answer) -> &str {
    answer.headers.get("location").map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// The last entries of the audit log, newest first: who, what, to what, how it ended.
async fn audit(test: &TestApp) -> Vec<(String, String, String, String)> {
    sqlx::query_as::<_, (String, String, String, String)>(
        "select operator, action, coalesce(subject, ''), outcome from audit_log order by id desc limit 50",
    )
    .fetch_all(&test.app.db)
    .await
    .unwrap()
}

fn order(id: &str) -> Value {
    json!({"type": "order.created", "data": {
        "order_id": id, "customer": {"name": "Ana Pérez", "email": "ana.perez@example.com", "phone": "+5491155551234"},
        "total": "18500.00", "currency": "ARS", "items": [{"sku": "M-1", "name": "Mate", "quantity": 1, "price": "18500.00"}],
    }})
}
