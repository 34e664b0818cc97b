//! The sending side of an exchange: the body, as fast as its producer, the windows and the connection allow.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use client_core::{Body, Error, Phase, Sent};
use h2::{Reason, SendStream};
use http_body::Body as _;

/// How much is handed over at a time: a frame of default size (RFC 9113 §4.2), so that the streams of a connection take turns.
const PIECE: usize = 16 << 10;

/// A body on its way out.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// What was produced and not yet sent.
    piece: Bytes,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not to be sent yet.
    Held,
    Sending,
    /// There is nothing more to send, or nobody who takes it: then the response says why.
    Over,
}

/// How far an upload got, and why not further.
pub(super) enum Progress {
    /// The peer takes no more yet, or has not yet said that it wants any: its silence counts.
    Peer,
    /// The body's producer has no more yet.
    Producer,
    /// There is nothing more to do.
    Over,
}

impl Upload {
    /// A request that is complete with its head.
    pub(super) fn nothing(stream: SendStream<Bytes>) -> Self {
        Self {
            stream,
            body: Body::empty(),
            piece: Bytes::new(),
            state: State::Over,
        }
    }

    /// There is a body to come, once it may [`begin`](Self::begin).
    pub(super) fn hold(&mut self, body: Body) {
        self.body = body;
        self.state = State::Held;
    }

    /// Whether the body waits for its beginning.
    pub(super) fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// A held body may be sent.
    pub(super) fn begin(&mut self) {
        if self.is_held() {
            self.state = State::Sending;
        }
    }

    /// The body, if it was never begun; it will not be sent.
    pub(super) fn reclaim(&mut self) -> Body {
        match self.state {
            State::Held => {
                self.state = State::Over;
                std::mem::take(&mut self.body)
            }
            State::Sending | State::Over => Body::empty(),
        }
    }

    /// The stream, for something else than a body.
    pub(super) fn into_stream(self) -> SendStream<Bytes> {
        self.stream
    }

    /// Sends as much as can be sent now. Tells through `moved` whether the peer took anything.
    pub(super) fn poll(&mut self, moved: &mut bool, cx: &mut Context<'_>) -> Result<Progress, Error> {
        while self.state == State::Sending {
            if self.piece.is_empty() {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Pending => {
                        // The peer may lose interest meanwhile.
                        if self.stream.poll_reset(cx).is_ready() {
                            self.state = State::Over;
                            break;
                        }
                        return Ok(Progress::Producer);
                    }
                    Poll::Ready(frame) => self.take(frame.transpose())?,
                }
                continue;
            }
            // Only what is in hand: capacity that waits for a producer would be missing to the other streams.
            self.stream.reserve_capacity(self.piece.len());
            let capacity = match self.stream.capacity() {
                0 => match self.stream.poll_capacity(cx) {
                    Poll::Pending => return Ok(Progress::Peer),
                    Poll::Ready(Some(Ok(capacity))) => capacity,
                    // The stream is closed.
                    Poll::Ready(None | Some(Err(_))) => {
                        self.state = State::Over;
                        break;
                    }
                },
                capacity => capacity,
            };
            let piece = self.piece.split_to(capacity.min(self.piece.len()).min(PIECE));
            let is_last = self.piece.is_empty() && self.body.is_end_stream();
            self.send(|stream| stream.send_data(piece, is_last), is_last);
            *moved = true;
        }
        match self.state {
            State::Held => Ok(Progress::Peer),
            State::Sending | State::Over => Ok(Progress::Over),
        }
    }

    /// What the producer made: more, trailers, the end, or an error.
    fn take(&mut self, frame: Result<Option<http_body::Frame<Bytes>>, Error>) -> Result<(), Error> {
        match frame {
            Ok(Some(frame)) => match frame.into_data() {
                Ok(data) => self.piece = data,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.send(|stream| stream.send_trailers(trailers), true);
                    }
                }
            },
            Ok(None) => self.send(|stream| stream.send_data(Bytes::new(), true), true),
            Err(error) => {
                self.stream.send_reset(Reason::CANCEL);
                self.state = State::Over;
                return Err(error.with_phase(Phase::Send).with_sent(Sent::Maybe));
            }
        }
        Ok(())
    }

    fn send(&mut self, send: impl FnOnce(&mut SendStream<Bytes>) -> Result<(), h2::Error>, is_last: bool) {
        if send(&mut self.stream).is_err() || is_last {
            self.state = State::Over;
            self.body = Body::empty();
        }
    }
}
