//! A request's body, which must keep a pace.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::Limits;
use super::patient::{Pace, timed_out};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
struct TooSlow;

/// Whether an error of reading a body is that it came too slowly.
pub fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A request's body, for which its caller has a pace to keep.
pub(super) struct Paced {
    body: Incoming,
    limits: Limits,
    /// From the first time that it was waited for.
    pace: Option<Pace>,
}

impl Paced {
    pub(super) fn new(body: Incoming, limits: Limits) -> Self {
        Self { body, limits, pace: None }
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
                if let (Some(Ok(frame)), Some(pace)) = (&frame, &mut this.pace) {
                    pace.passed(frame.data_ref().map_or(0, Bytes::len));
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
