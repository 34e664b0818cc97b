//! One response, from bytes to events.
//!
//! Owns the order of things: interim heads, the head, the body, the end. Each part's grammar is in its own file. It never reads:
//! the driver appends to the buffer and asks for the next event.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use super::chunk::{ChunkEvent, ChunkedDecoder};
use super::error::{ProtocolError, ProtocolErrorKind};
use super::framing::{Framing, framing};
use super::head::{HeadParser, ResponseHead};
use super::limits::HeadLimits;
use super::verdict::{ConnectionOptions, ResponseSide, Verdict};

/// What the decoder found next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An interim response (1xx, but not 101); the final one is still to come.
    Informational(ResponseHead),
    /// The head of the final response.
    Head(ResponseHead),
    /// Body bytes, as many as are there, never none.
    Data(Bytes),
    /// The trailers of a chunked body, if it has any.
    Trailers(HeaderMap),
    /// The response is complete. Repeated if asked again.
    End(Verdict),
    /// Append to the buffer and ask again; or report the end of the stream with [`ResponseDecoder::eof`].
    NeedMore,
}

/// Decodes the response to one request. Make a new one for the next exchange.
///
/// An error is final: asked again, the decoder repeats it.
#[derive(Debug)]
pub struct ResponseDecoder {
    method: Method,
    limits: HeadLimits,
    state: State,
    started: bool,
    informational: usize,
}

impl ResponseDecoder {
    /// A decoder for the response to a request with `method`.
    #[inline]
    pub fn new(method: &Method, limits: HeadLimits) -> Self {
        Self {
            method: method.clone(),
            limits,
            state: State::Head(HeadParser::new()),
            started: false,
            informational: 0,
        }
    }

    /// The next event. Takes from the front of `buf` what it has understood; the rest must stay there.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<Event, ProtocolError> {
        self.started |= !buf.is_empty();
        let event = match &mut self.state {
            State::Head(parser) => match parser.parse(buf, &self.limits) {
                Ok(None) => Ok(Event::NeedMore),
                Ok(Some(head)) => match self.accept(&head) {
                    Ok(true) => return Ok(Event::Head(head)),
                    Ok(false) => return Ok(Event::Informational(head)),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
            State::Body(body) => match body.next(buf) {
                Ok(Event::End(verdict)) => {
                    self.state = State::Ended(verdict);
                    Ok(Event::End(verdict))
                }
                other => other,
            },
            State::Ended(verdict) => Ok(Event::End(*verdict)),
            State::Failed(error) => Err(error.clone()),
        };
        if let Err(error) = &event {
            self.fail(error);
        }
        event
    }

    /// The next event, given that the peer has closed and `buf` holds the last bytes of the stream. Never
    /// [`Event::NeedMore`]: call it until it answers [`Event::End`] or an error.
    ///
    /// Closing is the end of a body that has no other end, and an error everywhere else (RFC 9112 §8).
    pub fn eof(&mut self, buf: &mut BytesMut) -> Result<Event, ProtocolError> {
        match self.next(buf)? {
            Event::NeedMore => self.closed(buf).inspect_err(|error| self.fail(error)),
            event => Ok(event),
        }
    }

    /// The rest of a body of known length, if all of it is in `buf`, and what becomes of the connection: most small ones come together with their
    /// head. `None` changes nothing.
    #[inline]
    pub fn rest(&mut self, buf: &mut BytesMut) -> Option<(Bytes, Verdict)> {
        let State::Body(body) = &mut self.state else {
            return None;
        };
        let left = match body.reader {
            // A tunnel has none.
            Reader::Ended if body.side.framing != Framing::Tunnel => 0,
            Reader::Length { left, .. } => usize::try_from(left).ok().filter(|&left| left <= buf.len())?,
            _ => return None,
        };
        let rest = match left {
            0 => Bytes::new(),
            _ if left == buf.len() => std::mem::take(buf).freeze(),
            _ => buf.split_to(left).freeze(),
        };
        body.side.extra_bytes = !buf.is_empty();
        let verdict = body.side.verdict();
        self.state = State::Ended(verdict);
        Some((rest, verdict))
    }

    /// Whether any byte of a response was seen. If not, a request on a reused connection may be tried on another
    /// (RFC 9112 §9.3.1).
    #[inline]
    pub fn started(&self) -> bool {
        self.started
    }

    /// Whether the head of the final response is complete.
    pub fn head_received(&self) -> bool {
        matches!(self.state, State::Body(_) | State::Ended(_))
    }

    /// How many body bytes are still to come: 0 once all are there, `None` while nobody knows.
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Ended(_) => Some(0),
            State::Body(body) => match body.reader {
                Reader::Ended => Some(0),
                Reader::Length { left, .. } => Some(left),
                Reader::Chunked { .. } | Reader::UntilClose => None,
            },
            State::Head(_) | State::Failed(_) => None,
        }
    }

    /// Whether a head is that of the final response.
    #[inline]
    fn accept(&mut self, head: &ResponseHead) -> Result<bool, ProtocolError> {
        // RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final response".
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            self.informational += 1;
            if self.informational > self.limits.informational {
                let message = format!("more than {} interim (1xx) responses", self.limits.informational);
                return Err(ProtocolError::too_large(message));
            }
            self.state = State::Head(HeadParser::new());
            return Ok(false);
        }
        let framing = framing(&self.method, head)?;
        self.state = State::Body(Body::new(framing, head, self.limits));
        Ok(true)
    }

    /// The stream ended where more was expected.
    fn closed(&mut self, buf: &BytesMut) -> Result<Event, ProtocolError> {
        match &mut self.state {
            State::Body(body) => {
                let verdict = body.closed()?;
                self.state = State::Ended(verdict);
                Ok(Event::End(verdict))
            }
            State::Head(_) if !self.started => Err(ProtocolError::new(
                ProtocolErrorKind::NoResponse,
                "peer closed the connection before sending a response",
            )),
            State::Head(parser) => {
                let place = match (parser.seen(buf), self.informational) {
                    (0, interim) => format!("after {interim} interim (1xx) responses, before the final one"),
                    (seen, _) => format!("in the response head, after {seen} bytes"),
                };
                Err(ProtocolError::unexpected_eof(format!("peer closed the connection {place}")))
            }
            State::Ended(verdict) => Ok(Event::End(*verdict)),
            State::Failed(error) => Err(error.clone()),
        }
    }

    #[cold]
    fn fail(&mut self, error: &ProtocolError) {
        self.state = State::Failed(error.clone());
    }
}

