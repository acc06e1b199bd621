//! A request's body, which must keep a pace and find room.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::Limits;
use super::budget::{Share, TooMuch};
use super::patient::{Pace, timed_out};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
struct TooSlow;

/// Whether an error of reading a body is that it came too slowly.
pub fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    is_caused_by::<TooSlow>(error)
}

/// Whether an error of reading a body is that the hub has no room for it now.
pub fn is_too_much(error: &(dyn Error + 'static)) -> bool {
    is_caused_by::<TooMuch>(error)
}

fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        // One of input and output is asked for what it holds, not for the cause of that.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(held) = held
            && held.is::<E>()
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A request's body, for which its caller has a pace to keep and the hub must have room.
pub(super) struct Paced {
    body: Incoming,
    limits: Limits,
    share: Arc<Share>,
    /// From the first time that it was waited for.
    pace: Option<Pace>,
}

impl Paced {
    pub(super) fn new(body: Incoming, limits: Limits, share: Arc<Share>) -> Self {
        Self { body, limits, share, pace: None }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    if !this.share.take(bytes) {
                        return Poll::Ready(Some(Err(TooMuch.into())));
                    }
                    if let Some(pace) = &mut this.pace {
                        pace.passed(bytes);
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let limits = this.limits;
                let pace = this.pace.get_or_insert_with(|| Pace::new(limits));
                std::task::ready!(pace.poll_over(cx));
                timed_out("body");
                Poll::Ready(Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
