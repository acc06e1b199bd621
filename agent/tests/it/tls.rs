//! TLS to the hub: checked, against the operator's own certificates where there are some, with HTTP/2 inside.

use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::Version;
use axum::middleware::{Next, from_fn};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::support::{StubHub, TestAgent, eventually};

fn pem(certificate: &Certificate) -> Vec<u8> {
    let text = STANDARD.encode(certificate.der());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}

/// A hub of this name, and the certificate of the authority that signed its own.
async fn hub_over_tls(hub: &StubHub) -> (Url, Vec<u8>, Arc<Mutex<Vec<Version>>>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = pem(&params.self_signed(&key).unwrap());
    let authority = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let versions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&versions);
    let router = hub.router().layer(from_fn(move |request: Request, next: Next| {
        seen.lock().unwrap().push(request.version());
        next.run(request)
    }));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (Url::parse(&format!("https://localhost:{port}")).unwrap(), root, versions)
}

#[tokio::test]
async fn the_hub_s_certificate_is_checked_against_the_operator_s_authority_and_http_2_is_spoken() {
    let hub = StubHub::away().await;
    let (url, root, versions) = hub_over_tls(&hub).await;
    let stranger = KeyPair::generate().unwrap();
    let stranger =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&stranger).unwrap();
    // An authority that signed something else is not believed, and nothing leaves.
    let (address, other) = (url.clone(), pem(&stranger));
    let distrusting = TestAgent::start_with(&hub, |config| {
        config.hub_url = address;
        config.hub_ca = Some(other);
    })
    .await;
    let answer = distrusting.client().await.get("/v1/payments").await;
    assert_eq!(answer.problem(), "hub_unreachable", "{}", answer.text());
    assert!(versions.lock().unwrap().is_empty(), "a request was sent to a hub that is not trusted");

    let agent = TestAgent::start_with(&hub, |config| {
        config.hub_url = url;
        config.hub_ca = Some(root);
    })
    .await;
    let body = serde_json::json!({"type": "stock.low", "data": {}});
    assert_eq!(agent.client().await.post("/v1/events", &[], &body).await.status, 202);
    eventually("it arrives", async || (hub.taken().len() == 1).then_some(())).await;
    let versions = versions.lock().unwrap();
    assert!(
        !versions.is_empty() && versions.iter().all(|version| *version == Version::HTTP_2),
        "{versions:?}"
    );
}
