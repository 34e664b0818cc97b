//! The request's body on its way into hyper. Tells the call how far it is, and cuts what is large into pieces, so that progress shows.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use client_core::{Body, Error};
use http_body::{Frame, SizeHint};

use crate::call::Call;

/// The largest piece that hyper is given at a time where silence is limited. It buffers 16 pieces or 400 KiB, whichever comes first, and asks for more
/// when they are written: a body in one piece would look like silence until its last byte is gone. 16 KiB is a record of TLS.
const PIECE: usize = 16 << 10;

/// See the file's head.
pub(crate) struct Upload {
    body: Body,
    /// What is left of the frame that is being cut.
    rest: Bytes,
    /// Whether hyper may know the length: with trailers to come, it has to use the chunked coding (RFC 9112 §7.1.2).
    has_length: bool,
    call: Arc<Call>,
}

impl Upload {
    pub(crate) fn new(body: Body, call: Arc<Call>) -> Self {
        Self {
            has_length: !body.has_trailers(),
            body,
            rest: Bytes::new(),
            call,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        self.call.moved();
        let most = self.call.socket_limit().map_or(usize::MAX, |_| PIECE);
        Frame::data(self.rest.split_to(self.rest.len().min(most)))
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        self.call.taken();
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self.call.waits_for_producer(cx).map(|()| Some(Err(Ended)));
        };
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                self.rest = data;
                Ok(self.piece())
            }
            Ok(Err(trailers)) => {
                self.call.moved();
                Ok(trailers)
            }
            Err(error) => Err(self.fail(error)),
        }))
    }

    /// hyper asks when it begins to send, and drops an empty body unread: that is how we know that an empty one was taken. Nobody
    /// above hyper asks.
    fn is_end_stream(&self) -> bool {
        self.call.taken();
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.has_length {
            return SizeHint::default();
        }
        let rest = self.rest.len() as u64;
        self.body.len().map_or_else(SizeHint::default, |len| SizeHint::with_exact(len + rest))
    }
}

impl Upload {
    fn fail(&self, error: Error) -> Ended {
        self.call.failed(error);
        Ended
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.call.sent();
    }
}

/// What hyper gets to know of a producer that failed, or is no longer wanted; the failure itself waits in the call.
#[derive(Debug)]
pub(crate) struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request ends before its end")
    }
}

impl std::error::Error for Ended {}
