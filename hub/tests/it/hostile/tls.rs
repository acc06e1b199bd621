//! TLS: who is believed, and HTTP/2 inside.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{attempted, endpoint, impatient_hub, send};
use crate::support::{Authority, Flaw, TestApp, Wire, say};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[sqlx::test(migrations = "../migrations")]
async fn a_certificate_is_verified_and_a_wrong_one_gets_nothing(pool: PgPool) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (test, key) = impatient_hub(pool, vec![authority.root()]).await;
    let http1: &[&str] = &["http/1.1"];
    let cases = [
        ("right", authority.server("shop.example.com", Flaw::None, http1), None),
        ("by-address", authority.server("127.0.0.1", Flaw::None, http1), None),
        (
            "self-signed",
            authority.server("shop.example.com", Flaw::SelfSigned, http1),
            Some("invalid peer certificate"),
        ),
        (
            "unknown-authority",
            stranger.server("shop.example.com", Flaw::None, http1),
            Some("invalid peer certificate"),
        ),
        ("expired", authority.server("shop.example.com", Flaw::Expired, http1), Some("expired")),
        (
            "another-host",
            authority.server("other.example.com", Flaw::None, http1),
            Some("not valid for name"),
        ),
        ("no-tls", authority.server("shop.example.com", Flaw::None, http1), Some("timed out")),
    ];
    for (name, server, flaw) in cases {
        let wire = if name == "no-tls" {
            Wire::start(say(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")).await
        } else {
            Wire::start_tls(server, say(OK)).await
        };
        let host = if name == "by-address" { "127.0.0.1" } else { "shop.example.com" };
        let event_type = endpoint(&test, &key, name, &wire.https(host), &[3_600]).await;
        send(&test, &key, &event_type).await;
        let delivery = attempted(&test, &key, &event_type, 1).await;
        let error = delivery["last_error"].as_str().unwrap_or_default();
        let requests = wire.header("webhook-id").len();
        match flaw {
            None => {
                assert_eq!((delivery["status"].as_str(), requests), (Some("sent"), 1), "{name}: {delivery}");
            }
            Some(flaw) => {
                assert!(delivery["status"] == "pending" && error.contains(flaw), "{name}: {delivery}");
                assert_eq!(requests, 0, "{name} was told something");
            }
        }
    }
}

/// A real server of HTTP/1.1 and HTTP/2 behind TLS. It counts connections and what it was spoken to in.
struct Modern {
    port: u16,
    connections: Arc<AtomicUsize>,
    versions: Arc<Mutex<Vec<Version>>>,
}

impl Modern {
    async fn start(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, versions) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let modern = Self { port, connections: connections.clone(), versions: versions.clone() };
        let tls = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, versions) = (tls.clone(), versions.clone());
                tokio::spawn(async move {
                    let stream = TokioIo::new(tls.accept(stream).await.ok()?);
                    let service = service_fn(|request: Request<Incoming>| {
                        versions.lock().unwrap().push(request.version());
                        async { Ok::<_, Infallible>(Response::new(String::new())) }
                    });
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    builder.serve_connection(stream, service).await.ok()
                });
            }
        });
        modern
    }

    /// So many events, and what came of them.
    async fn deliver(&self, test: &TestApp, key: &str, name: &str, count: usize) -> Vec<Version> {
        let event_type =
            endpoint(test, key, name, &format!("https://shop.example.com:{}/", self.port), &[]).await;
        for _ in 0..count {
            send(test, key, &event_type).await;
        }
        test.until("all arrive", async || (self.versions.lock().unwrap().len() >= count).then_some(())).await;
        let list =
            test.get(key, &format!("/v1/webhook-deliveries?event_type={event_type}&status=failed")).await;
        assert_eq!(list.body["data"], json!([]));
        self.versions.lock().unwrap().clone()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn http_2_is_spoken_where_it_is_offered_and_connections_are_used_again(pool: PgPool) {
    let authority = Authority::new();
    let (test, key) = impatient_hub(pool, vec![authority.root()]).await;
    for (name, protocols, version) in [
        ("modern", &["h2", "http/1.1"][..], Version::HTTP_2),
        ("older", &["http/1.1"][..], Version::HTTP_11),
        // Nothing agreed upon.
        ("silent", &[][..], Version::HTTP_11),
    ] {
        let modern = Modern::start(authority.server("shop.example.com", Flaw::None, protocols)).await;
        let versions = modern.deliver(&test, &key, name, 60).await;
        assert_eq!(versions, vec![version; 60], "{name}");
        // Of the ten that may be under way at once, each has one at most, and one that comes back a moment after its answer.
        let connections = modern.connections.load(Ordering::SeqCst);
        assert!((1..=20).contains(&connections), "{name}: {connections} connections");
    }
}
