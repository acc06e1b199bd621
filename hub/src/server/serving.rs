//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::Limits;
use super::budget::{Budget, Share};
use super::held::Held;
use super::overload::OverLimit;
use super::paced::Paced;
use super::patient::{Exchange, Patient, UnderWay};
use super::tls::Tls;

/// Bytes of a request's line and fields.
const HEAD_MAX: u16 = 32 * 1024;
/// Requests at once on a connection of HTTP/2.
const STREAMS_MAX: u32 = 128;

/// How connections are served.
pub(super) struct Serving {
    router: Router,
    limits: Limits,
    budget: Arc<Budget>,
    tls: Option<Arc<Tls>>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Serving {
    pub(super) fn new(router: Router, limits: Limits, tls: Option<Arc<Tls>>) -> Self {
        let mut http1 = http1::Builder::new();
        // The number of fields is left as it is, 100: setting it costs an allocation for each request.
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle)
            .max_header_size(usize::from(HEAD_MAX))
            .max_buf_size(usize::from(HEAD_MAX));
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::from(HEAD_MAX))
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(limits.idle / 3)
            .keep_alive_timeout(limits.patience);
        Self { router, limits, budget: Budget::new(limits.bodies), tls, http1, http2 }
    }

    /// Serves a connection until it ends. One that is over the limit gets one answer.
    pub(super) async fn run(
        &self,
        stream: TcpStream,
        caller: Caller,
        heard: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        match &self.tls {
            None => self.http1(stream, caller, heard).await,
            // In a box: a connection without TLS does not keep room for what TLS and HTTP/2 need.
            Some(tls) => Box::pin(self.tls(tls, stream, caller, heard)).await,
        }
    }

    async fn tls(
        &self,
        tls: &Tls,
        stream: TcpStream,
        caller: Caller,
        heard: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let handshake = tokio::time::timeout(self.limits.head, tls.acceptor().accept(stream)).await;
        let stream = handshake.inspect_err(|_| super::patient::timed_out("handshake"))??;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice()) {
            self.http2(stream, caller, heard).await
        } else {
            self.http1(stream, caller, heard).await
        }
    }

    fn room(&self) -> Room {
        Room { router: self.router.clone(), limits: self.limits, share: self.budget.share() }
    }

    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        caller: Caller,
        mut heard: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let exchange = Arc::new(Exchange::default());
        let io = TokioIo::new(Patient::new(stream, self.limits, exchange.clone()));
        let service = service_fn(|request: Request<Incoming>| {
            let under_way = Some(exchange.begin());
            // In a box: a connection that waits for its next request does not keep room for one.
            Box::pin(answer(self.room(), request, caller, under_way))
        });
        let mut builder = self.http1.clone();
        builder.keep_alive(!caller.is_over);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            result = connection.as_mut() => return Ok(result?),
            () = end(&mut heard) => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        caller: Caller,
        mut heard: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        // Its frames interleave requests: a head's time is bounded by the answer to its pings.
        let exchange = Arc::new(Exchange::default());
        let _under_way = exchange.begin();
        let io = TokioIo::new(Patient::new(stream, self.limits, exchange));
        let service = service_fn(|request: Request<Incoming>| answer(self.room(), request, caller, None));
        let mut connection = std::pin::pin!(self.http2.serve_connection(io, service));
        tokio::select! {
            result = connection.as_mut() => return result.context("HTTP/2"),
            () = end(&mut heard) => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }
}

/// Whose request it is.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    pub(super) address: SocketAddr,
    /// Whether its connection is one more than there may be.
    pub(super) is_over: bool,
}

/// What a request is answered with.
struct Room {
    router: Router,
    limits: Limits,
    share: Arc<Share>,
}

async fn answer(
    room: Room,
    request: Request<Incoming>,
    caller: Caller,
    under_way: Option<UnderWay>,
) -> Result<Response<Held<Option<UnderWay>>>, Infallible> {
    // Its part of the memory is its own until it is answered.
    let Room { router, limits, share } = room;
    let mut request = request.map(|body| Body::new(Paced::new(body, limits, share.clone())));
    request.extensions_mut().insert(ConnectInfo(caller.address));
    request.extensions_mut().insert(share.clone());
    if caller.is_over {
        request.extensions_mut().insert(OverLimit);
    }
    let response = router.oneshot(request).await?;
    drop(share);
    Ok(response.map(|body| Held::new(body, under_way)))
}

async fn end(heard: &mut watch::Receiver<bool>) {
    // The sender outlives the connections.
    let _ = heard.wait_for(|is_ending| *is_ending).await;
}
