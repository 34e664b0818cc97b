//! The task's end of a streamed request body. The task polls it, since a body may need the runtime of its maker; what is polled waits in
//! the call until libcurl asks for it.
//!
//! What must never enter this file: libcurl.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use client_core::{Body, Error, ErrorKind};
use http_body::Body as _;

use crate::call::Call;

/// See the file's head.
pub(crate) struct Feed {
    body: Body,
    call: Arc<Call>,
    /// The trailers that the body was announced with; others would not reach the wire in HTTP/2.
    may_have_trailers: bool,
    is_done: bool,
}

impl Feed {
    pub(crate) fn new(body: Body, call: &Arc<Call>) -> Self {
        Self {
            may_have_trailers: body.has_trailers(),
            body,
            call: Arc::clone(call),
            is_done: false,
        }
    }

    /// Whether the body is over.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Polls the body while there is room for what it makes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        while !self.is_done && self.call.has_room(cx) {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return;
            };
            let end = match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    self.call.push(data);
                    continue;
                }
                Some(Ok(Err(frame))) if self.may_have_trailers => Ok(frame.into_trailers().ok()),
                Some(Ok(Err(_))) => Err(Error::new(
                    ErrorKind::Body,
                    "it ends with trailers that were not announced; use Body::with_trailers",
                )),
                Some(Err(error)) => Err(error),
                None => Ok(None),
            };
            self.is_done = true;
            self.body = Body::empty();
            self.call.end_upload(end);
        }
    }
}
