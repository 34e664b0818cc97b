//! The sending side of an exchange: the head and the body, framed, into the socket, as fast as both the body and the socket allow.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use client_core::{Body, Error, ErrorKind, Phase, Sent};
use client_transport::stream::Stream;
use http_body::Body as _;
use tokio::io::AsyncWrite;

use crate::h1::{BodyEncoder, InvalidRequest, RequestFraming};

/// A head buffer that grew beyond this is not kept with an idle connection.
const KEPT_HEAD: usize = 2 << 10;

/// A request on its way out.
#[derive(Default)]
pub(crate) struct Upload {
    /// What goes out next: control bytes; a piece of the body and control bytes, if there is a body.
    front: Vec<u8>,
    /// How much of it is gone.
    written: usize,
    /// How much of the whole request is gone.
    total: u64,
    /// On the heap, as most requests have none, and all are moved.
    rest: Option<Box<Rest>>,
}

/// What a request with a body has besides its head.
struct Rest {
    data: Bytes,
    back: Bytes,
    body: Body,
    /// `None` once the body has ended.
    encoder: Option<BodyEncoder>,
}

/// How far an upload got, and why not further.
pub(crate) enum Progress {
    /// The socket takes no more.
    Socket,
    /// The body's producer has no more yet.
    Producer,
    /// All is sent.
    Done,
}

impl Upload {
    /// A request after the [`end`](Self::end) of the one before: its head is what `write` writes; the body follows with [`body`](Self::body). Where that fails,
    /// nothing is to be sent, and `write` has left nothing.
    pub(crate) fn head(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
        debug_assert!(self.front.is_empty() && self.rest.is_none(), "nothing of another request may go out with this one");
        write(&mut self.front)
    }

    /// Forgets the request, and keeps the buffer of its head, unless that grew large.
    pub(crate) fn end(&mut self) {
        self.front.clear();
        self.front.shrink_to(KEPT_HEAD);
        (self.written, self.total, self.rest) = (0, 0, None);
    }

    /// The body, once it may be sent.
    pub(crate) fn body(&mut self, body: Body, framing: RequestFraming) {
        self.rest = Some(Box::new(Rest {
            data: Bytes::new(),
            back: Bytes::new(),
            body,
            encoder: Some(BodyEncoder::new(framing)),
        }));
    }

    /// What the server may have seen.
    pub(crate) fn sent(&self) -> Sent {
        if self.total == 0 { Sent::Nothing } else { Sent::Maybe }
    }

    /// Sends as much as can be sent now. Tells through `moved` whether the socket took anything.
    pub(crate) fn poll(&mut self, stream: &mut Stream, moved: &mut bool, cx: &mut Context<'_>) -> Result<Progress, Error> {
        loop {
            // The first piece of a body rides along with the head, in one write.
            let pulled = match &self.rest {
                Some(rest) if rest.has_room() && rest.encoder.is_some() => self.pull(cx)?,
                _ => Pull::Piece,
            };
            if self.is_flushed() {
                let has_more = self.rest.as_ref().is_some_and(|rest| rest.encoder.is_some());
                let progress = match (pulled, has_more) {
                    (_, false) => Progress::Done,
                    (Pull::Later, true) => Progress::Producer,
                    (Pull::Piece | Pull::End, true) => continue,
                };
                // TLS may hold back what it was given.
                return match Pin::new(stream).poll_flush(cx) {
                    Poll::Pending => Ok(Progress::Socket),
                    Poll::Ready(Ok(())) => Ok(progress),
                    Poll::Ready(Err(error)) => Err(self.broken(error)),
                };
            }
            match self.write(stream, cx) {
                Poll::Pending => return Ok(Progress::Socket),
                Poll::Ready(Ok(n)) => {
                    *moved = true;
                    self.total += n as u64;
                }
                Poll::Ready(Err(error)) => return Err(self.broken(error)),
            }
        }
    }

    fn is_flushed(&self) -> bool {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.data.len() + rest.back.len());
        self.written == self.front.len() + rest
    }

    /// The next piece of the body, framed, behind what is in `front`.
    fn pull(&mut self, cx: &mut Context<'_>) -> Result<Pull, Error> {
        let (sent, total) = (self.sent(), self.total);
        let Some(rest) = &mut self.rest else {
            return Ok(Pull::End);
        };
        let frame = match Pin::new(&mut rest.body).poll_frame(cx) {
            Poll::Pending => return Ok(Pull::Later),
            Poll::Ready(frame) => frame.transpose().map_err(|error| produced(error, sent))?,
        };
        let Some(encoder) = &mut rest.encoder else {
            return Ok(Pull::End);
        };
        if self.written == self.front.len() {
            self.front.clear();
            self.written = 0;
        }
        match frame.map(http_body::Frame::into_data) {
            Some(Ok(data)) => {
                let around = encoder.chunk(&data).map_err(|error| invalid(&error, total))?;
                self.front.extend_from_slice(around.prefix());
                rest.data = data;
                rest.back = Bytes::from_static(around.suffix());
                Ok(Pull::Piece)
            }
            end => {
                let trailers = end.and_then(|trailers| trailers.err()?.into_trailers().ok());
                let encoder = rest.encoder.take().map(|encoder| encoder.finish(trailers.as_ref()));
                rest.back = encoder.transpose().map_err(|error| invalid(&error, total))?.unwrap_or_default();
                Ok(Pull::End)
            }
        }
    }

    fn write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut skip = self.written;
        let mut left = |part: &'_ [u8]| {
            let from = skip.min(part.len());
            skip -= from;
            from
        };
        let stream = Pin::new(stream);
        let front = &self.front[left(&self.front)..];
        let n = ready!(match &self.rest {
            // A head alone is most of what is sent, and the kernel takes one buffer more cheaply than a list of one.
            None => stream.poll_write(cx, front),
            Some(rest) if rest.has_room() => stream.poll_write(cx, front),
            Some(rest) => {
                let (data, back) = (&rest.data[left(&rest.data)..], &rest.back[left(&rest.back)..]);
                let slices = [IoSlice::new(front), IoSlice::new(data), IoSlice::new(back)];
                stream.poll_write_vectored(cx, &slices)
            }
        })?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += n;
        if self.is_flushed() {
            self.front.clear();
            self.written = 0;
            if let Some(rest) = &mut self.rest {
                (rest.data, rest.back) = (Bytes::new(), Bytes::new());
            }
        }
        Poll::Ready(Ok(n))
    }

    fn broken(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Closed, format!("the connection broke: {error}"))
            .with_phase(Phase::Send)
            .with_sent(self.sent())
            .with_source(error)
    }
}

impl Rest {
    /// Whether there is nothing of it to be sent.
    fn has_room(&self) -> bool {
        self.data.is_empty() && self.back.is_empty()
    }
}

enum Pull {
    Piece,
    Later,
    End,
}

/// What the encoder refuses after the head is out is the body's fault.
fn invalid(error: &InvalidRequest, sent: u64) -> Error {
    let sent = if sent == 0 { Sent::Nothing } else { Sent::Maybe };
    Error::new(ErrorKind::Body, error.to_string()).with_phase(Phase::Send).with_sent(sent)
}

/// The producer may itself be a response that broke off or was too slow: then it is still the request's body that failed. By
/// [`ErrorKind::Closed`] the driver would take it for our own connection's end, and wait for an answer.
fn produced(error: Error, sent: Sent) -> Error {
    let error = match error.kind() {
        ErrorKind::Body => error,
        _ => Error::new(ErrorKind::Body, format!("its producer failed: {error}")).with_source(error),
    };
    error.with_phase(Phase::Send).with_sent(sent)
}
