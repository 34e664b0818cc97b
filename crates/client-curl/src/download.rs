//! The reader's end of a response's body.
//!
//! What must never enter this file: libcurl.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use client_core::{Bytes, Error, Result, Version};
use http_body::{Frame, SizeHint};

use crate::call::Call;
use crate::upload::Feed;

/// See the file's head. Dropping it before its end removes the transfer.
pub(crate) struct Download {
    call: Arc<Call>,
    /// The request's body may be on its way still.
    feed: Option<Feed>,
    /// What is still to come of an announced length.
    remaining: Option<u64>,
    /// Whether the length is the end. That of HTTP/2 is a flag, and whoever sends more, or stops without it, is wrong.
    ends_by_length: bool,
    is_over: bool,
}

impl Download {
    pub(crate) fn new(call: Arc<Call>, feed: Option<Feed>, length: Option<u64>, version: Version) -> Self {
        Self {
            ends_by_length: version != Version::HTTP_2,
            call,
            feed,
            remaining: length,
            is_over: false,
        }
    }

    fn is_whole(&self) -> bool {
        // Or the request's body is still on its way, and may be for ever.
        let is_sending = self.feed.as_ref().is_some_and(|feed| !feed.is_done());
        (self.ends_by_length || is_sending) && self.remaining == Some(0)
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Some(feed) = &mut self.feed {
            feed.poll(cx);
        }
        if self.is_whole() {
            // The transfer may still be sending.
            return Poll::Ready(None);
        }
        let piece = ready!(self.call.poll_piece(cx));
        Poll::Ready(match piece {
            Some(Ok(piece)) => {
                self.remaining = self.remaining.map(|left| left.saturating_sub(piece.len() as u64));
                Some(Ok(Frame::data(piece)))
            }
            Some(Err(error)) => {
                self.is_over = true;
                Some(Err(error.or_engine(crate::NAME)))
            }
            None => {
                self.is_over = true;
                self.call.take_trailers().map(|trailers| Ok(Frame::trailers(trailers)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole() || self.call.is_spent()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // With nothing left to come or to send the transfer ends by itself, and its connection is kept.
        let is_sending = self.feed.as_ref().is_some_and(|feed| !feed.is_done());
        if is_sending || !(self.is_over || self.is_whole()) {
            self.call.cancel();
        }
    }
}