#[derive(Debug)]
enum State {
    /// Before the end of a head, interim or final.
    Head(HeadParser),
    /// After the final head.
    Body(Body),
    /// After the end.
    Ended(Verdict),
    /// After an error.
    Failed(ProtocolError),
}

/// The part of a response after its head.
#[derive(Debug)]
struct Body {
    reader: Reader,
    /// What the head says about the connection.
    side: ResponseSide,
}

#[derive(Debug)]
enum Reader {
    Length {
        left: u64,
        total: u64,
    },
    Chunked {
        decoder: ChunkedDecoder,
        received: u64,
    },
    UntilClose,
    /// Nothing more to read.
    Ended,
}

impl Body {
    fn new(framing: Framing, head: &ResponseHead, limits: HeadLimits) -> Self {
        Self {
            reader: match framing {
                Framing::None | Framing::Tunnel | Framing::Length(0) => Reader::Ended,
                Framing::Length(total) => Reader::Length { left: total, total },
                Framing::Chunked => Reader::Chunked {
                    decoder: ChunkedDecoder::new(limits),
                    received: 0,
                },
                Framing::UntilClose => Reader::UntilClose,
            },
            side: ResponseSide {
                version: head.version,
                connection: ConnectionOptions::of(&head.headers),
                framing,
                extra_bytes: false,
            },
        }
    }

    fn next(&mut self, buf: &mut BytesMut) -> Result<Event, ProtocolError> {
        match &mut self.reader {
            Reader::Ended => {
                self.side.extra_bytes = !buf.is_empty();
                Ok(Event::End(self.side.verdict()))
            }
            Reader::Chunked { decoder, received } => match decoder.next(buf)? {
                ChunkEvent::NeedMore => Ok(Event::NeedMore),
                ChunkEvent::Data(data) => {
                    *received += data.len() as u64;
                    Ok(Event::Data(data))
                }
                ChunkEvent::End(trailers) => {
                    self.reader = Reader::Ended;
                    trailers.map_or_else(|| self.next(buf), |fields| Ok(Event::Trailers(fields)))
                }
            },
            _ if buf.is_empty() => Ok(Event::NeedMore),
            Reader::UntilClose => Ok(Event::Data(buf.split().freeze())),
            Reader::Length { left, .. } => {
                let available = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= available as u64;
                if *left == 0 {
                    self.reader = Reader::Ended;
                }
                Ok(Event::Data(buf.split_to(available).freeze()))
            }
        }
    }

    /// RFC 9112 §8: a body that is cut short is incomplete, never a shorter body.
    fn closed(&self) -> Result<Verdict, ProtocolError> {
        match &self.reader {
            Reader::UntilClose | Reader::Ended => Ok(self.side.verdict()),
            Reader::Length { left, total } => Err(ProtocolError::unexpected_eof(format!(
                "peer closed the connection after {} of {total} body bytes",
                total - left
            ))),
            Reader::Chunked { decoder, received } => Err(ProtocolError::unexpected_eof(format!(
                "peer closed the connection in a chunked body after {received} bytes of data, {}",
                decoder.position()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder() -> ResponseDecoder {
        ResponseDecoder::new(&Method::GET, HeadLimits::default())
    }

    #[test]
    fn an_error_is_final() {
        let mut decoder = decoder();
        let mut buf = BytesMut::from(&b"ICY 200 OK\r\n\r\n"[..]);
        let error = decoder.next(&mut buf).unwrap_err();
        let mut good = BytesMut::from(&b"HTTP/1.1 200 OK\r\n\r\n"[..]);
        assert_eq!(decoder.next(&mut good), Err(error.clone()));
        assert_eq!(decoder.eof(&mut good), Err(error));
    }

    #[test]
    fn progress_can_be_watched() {
        let mut decoder = decoder();
        let mut buf = BytesMut::new();
        assert_eq!(decoder.next(&mut buf), Ok(Event::NeedMore));
        assert!(!decoder.started() && !decoder.head_received());

        buf.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
        assert!(matches!(decoder.next(&mut buf), Ok(Event::Head(_))));
        assert!(decoder.started() && decoder.head_received());
        assert_eq!(decoder.remaining(), Some(5));

        assert!(matches!(decoder.next(&mut buf), Ok(Event::Data(_))));
        assert_eq!(decoder.remaining(), Some(3));
        buf.extend_from_slice(b"llo");
        assert!(matches!(decoder.next(&mut buf), Ok(Event::Data(_))));
        assert_eq!(decoder.remaining(), Some(0));
        assert_eq!(decoder.next(&mut buf), Ok(Event::End(Verdict::Reuse)));
        assert_eq!(decoder.remaining(), Some(0));
        assert_eq!(decoder.next(&mut buf), Ok(Event::End(Verdict::Reuse)));
    }
}
