//! A simulator of one's own, and the calls tests make.

use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use trastienda_mercadopago_sim::{Config, Seller, Simulator};

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The code of the first cause of an error.
    pub(crate) fn code(&self) -> Value {
        self.json()["cause"][0]["code"].clone()
    }
}

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) client: reqwest::Client,
    pub(crate) seller: Seller,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    /// Acts as the first seller.
    pub(crate) async fn with(config: Config) -> Self {
        let seller = config.sellers[0].clone();
        Self { simulator: Simulator::start(config).await.unwrap(), client: client(), seller }
    }

    /// The same simulator, acting as the seller of that country.
    pub(crate) fn become_seller_of(&mut self, site: &str) {
        self.seller = Seller::known().into_iter().find(|seller| seller.site == site).unwrap();
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value, key: Option<&str>) -> Answer {
        let mut call = self
            .client
            .request(method, format!("{}{path}", self.simulator.url()))
            .bearer_auth(&self.seller.access_token);
        if let Some(key) = key {
            call = call.header("X-Idempotency-Key", key);
        }
        if !body.is_null() {
            call = call.json(&body);
        }
        answer(call.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body, None).await
    }

    /// A call of the control interface that has to work.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let answer = self.post(&format!("/control{path}"), body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        if answer.text.is_empty() { Value::Null } else { answer.json() }
    }

    pub(crate) async fn pay(&self, key: &str, body: Value) -> Answer {
        self.call(Method::POST, "/v1/payments", body, Some(key)).await
    }

    /// A preference of 150.5 pesos, with whatever is added to it.
    pub(crate) async fn preference(&self, more: Value) -> Value {
        let mut body = json!({
            "items": [{"title": "Yerba", "quantity": 1, "unit_price": 150.5}],
            "external_reference": "pay_1",
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.post("/checkout/preferences", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    /// A token for a Visa whose holder has that name.
    pub(crate) async fn card(&self, holder: &str) -> String {
        let answer = self
            .post(
                "/v1/card_tokens",
                json!({
                    "card_number": "4509 9535 6623 3704", "expiration_month": 11, "expiration_year": 2030,
                    "security_code": "123", "cardholder": {"name": holder},
                }),
            )
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Pays 100.5 with a new card of that holder.
    pub(crate) async fn charge(&self, holder: &str, more: Value) -> Answer {
        let token = self.card(holder).await;
        let mut body = json!({
            "transaction_amount": 100.5, "token": token, "installments": 1,
            "payment_method_id": "visa", "payer": {"email": "ana@example.com"},
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.pay(&format!("key-{token}"), body).await
    }
}

pub(crate) async fn answer(response: Response) -> Answer {
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// A client that stays where it is sent.
#[expect(clippy::disallowed_methods, reason = "the one place where the tests make a client")]
pub(crate) fn client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// Asks again until there is an answer, for at most ten seconds.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
