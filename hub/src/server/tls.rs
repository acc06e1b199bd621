//! TLS with certificates from files, read again at SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, ensure};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::shutdown::Shutdown;

/// Where certificate and key are.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate and those that it hangs on, in PEM, the server's own first.
    pub certificates: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What new connections are served with.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    pub fn open(files: Files) -> anyhow::Result<Arc<Self>> {
        let config = RwLock::new(Arc::new(read(&files)?));
        Ok(Arc::new(Self { files, config }))
    }

    /// Reads the files again, for new connections. What cannot be used changes nothing.
    pub fn reload(&self) -> anyhow::Result<()> {
        let config = Arc::new(read(&self.files)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Reads the files again at each SIGHUP. Without TLS there is nothing to read, and the signal does nothing.
pub fn reload_on_hangup(tls: Option<Arc<Tls>>, shutdown: &Shutdown) -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    let token = shutdown.token.clone();
    shutdown.spawn(async move {
        loop {
            tokio::select! {
                hangup = hangups.recv() => if hangup.is_none() { return },
                () = token.cancelled() => return,
            }
            match tls.as_ref().map(|tls| tls.reload()) {
                Some(Ok(())) => tracing::info!("the certificates were read again"),
                Some(Err(error)) => tracing::error!(
                    error = format!("{error:#}"),
                    "the certificates cannot be used: going on with the old ones"
                ),
                None => tracing::info!("SIGHUP: there are no certificates to read again"),
            }
        }
    });
    Ok(())
}

fn read(files: &Files) -> anyhow::Result<ServerConfig> {
    let certificates = read_certificates(&files.certificates)
        .with_context(|| format!("TRASTIENDA_TLS_CERT: {}", files.certificates.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| {
        format!("TRASTIENDA_TLS_KEY: {} holds no private key in PEM", files.key.display())
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("TRASTIENDA_TLS_CERT and TRASTIENDA_TLS_KEY do not go together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read_certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(!found.is_empty(), "holds no certificate in PEM");
    Ok(found)
}
