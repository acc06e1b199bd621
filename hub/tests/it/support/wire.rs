//! A server of bytes: it reads a request and then does what its script says, right or wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A connection, with or without TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What is done with a connection once a whole request has come: the request's number (from 0) and the connection. If it
/// gives the connection back, the next request is read.
pub(crate) type Script =
    Arc<dyn Fn(usize, Box<dyn Io>) -> BoxFuture<'static, Option<Box<dyn Io>>> + Send + Sync>;

/// The server.
#[derive(Clone)]
pub(crate) struct Wire {
    port: u16,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// Starts one that does this to every request.
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_with(None, script).await
    }

    /// The same behind TLS.
    pub(crate) async fn start_tls(tls: ServerConfig, script: Script) -> Self {
        Self::start_with(Some(TlsAcceptor::from(Arc::new(tls))), script).await
    }

    async fn start_with(tls: Option<TlsAcceptor>, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Self { port, connections: Arc::default(), heads: Arc::default() };
        let shared = wire.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(shared.clone().serve(stream, tls.clone(), script.clone()));
            }
        });
        wire
    }

    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>, script: Script) -> Option<()> {
        let mut stream: Box<dyn Io> = match tls {
            Some(tls) => Box::new(tls.accept(stream).await.ok()?),
            None => Box::new(stream),
        };
        loop {
            let head = read_request(&mut stream).await?;
            let number = {
                let mut heads = self.heads.lock().unwrap();
                heads.push(head);
                heads.len() - 1
            };
            stream = script(number, stream).await?;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Its address with TLS, under a name.
    pub(crate) fn https(&self, host: &str) -> String {
        format!("https://{host}:{}/hook", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The value of a header, of each request that came.
    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let value = |head: &String| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        self.heads.lock().unwrap().iter().map(value).collect()
    }
}

/// Reads a request with its body, and gives its head.
async fn read_request(stream: &mut Box<dyn Io>) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
            if body.len() >= length {
                return Some(head.to_owned());
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// A script that says this and keeps the connection.
pub(crate) fn say(answer: &'static [u8]) -> Script {
    Arc::new(move |_, mut stream| {
        Box::pin(async move {
            stream.write_all(answer).await.ok()?;
            Some(stream)
        })
    })
}

/// A script that says this and hangs up.
pub(crate) fn say_and_close(answer: &'static [u8]) -> Script {
    Arc::new(move |_, mut stream| {
        Box::pin(async move {
            stream.write_all(answer).await.ok()?;
            stream.shutdown().await.ok()?;
            None
        })
    })
}
