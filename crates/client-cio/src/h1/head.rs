//! The head of a response: status line and header fields (RFC 9112 §4, §5).
//!
//! Owns its syntax and its limits. What the fields mean for the body is `framing`'s business, and for the connection
//! `verdict`'s.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Version};

use super::error::{ProtocolError, excerpt};
use super::fields::{self, SectionScan};
use super::limits::HeadLimits;

/// Status line and header fields of one response, interim or final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: Version,
    /// 100 to 999. What is above 599 is no valid status, and a client should treat it as a 5xx (RFC 9110 §15).
    pub status: StatusCode,
    /// The reason phrase, unless it is empty or the usual one of the status. HTAB, SP, VCHAR and obs-text.
    pub reason: Option<Box<[u8]>>,
    /// The fields. Values are slices of the bytes that were read, and keep that buffer in memory.
    pub headers: HeaderMap,
}

/// Takes one head off the front of a buffer, over as many calls as its bytes take to arrive.
#[derive(Debug, Default)]
pub struct HeadParser {
    scan: SectionScan,
    /// Bytes of empty lines dropped before the status line; they count against the limit.
    skipped: usize,
}

impl HeadParser {
    /// A parser for one head.
    pub fn new() -> Self {
        Self::default()
    }

    /// The head, if `buf` holds all of it; `None` means: call again with the same buffer and more bytes at its end.
    ///
    /// A head that is there as a whole is parsed at once. Nothing of any other is parsed before its end is there, so a slow head costs one scan. Two
    /// things are refused earlier: a peer that does not speak HTTP/1.x (it may never send an empty line), and a head over the limit.
    pub fn parse(&mut self, buf: &mut BytesMut, limits: &HeadLimits) -> Result<Option<ResponseHead>, ProtocolError> {
        // Asked before anything was read, as it is once for each response.
        if buf.is_empty() && self.skipped < limits.bytes {
            return Ok(None);
        }
        self.skip_empty_lines(buf, limits.bytes);
        let allowed = limits.bytes.saturating_sub(self.skipped);
        if self.scan.is_new() {
            let head = parse_at_once(buf, allowed, limits.fields)?;
            if head.is_some() {
                return Ok(head);
            }
        }
        let visible = &buf[..buf.len().min(allowed)];
        let section = if visible == b"\r" {
            // Perhaps the first half of an empty line, which will not stay: nothing of it may be remembered.
            None
        } else {
            check_protocol(visible)?;
            self.scan.find(visible)
        };
        let Some(section) = section else {
            if buf.len() < allowed {
                return Ok(None);
            }
            let message = format!("response head is larger than {} bytes", limits.bytes);
            return Err(ProtocolError::too_large(message));
        };

        let fields = section.lines - 1;
        if fields > limits.fields {
            let message = format!("response head has {fields} fields, more than {}", limits.fields);
            return Err(ProtocolError::too_large(message));
        }
        let mut head = buf.split_to(section.len);
        if section.has_folds {
            let fields = memchr::memchr(b'\n', &head).map_or(0, |lf| lf + 1);
            fields::unfold(&mut head[fields..]);
        }
        parse_complete(head.freeze(), fields).map(Some)
    }

    /// Bytes of the head seen so far, those still in `buf` included.
    pub(super) fn seen(&self, buf: &BytesMut) -> usize {
        self.skipped + buf.len()
    }

    /// RFC 9112 §2.2 asks servers to skip an empty line before a request; some servers send one before a response, after
    /// a body of their own miscounting. Dropping it from the buffer keeps the status line at offset 0.
    fn skip_empty_lines(&mut self, buf: &mut BytesMut, limit: usize) {
        while self.skipped < limit {
            let line = match &buf[..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => return,
            };
            buf.advance(line);
            self.skipped += line;
        }
    }
}

/// The length of `HTTP/1.1 200`; what follows is the reason phrase, after one space.
const STATUS_END: usize = 12;

