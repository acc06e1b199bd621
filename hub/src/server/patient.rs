//! A connection that waits for its caller, but not for ever.
//!
//! Two things are timed, and only while they are under way: a request's head, from its first byte until it is whole;
//! and an answer that the caller does not read. A connection on which nobody has anything to send is not timed here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Limits;

/// Whether a request is under way on a connection: its head is whole, its answer not yet.
#[derive(Debug, Default)]
pub(super) struct Exchange(AtomicBool);

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Exchange>);

impl Exchange {
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.0.store(true, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    fn is_under_way(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// Counts a caller that was too slow.
pub(super) fn timed_out(what: &'static str) {
    metrics::counter!("trastienda_http_timeouts_total", "what" => what).increment(1);
}

/// How much time is left to somebody who must keep a pace.
pub(super) struct Pace {
    since: Instant,
    bytes: u64,
    limits: Limits,
    over: Pin<Box<Sleep>>,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Self {
        let since = Instant::now();
        Self { since, bytes: 0, limits, over: Box::pin(tokio::time::sleep_until(since + limits.patience)) }
    }

    /// So many bytes more have passed.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_secs(self.bytes / u64::from(self.limits.bytes_per_second.max(1)));
        self.over.as_mut().reset(self.since + self.limits.patience + earned);
    }

    /// Ready once the time is up.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.over.as_mut().poll(cx)
    }
}

/// The connection.
pub(super) struct Patient<S> {
    stream: S,
    limits: Limits,
    exchange: Arc<Exchange>,
    head: Option<Pin<Box<Sleep>>>,
    writing: Option<Pace>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, limits: Limits, exchange: Arc<Exchange>) -> Self {
        Self { stream, limits, exchange, head: None, writing: None }
    }

    fn written(&mut self, result: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.stalled(cx),
            Poll::Ready(Ok(bytes)) => {
                if let Some(writing) = &mut self.writing {
                    writing.passed(bytes);
                }
                Poll::Ready(Ok(bytes))
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }

    /// The caller reads nothing: its time runs from the first write that it held up until all is written.
    fn stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limits = self.limits;
        match self.writing.get_or_insert_with(|| Pace::new(limits)).poll_over(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(too_slow("answer"))),
        }
    }
}

fn too_slow(what: &'static str) -> io::Error {
    timed_out(what);
    io::Error::new(io::ErrorKind::TimedOut, "the caller was too slow")
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if this.exchange.is_under_way() {
            this.head = None;
            return result;
        }
        match result {
            Poll::Ready(Ok(())) => {
                if buffer.filled().len() > before && this.head.is_none() {
                    this.head = Some(Box::pin(tokio::time::sleep(this.limits.head)));
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                let Some(head) = &mut this.head else { return Poll::Pending };
                std::task::ready!(head.as_mut().poll(cx));
                Poll::Ready(Err(too_slow("head")))
            }
            failed @ Poll::Ready(_) => failed,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(cx) {
            Poll::Pending => this.stalled(cx),
            ready @ Poll::Ready(_) => {
                this.writing = None;
                ready
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_shutdown(cx) {
            Poll::Pending => this.stalled(cx),
            ready @ Poll::Ready(_) => ready,
        }
    }
}
