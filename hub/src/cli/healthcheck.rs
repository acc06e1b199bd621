//! `trastienda-hub healthcheck`: for containers and supervisors.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::say;

#[derive(Args)]
pub(super) struct HealthcheckArgs {
    /// The hub's address.
    #[arg(long, env = "TRASTIENDA_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Set, whatever to: the hub speaks TLS.
    #[arg(long, env = "TRASTIENDA_TLS_CERT")]
    tls_cert: Option<String>,
}

impl HealthcheckArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut address: SocketAddr =
            self.listen.parse().context("TRASTIENDA_LISTEN: must be an address and a port")?;
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        let speaks_tls = self.tls_cert.is_some_and(|path| !path.is_empty());
        let answer = tokio::time::timeout(Duration::from_secs(5), connect_and_ask(address, speaks_tls))
            .await
            .context("no answer within 5 seconds")??;
        let ready = answer.starts_with("HTTP/1.1 200");
        say(answer.rsplit("\r\n\r\n").next().unwrap_or_default());
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

// One request on loopback: no client, no pool.
async fn connect_and_ask(address: SocketAddr, speaks_tls: bool) -> anyhow::Result<String> {
    let stream =
        TcpStream::connect(address).await.with_context(|| format!("nothing listens on {address}"))?;
    if !speaks_tls {
        return ask(stream).await;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Ourselves(provider)))
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    ask(TlsConnector::from(Arc::new(config)).connect(name, stream).await?).await
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<String> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer).await {
        // The other side may close without TLS's own good-bye.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
        _ => Ok(answer),
    }
}

/// Takes whatever certificate the listener on this machine shows: it is asked how it is, and told nothing. The certificate is for
/// the name that others call, and may have been replaced on the disk a moment ago.
#[derive(Debug)]
struct Ourselves(Arc<CryptoProvider>);

impl ServerCertVerifier for Ourselves {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
