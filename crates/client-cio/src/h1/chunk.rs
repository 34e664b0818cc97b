//! The chunked transfer coding, read (RFC 9112 §7.1).
//!
//! Owns chunk sizes, extensions and the trailer section. Stricter than a head: every line ends in CRLF, because a bare LF or CR
//! in a chunk line is where two parsers part (CVE-2025-22871).

use bytes::{Buf, Bytes, BytesMut};
use client_core::is_forbidden_in_trailers;
use http::HeaderMap;

use super::error::{ProtocolError, excerpt};
use super::fields::{self, SectionScan};
use super::limits::HeadLimits;

/// What the decoder found at the front of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkEvent {
    /// Body bytes, as many as are there: a piece of a chunk, never more than one chunk.
    Data(Bytes),
    /// The end of the body, with its trailers if there are any.
    End(Option<HeaderMap>),
    /// Call again with more bytes.
    NeedMore,
}

/// Takes the chunked coding off a body, incrementally.
#[derive(Debug)]
pub struct ChunkedDecoder {
    limits: HeadLimits,
    state: State,
    extension_bytes: usize,
}

impl ChunkedDecoder {
    /// A decoder for one body. Of the limits, `chunk_extension_bytes` bounds all extensions of the body together, `bytes`
    /// and `fields` the trailer section.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            state: State::START,
            extension_bytes: 0,
        }
    }

    /// The next piece. Consumes from `buf` what it has understood, and never a byte beyond the end of the body.
    ///
    /// After an error the body is lost: the decoder must not be asked again.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<ChunkEvent, ProtocolError> {
        self.framing_bytes(buf)?;
        match &mut self.state {
            State::Data { left } if !buf.is_empty() => {
                let available = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= available as u64;
                if *left == 0 {
                    self.state = State::DataCr;
                }
                Ok(ChunkEvent::Data(buf.split_to(available).freeze()))
            }
            State::Trailers(scan) => match trailers(scan, buf, &self.limits)? {
                None => Ok(ChunkEvent::NeedMore),
                Some(fields) => {
                    self.state = State::Done;
                    Ok(ChunkEvent::End(Some(fields).filter(|fields| !fields.is_empty())))
                }
            },
            State::Done => Ok(ChunkEvent::End(None)),
            _ => Ok(ChunkEvent::NeedMore),
        }
    }

    /// Where in the coding the decoder stands, for the message when the peer closes there.
    pub(super) fn position(&self) -> String {
        match self.state {
            State::Data { left } => format!("inside a chunk, {left} bytes short"),
            State::Trailers(_) => "in the trailer section".to_owned(),
            State::Done => "after the end".to_owned(),
            _ => "before the last chunk".to_owned(),
        }
    }

    /// Consumes size lines and chunk ends, up to data, trailers or the end of the buffer.
    fn framing_bytes(&mut self, buf: &mut BytesMut) -> Result<(), ProtocolError> {
        let mut used = 0;
        while let Some(&byte) = buf.get(used) {
            let next = match self.state.after(byte) {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(wrong) => {
                    let message = format!("malformed chunk: {wrong}, at {}", excerpt(&[byte]));
                    return Err(ProtocolError::malformed(message));
                }
            };
            if let State::Padding { .. } | State::Extension { .. } = next {
                self.extension_bytes += 1;
                if self.extension_bytes > self.limits.chunk_extension_bytes {
                    let allowed = self.limits.chunk_extension_bytes;
                    let message = format!("chunk extensions exceed {allowed} bytes");
                    return Err(ProtocolError::too_large(message));
                }
            }
            self.state = next;
            used += 1;
        }
        buf.advance(used);
        Ok(())
    }
}

/// Where in the grammar the next byte stands. Data and trailers are taken in blocks, everything else byte by byte.
#[derive(Debug)]
enum State {
    /// `chunk-size`: so many hex digits, so much so far.
    Size { size: u64, digits: u8 },
    /// Whitespace after the size. Not in the grammar unless an extension follows, but there are servers that pad the size
    /// to a fixed width, and Go, hyper and curl let them. It costs extension budget.
    Padding { size: u64 },
    /// `chunk-ext`: skipped, but its quotes are followed, because a line end inside a quoted string is read in two ways.
    Extension { size: u64, quote: Quote },
    /// The LF that ends the size line.
    SizeLf { size: u64 },
    /// `chunk-data`.
    Data { left: u64 },
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// `trailer-section` and the final CRLF.
    Trailers(SectionScan),
    /// The body has ended.
    Done,
}

/// Whether an extension is inside a quoted string, and there behind a backslash.
#[derive(Debug, Clone, Copy)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

impl Quote {
    /// `quoted-string`, RFC 9110 §5.6.4.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Outside, b'"') => Self::Inside,
            (Self::Inside, b'"') => Self::Outside,
            (Self::Inside, b'\\') => Self::Escaped,
            (Self::Escaped, _) => Self::Inside,
            (quote, _) => quote,
        }
    }
}

impl State {
    const START: Self = Self::Size { size: 0, digits: 0 };

