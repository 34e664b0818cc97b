//! A driver without a socket: feeds a response in pieces to the decoder and writes down what came out.
//!
//! It also checks, at every step, what must hold for any bytes whatever: no empty data, no unbounded buffering, an end and an
//! error that stay. The fuzz targets include this file by path, so it depends on the codec alone.

use bytes::BytesMut;
use client_cio::h1::{CloseReason, Event, HeadLimits, ProtocolErrorKind, ResponseDecoder, ResponseHead, Verdict};
use http::{HeaderMap, Method};

/// What is known before the first byte of the response.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) limits: HeadLimits,
    /// Whether the peer closes after its last byte.
    pub(crate) eof: bool,
}

/// What came out. Adjacent data is one event, so two replays of the same bytes are equal however they were cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The response ended, and these bytes were not part of it.
    Ended(Verdict, Vec<u8>),
    Failed(ProtocolErrorKind, String),
    /// More bytes are needed.
    Pending,
}

/// Messages quote what had arrived when the error was seen, which depends on the cut; everything else does not.
impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ended(a, b), Self::Ended(c, d)) => (a, b) == (c, d),
            (Self::Failed(a, _), Self::Failed(b, _)) => a == b,
            (Self::Pending, Self::Pending) => true,
            _ => false,
        }
    }
}

impl Eq for Outcome {}

/// Feeds `pieces` one by one, each when the decoder asks for more.
pub(crate) fn replay<'a>(exchange: &Exchange, pieces: impl IntoIterator<Item = &'a [u8]>) -> Replay {
    let mut pieces = pieces.into_iter();
    let mut decoder = ResponseDecoder::new(&exchange.method, exchange.limits);
    let mut buf = BytesMut::new();
    let mut closed = false;
    let mut events = Vec::new();

    let outcome = loop {
        let next = if closed { decoder.eof(&mut buf) } else { decoder.next(&mut buf) };
        match next {
            Ok(Event::NeedMore) => {
                assert!(!closed, "eof answered NeedMore");
                // Only an unfinished head or trailer section waits in the buffer.
                assert!(buf.len() < exchange.limits.bytes.max(2));
                match pieces.next() {
                    Some(piece) => buf.extend_from_slice(piece),
                    None if exchange.eof => closed = true,
                    None => break Outcome::Pending,
                }
            }
            Ok(Event::End(verdict)) => {
                let waiting = buf.len();
                assert_eq!(decoder.next(&mut buf), Ok(Event::End(verdict)));
                assert_eq!(decoder.eof(&mut buf), Ok(Event::End(verdict)));
                assert_eq!(buf.len(), waiting, "nothing is taken after the end");
                pieces.for_each(|piece| buf.extend_from_slice(piece));
                break Outcome::Ended(with_leftover(verdict, &buf), buf.to_vec());
            }
            Ok(event) => push(&mut events, event),
            Err(error) => {
                assert_eq!(decoder.next(&mut buf), Err(error.clone()));
                assert_eq!(decoder.eof(&mut buf), Err(error.clone()));
                break Outcome::Failed(error.kind(), error.to_string());
            }
        }
    };
    Replay { events, outcome }
}

/// The decoder can only judge the bytes it was given. Those which arrive after its verdict are seen by the pool, on its next
/// look at the idle connection; here they count as if they had come in time.
fn with_leftover(verdict: Verdict, leftover: &[u8]) -> Verdict {
    if verdict == Verdict::Reuse && !leftover.is_empty() {
        Verdict::Close(CloseReason::ExtraBytes)
    } else {
        verdict
    }
}

fn push(events: &mut Vec<Event>, event: Event) {
    if let Event::Data(data) = &event {
        assert!(!data.is_empty(), "data is never empty");
        if let Some(Event::Data(before)) = events.last_mut() {
            *before = [&before[..], data].concat().into();
            return;
        }
    }
    events.push(event);
}

impl Replay {
    /// One line per event, as the transcripts write them; the message of an error is left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for event in &self.events {
            match event {
                Event::Informational(head) => head_lines(&mut lines, "info", head),
                Event::Head(head) => head_lines(&mut lines, "head", head),
                Event::Data(data) if data.len() > 200 => {
                    lines.push(format!("data of {} bytes", data.len()));
                }
                Event::Data(data) => lines.push(format!("data {}", data.escape_ascii())),
                Event::Trailers(fields) => {
                    lines.push("trailers".to_owned());
                    field_lines(&mut lines, fields);
                }
                Event::End(_) | Event::NeedMore => unreachable!("not kept as events"),
            }
        }
        match &self.outcome {
            Outcome::Ended(verdict, leftover) => {
                lines.push(match verdict {
                    Verdict::Reuse => "end reuse".to_owned(),
                    Verdict::Switch => "end switch".to_owned(),
                    Verdict::Close(reason) => format!("end close {reason:?}"),
                });
                if !leftover.is_empty() {
                    lines.push(format!("left {}", leftover.escape_ascii()));
                }
            }
            Outcome::Failed(kind, _) => lines.push(format!("error {kind:?}")),
            Outcome::Pending => lines.push("need more".to_owned()),
        }
        lines
    }
}

fn head_lines(lines: &mut Vec<String>, what: &str, head: &ResponseHead) {
    let (version, status) = (head.version, head.status.as_u16());
    lines.push(match &head.reason {
        None => format!("{what} {version:?} {status}"),
        Some(reason) => format!("{what} {version:?} {status} {}", reason.escape_ascii()),
    });
    field_lines(lines, &head.headers);
}

fn field_lines(lines: &mut Vec<String>, fields: &HeaderMap) {
    for (name, value) in fields {
        let line = format!("| {name}: {}", value.as_bytes().escape_ascii());
        lines.push(line.trim_end().to_owned());
    }
}
