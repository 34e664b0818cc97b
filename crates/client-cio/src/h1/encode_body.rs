//! The body of a request, framed (RFC 9112 §6, §7.1).
//!
//! Owns that what is sent is as long as was announced. It never copies body bytes: it says what goes before and after them, so
//! that the driver can hand all three to one vectored write.

use bytes::Bytes;
use client_core::is_forbidden_in_trailers;
use http::HeaderMap;

use super::encode::RequestFraming;
use super::error::InvalidRequest;

/// Frames the pieces of one request body, in order.
#[derive(Debug)]
pub struct BodyEncoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Length { declared: u64, sent: u64 },
    Chunked,
}

impl BodyEncoder {
    /// An encoder for a body with the framing that the head announced.
    pub fn new(framing: RequestFraming) -> Self {
        let declared = match framing {
            RequestFraming::Chunked => {
                return Self { state: State::Chunked };
            }
            RequestFraming::None => 0,
            RequestFraming::Length(length) => length,
        };
        Self {
            state: State::Length { declared, sent: 0 },
        }
    }

    /// What to write around `data`: `prefix`, the data, `suffix`.
    ///
    /// For empty data both are empty, so that writing it is harmless: a chunk of size 0 would end the body.
    pub fn chunk(&mut self, data: &[u8]) -> Result<ChunkFrame, InvalidRequest> {
        let len = data.len() as u64;
        match &mut self.state {
            State::Chunked if data.is_empty() => Ok(ChunkFrame::NONE),
            State::Chunked => Ok(ChunkFrame::sized(len)),
            State::Length { declared, sent } => {
                if len > *declared - *sent {
                    let declared = *declared;
                    return Err(InvalidRequest::BodyTooLong { declared });
                }
                *sent += len;
                Ok(ChunkFrame::NONE)
            }
        }
    }

    /// What to write at the end of the body: nothing, or the last chunk with the trailers.
    pub fn finish(self, trailers: Option<&HeaderMap>) -> Result<Bytes, InvalidRequest> {
        let trailers = trailers.filter(|fields| !fields.is_empty());
        match (self.state, trailers) {
            (State::Length { declared, sent }, _) if sent < declared => Err(InvalidRequest::BodyTooShort { declared, sent }),
            (State::Length { .. }, Some(_)) => Err(InvalidRequest::TrailersNotAllowed),
            (State::Length { .. }, None) => Ok(Bytes::new()),
            (State::Chunked, None) => Ok(Bytes::from_static(b"0\r\n\r\n")),
            (State::Chunked, Some(fields)) => last_chunk(fields),
        }
    }
}

/// The bytes around one piece of body data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkFrame {
    /// The size line, written from the right; `start` is where it begins.
    line: [u8; SIZE_LINE],
    start: usize,
}

/// 16 hexadecimal digits fill 64 bits; then CRLF.
const SIZE_LINE: usize = 16 + 2;

impl ChunkFrame {
    const NONE: Self = Self {
        line: [0; SIZE_LINE],
        start: SIZE_LINE,
    };

    /// What goes before the data.
    pub fn prefix(&self) -> &[u8] {
        &self.line[self.start..]
    }

    /// What goes after the data.
    pub fn suffix(&self) -> &'static [u8] {
        if self.prefix().is_empty() { b"" } else { b"\r\n" }
    }

    fn sized(mut size: u64) -> Self {
        let mut line = [0; SIZE_LINE];
        line[16..].copy_from_slice(b"\r\n");
        let mut start = 16;
        while size > 0 {
            start -= 1;
            line[start] = b"0123456789abcdef"[(size & 0xf) as usize];
            size >>= 4;
        }
        Self { line, start }
    }
}

fn last_chunk(trailers: &HeaderMap) -> Result<Bytes, InvalidRequest> {
    let mut out = b"0\r\n".to_vec();
    for (name, value) in trailers {
        if is_forbidden_in_trailers(name) {
            return Err(InvalidRequest::TrailerField(name.clone()));
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(out.into())
}