    /// The state after one byte of framing; `None` where bytes are taken in blocks; an error says what was expected.
    fn after(&self, byte: u8) -> Result<Option<Self>, &'static str> {
        let next = match *self {
            Self::Size { size, digits } => match byte {
                // 16 digits fill 64 bits, so the shift cannot lose any. Leading zeros count: nobody needs 17.
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' if digits == 16 => {
                    return Err("a size of more than 16 digits");
                }
                b'0'..=b'9' => Self::digit(size, digits, byte - b'0'),
                b'a'..=b'f' => Self::digit(size, digits, byte - b'a' + 10),
                b'A'..=b'F' => Self::digit(size, digits, byte - b'A' + 10),
                _ if digits == 0 => return Err("expected a hexadecimal size"),
                _ => Self::after_size(size, byte)?,
            },
            Self::Padding { size } => Self::after_size(size, byte)?,
            Self::Extension { size, quote } => match (quote, byte) {
                (Quote::Outside, b'\r') => Self::SizeLf { size },
                (_, b'\r') => return Err("a line end inside a quoted extension"),
                (_, 0..=8 | 10..=31 | 127) => return Err("a control byte in an extension"),
                _ => {
                    let quote = quote.after(byte);
                    Self::Extension { size, quote }
                }
            },
            Self::SizeLf { size } => match (byte, size) {
                (b'\n', 0) => Self::Trailers(SectionScan::default()),
                (b'\n', left) => Self::Data { left },
                _ => return Err("expected LF after the CR of a size line"),
            },
            Self::DataCr if byte == b'\r' => Self::DataLf,
            Self::DataLf if byte == b'\n' => Self::START,
            Self::DataCr | Self::DataLf => return Err("expected CRLF after the data"),
            Self::Data { .. } | Self::Trailers(_) | Self::Done => return Ok(None),
        };
        Ok(Some(next))
    }

    fn digit(size: u64, digits: u8, digit: u8) -> Self {
        Self::Size {
            size: (size << 4) | u64::from(digit),
            digits: digits + 1,
        }
    }

    fn after_size(size: u64, byte: u8) -> Result<Self, &'static str> {
        match byte {
            b'\r' => Ok(Self::SizeLf { size }),
            b' ' | b'\t' => Ok(Self::Padding { size }),
            b';' => {
                let quote = Quote::Outside;
                Ok(Self::Extension { size, quote })
            }
            b'\n' => Err("a bare LF ends the size line"),
            _ => Err("expected a hexadecimal digit, an extension or CRLF"),
        }
    }
}

/// The trailer section (RFC 9112 §7.1.2), once it is complete; mostly it is empty. Fields that may not stand there are dropped
/// (RFC 9110 §6.5.1); the rest stays apart from the header fields.
fn trailers(scan: &mut SectionScan, buf: &mut BytesMut, limits: &HeadLimits) -> Result<Option<HeaderMap>, ProtocolError> {
    match &buf[..] {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => {
            buf.advance(2);
            return Ok(Some(HeaderMap::new()));
        }
        [b'\r' | b'\n', ..] => return Err(bare_line_end()),
        _ => {}
    }

    let visible = &buf[..buf.len().min(limits.bytes)];
    let Some(section) = scan.find(visible) else {
        if buf.len() < limits.bytes {
            return Ok(None);
        }
        let message = format!("trailers are larger than {} bytes", limits.bytes);
        return Err(ProtocolError::too_large(message));
    };
    if section.lines > limits.fields {
        let message = format!("trailers have {} fields, more than {}", section.lines, limits.fields);
        return Err(ProtocolError::too_large(message));
    }
    let mut trailers = buf.split_to(section.len);
    let bare = |lf: usize| lf == 0 || trailers[lf - 1] != b'\r';
    if memchr::memchr_iter(b'\n', &trailers).any(bare) {
        return Err(bare_line_end());
    }
    if section.has_folds {
        fields::unfold(&mut trailers);
    }
    parse_trailers(trailers.freeze(), section.lines).map(Some)
}

/// `section` holds up to `lines` field lines and the final empty line.
fn parse_trailers(section: Bytes, lines: usize) -> Result<HeaderMap, ProtocolError> {
    let mut slots = vec![httparse::EMPTY_HEADER; lines];
    let parsed = match httparse::parse_headers(&section, &mut slots) {
        Ok(httparse::Status::Complete((len, parsed))) if len == section.len() => parsed,
        _ => {
            let message = format!("malformed trailers, {}", fields::explain(&section));
            return Err(ProtocolError::malformed(message));
        }
    };
    let mut trailers = fields::to_map(&section, fields::parts(parsed))?;
    let forbidden: Vec<_> = trailers.keys().filter(|name| is_forbidden_in_trailers(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    Ok(trailers)
}

fn bare_line_end() -> ProtocolError {
    ProtocolError::malformed("malformed trailers: a line does not end in CRLF (RFC 9112 §7.1)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_a_slice_of_the_buffer_and_the_rest_stays() {
        let mut buf = BytesMut::from(&b"5\r\nhello\r\n0\r\n\r\nnext"[..]);
        let range = buf.as_ptr_range();
        let mut decoder = ChunkedDecoder::new(HeadLimits::default());
        let Ok(ChunkEvent::Data(data)) = decoder.next(&mut buf) else {
            panic!("expected data");
        };
        assert!(range.contains(&data.as_ptr()));
        assert_eq!(&data[..], b"hello");
        assert_eq!(decoder.next(&mut buf), Ok(ChunkEvent::End(None)));
        assert_eq!(&buf[..], b"next");
    }

    #[test]
    fn the_largest_size_is_accepted_as_a_promise() {
        let mut buf = BytesMut::from(&b"ffffffffffffffff\r\nx"[..]);
        let mut decoder = ChunkedDecoder::new(HeadLimits::default());
        let data = decoder.next(&mut buf).unwrap();
        assert_eq!(data, ChunkEvent::Data(Bytes::from_static(b"x")));
        assert!(decoder.position().contains("18446744073709551614"));
    }
}
