//! A response's body: hyper's, with the lease of its connection, which it gives back at its end.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use client_core::Error;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::connection::Exclusive;
use crate::driver;

/// A body in progress.
pub(crate) struct ResponseBody {
    /// What came with the head.
    first: Option<hyper::Result<Bytes>>,
    incoming: Incoming,
    /// `None` once the connection has been given back.
    lease: Option<Exclusive>,
}

impl ResponseBody {
    pub(crate) fn new(first: Option<hyper::Result<Bytes>>, incoming: Incoming, lease: Exclusive) -> Self {
        Self {
            first,
            incoming,
            lease: Some(lease),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(lease) = &mut self.lease else {
            return Poll::Ready(None);
        };
        let http1 = lease.http1_mut();
        let here = self.first.take().map(|piece| Poll::Ready(Some(piece.map(Frame::data))));
        let frame = match here.unwrap_or_else(|| http1.poll_frame(&mut self.incoming, cx)) {
            Poll::Pending => match http1.poll_silence(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(error) => Err(error),
            },
            Poll::Ready(None) => {
                self.finish();
                return Poll::Ready(None);
            }
            Poll::Ready(Some(frame)) => frame.map_err(|error| http1.classified(error)),
        };
        let frame = frame.and_then(|frame| {
            http1.heard();
            frame.trailers_ref().map_or(Ok(()), |trailers| http1.check_trailers(trailers))?;
            Ok(frame)
        });
        match frame {
            Ok(frame) => {
                // The last piece of a known length: there is nothing to wait for.
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Err(error) => {
                // There is nothing more, and the connection is gone.
                self.lease = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            driver::finish(lease);
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.lease {
            Some(_) => {
                let first = self.first.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(0, Bytes::len) as u64;
                let rest = self.incoming.size_hint();
                rest.exact().map_or(rest, |rest| SizeHint::with_exact(first + rest))
            }
            None => SizeHint::with_exact(0),
        }
    }
}

/// How many pieces of an unwanted body are read to save its connection; what is larger is cheaper to abandon.
const DISCARDED_PIECES: usize = 4;

impl Drop for ResponseBody {
    /// A body that is given up costs its connection, unless the rest of it is already here.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..DISCARDED_PIECES {
            if self.lease.is_none() || !matches!(self.poll(&mut cx), Poll::Ready(Some(Ok(_)))) {
                return;
            }
        }
    }
}
