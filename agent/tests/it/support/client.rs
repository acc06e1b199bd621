//! Calls over a Unix socket or a port, on one kept connection or on many.

use std::net::SocketAddr;
use std::path::Path;

use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem's code, after checking that it is a problem document with the request's id.
    pub(crate) fn problem(&self) -> String {
        let body = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{body}");
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        body["code"].as_str().unwrap().to_owned()
    }
}

/// One kept connection.
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(crate) async fn socket(path: &Path) -> Self {
        Self::try_socket(path).await.unwrap()
    }

    /// For when there may be nobody listening.
    pub(crate) async fn try_socket(path: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(path).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    pub(crate) async fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends a request; its answer is still to be read.
    pub(crate) async fn begin(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.0.ready().await?;
        self.0.send_request(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, hyper::Error> {
        let answer = self.begin(method, path, headers, body).await?;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, bytes })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await.unwrap()
    }

    pub(crate) async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.send(Method::POST, path, headers, body.to_string()).await.unwrap()
    }
}
