//! A hub that the simulator can call, a project with credentials, and a way to give orders to the simulator.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use trastienda_mercadopago_sim::{Config, Seller, Simulator};

use crate::support::{Answer, TestApp};

pub(super) struct World {
    pub(super) test: TestApp,
    pub(super) simulator: Simulator,
    pub(super) seller: Seller,
    pub(super) address: SocketAddr,
    pub(super) project: String,
    pub(super) key: String,
}

impl World {
    /// A project that charges as the simulator's Argentine seller.
    pub(super) async fn new(pool: PgPool) -> Self {
        Self::of_site(pool, "MLA").await
    }

    pub(super) async fn of_site(pool: PgPool, site: &str) -> Self {
        Self::with(pool, site, Config::default()).await
    }

    pub(super) async fn with(pool: PgPool, site: &str, config: Config) -> Self {
        let simulator = Simulator::start(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = simulator.url();
        let test = TestApp::with(pool, |config| {
            config.public_url = format!("http://{address}").parse().unwrap();
            config.mercadopago_url = url.parse().unwrap();
        })
        .await;
        let router = test.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (project, key) = test.project().await;
        let seller = Seller::known().into_iter().find(|seller| seller.site == site).unwrap();
        let world = Self { test, simulator, seller, address, project, key };
        let answer = world.set_credentials(&world.seller.access_token, &world.seller.webhook_secret).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        world
    }

    /// What is under way looks as if its hub had died over it: leased by a number that nobody has.
    pub(super) async fn let_hub_die(&self) {
        let statement = "update payment_transactions set lease_hub = -1 where lease_token is not null";
        let left = sqlx::query(statement).execute(&self.test.app.db).await.unwrap();
        assert_eq!(left.rows_affected(), 1);
    }

    /// A second hub that is known to the provider by the same address: it may make any of the first one's calls, and
    /// what comes of them is told to that address.
    pub(super) async fn another_hub(&self) -> TestApp {
        let (address, url) = (self.address, self.simulator.url());
        TestApp::sharing_with(&self.test, |config| {
            config.public_url = format!("http://{address}").parse().unwrap();
            config.mercadopago_url = url.parse().unwrap();
        })
        .await
    }

    pub(super) async fn set_credentials(&self, token: &str, secret: &str) -> Answer {
        let body = json!({"access_token": token, "webhook_secret": secret}).to_string();
        let headers = [("x-api-key", self.key.as_str())];
        self.test.send("PUT", "/v1/payment-providers/mercadopago", &headers, body).await
    }

    /// A checkout of 1500.50 pesos, with whatever is changed about it.
    pub(super) fn checkout(order: &str, more: Value) -> Value {
        let mut body = json!({
            "order_id": order, "amount": "1500.50", "currency": "ARS", "description": "Yerba",
            "method": "checkout", "payer": {"email": "ana@example.com", "first_name": "Ana"},
            "back_urls": {"success": "https://shop.example/ok"},
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    pub(super) async fn create(&self, key: &str, body: Value) -> Answer {
        self.create_with(key, "wait=10", body).await
    }

    pub(super) async fn create_with(&self, key: &str, prefer: &str, body: Value) -> Answer {
        let headers = [("x-api-key", self.key.as_str()), ("idempotency-key", key), ("prefer", prefer)];
        self.test.send("POST", "/v1/payments", &headers, body.to_string()).await
    }

    /// A checkout that is waiting for its buyer.
    pub(super) async fn waiting(&self, order: &str) -> Value {
        let answer = self.create(&format!("key-{order}"), Self::checkout(order, json!({}))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// An order to the simulator that has to work.
    pub(super) async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/control{path}", self.simulator.url());
        let call = self.test.app.outbound.operator().post(url).body(body.to_string());
        let response = call.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub(super) async fn fault(&self, fault: Value) {
        self.control("/faults", fault).await;
    }

    /// What the provider itself answers.
    pub(super) async fn provider(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.simulator.url());
        let call = self.test.app.outbound.operator().get(url).bearer_auth(&self.seller.access_token);
        call.send().await.unwrap().json().await.unwrap()
    }

    /// The buyer pays a checkout, or tries to. Gives the provider's payment.
    pub(super) async fn buy(&self, payment: &Value, attempt: Value) -> Value {
        let preference = payment["provider_reference"].as_str().unwrap();
        self.control(&format!("/preferences/{preference}/pay"), attempt).await
    }

    pub(super) async fn payment(&self, payment: &Value) -> Value {
        let id = payment["id"].as_str().unwrap();
        self.test.get(&self.key, &format!("/v1/payments/{id}")).await.body
    }

    /// The payment, once it is so.
    pub(super) async fn until(&self, payment: &Value, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.test
            .until(what, async || Some(self.payment(payment).await).filter(|payment| is_so(payment)))
            .await
    }

    pub(super) async fn until_status(&self, payment: &Value, status: &str) -> Value {
        self.until(payment, &format!("the payment is {status}"), |payment| payment["status"] == status).await
    }

    pub(super) async fn events(&self, event_type: &str) -> Vec<Value> {
        let list = self.test.get(&self.key, &format!("/v1/events?type={event_type}")).await;
        list.body["data"].as_array().unwrap().clone()
    }

    /// How many preferences the provider has for a payment.
    pub(super) async fn preferences(&self, payment: &Value) -> u64 {
        let id = payment["id"].as_str().unwrap();
        let found = self.provider(&format!("/checkout/preferences/search?external_reference={id}")).await;
        found["total"].as_u64().unwrap()
    }

    /// The outcomes of the timeline.
    pub(super) fn told(payment: &Value) -> Vec<String> {
        let timeline = payment["timeline"].as_array().unwrap();
        timeline.iter().map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect()
    }
}