/// Refuses a peer that speaks something else as soon as its first bytes show it: it may wait for us, and never send the
/// empty line that would end a head.
fn check_protocol(buf: &[u8]) -> Result<(), ProtocolError> {
    const EXPECTED: &[u8] = b"HTTP/1.";

    let seen = buf.len().min(EXPECTED.len());
    if buf[..seen] == EXPECTED[..seen] {
        return Ok(());
    }
    let hint = match buf {
        [0x15 | 0x16, 0x03, ..] => " (TLS: is this an https port?)",
        [0, 0, _, 0x04, ..] => " (an HTTP/2 SETTINGS frame)",
        _ => "",
    };
    Err(ProtocolError::malformed(format!(
        "response is not HTTP/1.x{hint}: it begins with {}",
        excerpt(status_line(buf))
    )))
}

/// Most heads have fewer fields than this, and then their places fit on the stack while the head is cut off the buffer.
const FEW_FIELDS: usize = 32;

/// Where a field line has its name and its value.
#[derive(Clone, Copy, Default)]
struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

/// A head that is here as a whole and has nothing odd about it, which is most of them, in one pass over its bytes. `None` says nothing: whoever
/// looks again finds out more.
#[inline]
fn parse_at_once(buf: &mut BytesMut, allowed: usize, max_fields: usize) -> Result<Option<ResponseHead>, ProtocolError> {
    let visible = &buf[..buf.len().min(allowed)];
    let mut slots = [const { MaybeUninit::uninit() }; FEW_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let Ok(httparse::Status::Complete(len)) = parser.parse_response_with_uninit_headers(&mut parsed, visible, &mut slots) else {
        return Ok(None);
    };
    let (Some(minor), Some(Ok(status))) = (parsed.version, parsed.code.map(StatusCode::from_u16)) else {
        return Ok(None);
    };
    let is_usual = parsed.reason == status.canonical_reason();
    let fields = parsed.headers.len();
    if fields > max_fields || u32::try_from(len).is_err() {
        return Ok(None);
    }
    // The places, as the slices borrow the buffer. They are parts of it, so neither the difference nor the length can overflow.
    let start = visible.as_ptr() as usize;
    let place = |part: &[u8]| ((part.as_ptr() as usize - start) as u32, part.len() as u32);
    let mut places = [Place::default(); FEW_FIELDS];
    for (at, line) in places.iter_mut().zip(&*parsed.headers) {
        *at = Place {
            name: place(line.name.as_bytes()),
            value: place(line.value),
        };
    }

    let section = buf.split_to(len).freeze();
    let part = |(start, len): (u32, u32)| &section[start as usize..][..len as usize];
    let lines = places[..fields].iter().map(|place| (part(place.name), part(place.value)));
    Ok(Some(ResponseHead {
        headers: fields::to_map(&section, lines)?,
        version: if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 },
        status,
        reason: if is_usual { None } else { reason(&section, status) },
    }))
}

/// Most heads have fewer fields than this, and then the table of their positions lives on the stack (2 KiB).
const STACK_SLOTS: usize = 64;

fn parse_complete(section: Bytes, fields: usize) -> Result<ResponseHead, ProtocolError> {
    if fields <= STACK_SLOTS {
        parse_into(&section, &mut [const { MaybeUninit::uninit() }; STACK_SLOTS])
    } else {
        parse_into(&section, &mut vec![MaybeUninit::uninit(); fields])
    }
}

fn parse_into<'b>(section: &'b Bytes, slots: &mut [MaybeUninit<httparse::Header<'b>>]) -> Result<ResponseHead, ProtocolError> {
    // The default configuration is the strict one: no obs-fold (those are gone), no whitespace before a colon, one space between the parts
    // of the status line, no control bytes in values. The transcripts hold it to that.
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, section, slots);
    match outcome {
        Ok(httparse::Status::Complete(len)) if len == section.len() => {}
        Ok(_) => return Err(ProtocolError::malformed("response head ends inside a line")),
        Err(error) => return Err(explain(section, error)),
    }
    let (Some(minor), Some(code)) = (parsed.version, parsed.code) else {
        return Err(bad_status_line(section));
    };
    let status = StatusCode::from_u16(code).map_err(|_| bad_status_line(section))?;

    Ok(ResponseHead {
        version: if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 },
        status,
        reason: reason(section, status),
        headers: fields::to_map(section, fields::parts(parsed.headers))?,
    })
}

/// The reason phrase, from the bytes: httparse hides one with obs-text in it.
fn reason(section: &[u8], status: StatusCode) -> Option<Box<[u8]>> {
    let phrase = status_line(section).get(STATUS_END + 1..)?;
    let usual = status.canonical_reason().unwrap_or_default().as_bytes();
    (!phrase.is_empty() && phrase != usual).then(|| phrase.into())
}

fn explain(section: &[u8], error: httparse::Error) -> ProtocolError {
    match error {
        httparse::Error::Version | httparse::Error::Status => bad_status_line(section),
        _ => {
            let lines = &section[memchr::memchr(b'\n', section).map_or(0, |lf| lf + 1)..];
            ProtocolError::malformed(format!("malformed response head, {}", fields::explain(lines)))
        }
    }
}

fn bad_status_line(section: &[u8]) -> ProtocolError {
    ProtocolError::malformed(format!("malformed status line (RFC 9112 §4): {}", excerpt(status_line(section))))
}

/// The first line without its line end.
fn status_line(section: &[u8]) -> &[u8] {
    let line = &section[..memchr::memchr(b'\n', section).unwrap_or(section.len())];
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<ResponseHead>, ProtocolError> {
        HeadParser::new().parse(&mut BytesMut::from(bytes), &HeadLimits::default())
    }

    #[test]
    fn values_are_slices_of_the_buffer() {
        let mut buf = BytesMut::from(&b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nrest"[..]);
        let range = buf.as_ptr_range();
        let head = HeadParser::new().parse(&mut buf, &HeadLimits::default());
        let value = &head.unwrap().unwrap().headers["server"];
        assert!(range.contains(&value.as_bytes().as_ptr()));
        assert_eq!(&buf[..], b"rest");
    }

    #[test]
    fn a_usual_reason_is_not_kept() {
        for (line, reason) in [
            (&b"HTTP/1.1 200 OK"[..], None),
            (b"HTTP/1.1 200 ", None),
            (b"HTTP/1.1 200", None),
            (b"HTTP/1.1 200 ok", Some(&b"ok"[..])),
            (b"HTTP/1.1 200  OK", Some(b" OK")),
            (b"HTTP/1.1 200 X\xffZ", Some(b"X\xffZ")),
            (b"HTTP/1.1 999 Over\tboard", Some(b"Over\tboard")),
        ] {
            for end in [&b"\r\n\r\n"[..], b"\n\n"] {
                let head = parse(&[line, end].concat()).unwrap().unwrap();
                assert_eq!(head.reason.as_deref(), reason, "{line:?}");
            }
        }
    }

    #[test]
    fn fields_beyond_the_stack_slots_are_all_there() {
        for count in [STACK_SLOTS - 1, STACK_SLOTS, STACK_SLOTS + 1, 256] {
            let lines: String = (0..count).map(|i| format!("x-{i}: {i}\r\n")).collect();
            let head = parse(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes());
            assert_eq!(head.unwrap().unwrap().headers.len(), count);
        }
    }

    #[test]
    fn a_foreign_protocol_is_refused_by_its_first_bytes() {
        for (bytes, hint) in [
            (&b"\x15\x03\x01\x00\x02\x02\x46"[..], "TLS"),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "HTTP/2 SETTINGS"),
            (b"SSH-2.0-OpenSSH_9.6", "SSH-2.0-OpenSSH_9.6"),
            (b"HTTP/2", "HTTP/2"),
        ] {
            let error = parse(bytes).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
