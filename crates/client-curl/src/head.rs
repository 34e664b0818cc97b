//! The head of a response, line by line as libcurl reads it, and more strictly than libcurl does: what is refused here ends the transfer
//! before a byte of its body is believed. Pure.
//!
//! libcurl calls for each line, of informational heads and trailers as well; those of HTTP/2 it writes in the same form.
//!
//! What must never enter this file: libcurl.

use std::borrow::Cow;

use client_core::{Error, ErrorKind, HeaderMap, HeaderName, HeaderValue, Limits, Result, StatusCode, Version};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};

/// What has been read so far.
pub(crate) struct Heads {
    limits: Limits,
    place: Place,
    head: Head,
    last: Option<HeaderName>,
    bytes: usize,
    fields: usize,
    informational: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    After,
}

/// A head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) fields: HeaderMap,
}

/// What a line completes.
#[derive(Debug)]
pub(crate) enum Line {
    Nothing,
    Informational(Head),
    Final(Head),
}

impl Heads {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            place: Place::Before,
            head: Head::empty(),
            last: None,
            bytes: 0,
            fields: 0,
            informational: 0,
        }
    }

    /// One more line, with its line end.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`], [`ErrorKind::TooLarge`].
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<Line> {
        self.count(line)?;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match (self.place, text.is_empty()) {
            (Place::Before, true) => Ok(Line::Nothing),
            (Place::Before, false) => {
                (self.head.version, self.head.status) = status_line(text)?;
                self.place = Place::Within;
                Ok(Line::Nothing)
            }
            (Place::Within, true) => self.complete(),
            (Place::After, true) => Ok(Line::Nothing),
            (Place::Within | Place::After, false) => self.field(text).map(|()| Line::Nothing),
        }
    }

    /// What followed the final head.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        let trailers = std::mem::take(&mut self.head.fields);
        (self.place == Place::After && !trailers.is_empty()).then_some(trailers)
    }

    /// Whether anything of an answer has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.place != Place::Before || self.informational > 0
    }

    fn count(&mut self, line: &[u8]) -> Result<()> {
        self.bytes += line.len();
        let (bytes, most) = (self.bytes, self.limits.max_head_bytes());
        if bytes > most {
            return Err(too_large(format!(
                "the {} has more than the limit of {most} bytes; raise Limits::head_bytes",
                self.section()
            )));
        }
        Ok(())
    }

    fn section(&self) -> &'static str {
        if self.place == Place::After { "trailer section" } else { "response head" }
    }

    fn field(&mut self, text: &[u8]) -> Result<()> {
        if matches!(text[0], b' ' | b'\t') {
            return self.fold(text);
        }
        self.fields += 1;
        let most = self.limits.max_head_fields();
        if self.fields > most {
            return Err(too_large(format!(
                "the {} has more than the limit of {most} fields; raise Limits::head_fields",
                self.section()
            )));
        }
        let (name, value) = field(text).ok_or_else(|| violation(format!("a field of the {} is malformed", self.section())))?;
        self.head.fields.append(name.clone(), value);
        self.last = Some(name);
        Ok(())
    }

    /// A line that goes on with the value before it (RFC 9112 §5.2): joined by a space.
    fn fold(&mut self, text: &[u8]) -> Result<()> {
        let malformed = || violation("a line of the head begins with a space and continues nothing");
        let name = self.last.as_ref().ok_or_else(malformed)?;
        let http::header::Entry::Occupied(mut field) = self.head.fields.entry(name) else {
            return Err(malformed());
        };
        let value = field.iter_mut().next_back().ok_or_else(malformed)?;
        let joined = [value.as_bytes(), text.trim_ascii()].join(&b' ');
        *value = HeaderValue::from_bytes(joined.trim_ascii()).map_err(|_| malformed())?;
        Ok(())
    }

    fn complete(&mut self) -> Result<Line> {
        let head = std::mem::replace(&mut self.head, Head::empty());
        (self.bytes, self.fields, self.last) = (0, 0, None);
        if head.version == Version::HTTP_2 {
            connection_fields(&head.fields)?;
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(violation("it switches protocols without being asked to (RFC 9110 §15.2.2)"));
        }
        if head.status.is_informational() {
            self.informational += 1;
            let most = self.limits.max_informational();
            if self.informational > most {
                return Err(too_large(format!("more than {most} informational responses; raise Limits::informational")));
            }
            self.place = Place::Before;
            return Ok(Line::Informational(head));
        }
        framing(&head)?;
        self.place = Place::After;
        Ok(Line::Final(head))
    }
}

impl Head {
    fn empty() -> Self {
        Self {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            fields: HeaderMap::new(),
        }
    }

    /// The announced length of the body. Known to be one number, see [`framing`].
    pub(crate) fn content_length(&self) -> Option<u64> {
        let value = self.fields.get(CONTENT_LENGTH)?.to_str().ok()?;
        value.split(',').next()?.trim().parse().ok()
    }

    /// Whether the body comes in chunks. Known to be exactly that coding, see [`framing`].
    pub(crate) fn is_chunked(&self) -> bool {
        self.version == Version::HTTP_11 && self.fields.contains_key(TRANSFER_ENCODING) && !self.is_bodiless()
    }

    /// Whether there is no body, whatever the fields say (RFC 9112 §6.3); of a response to HEAD the caller knows.
    pub(crate) fn is_bodiless(&self) -> bool {
        matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || self.content_length() == Some(0)
    }
}

/// RFC 9112 §4. libcurl takes more: any protocol's name that begins like ours, any number of digits.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode)> {
    let malformed = || violation("the status line is malformed");
    let (version, rest) = match line.strip_prefix(b"HTTP/") {
        Some([b'1', b'.', b'1', rest @ ..]) => (Version::HTTP_11, rest),
        Some([b'1', b'.', b'0', rest @ ..]) => (Version::HTTP_10, rest),
        // This is how libcurl writes the `:status` of HTTP/2.
        Some([b'2', rest @ ..]) => (Version::HTTP_2, rest),
        _ => return Err(malformed()),
    };
    let status = rest.strip_prefix(b" ").and_then(|rest| rest.get(..3)).ok_or_else(malformed)?;
    if !matches!(rest.get(4), None | Some(b' ')) {
        return Err(malformed());
    }
    let status = StatusCode::from_bytes(status).map_err(|_| malformed())?;
    Ok((version, status))
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// RFC 9113 §8.2.2: such a message is malformed.
fn connection_fields(fields: &HeaderMap) -> Result<()> {
    let forbidden = [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    match forbidden.iter().find(|name| fields.contains_key(*name)) {
        Some(name) => Err(violation(format!("the field {name} in HTTP/2 (RFC 9113 §8.2.2)"))),
        None => Ok(()),
    }
}

/// RFC 9112 §6.3, where libcurl is more lenient: a length beside a transfer coding, codings other than exactly "chunked", lengths that
/// disagree.
fn framing(head: &Head) -> Result<()> {
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(());
    }
    let mut codings = head.fields.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = head
        .fields
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let first = lengths.next().map(<[u8]>::trim_ascii);
    if let Some(coding) = codings.next() {
        if first.is_some() {
            return Err(violation("the response has both Transfer-Encoding and Content-Length (RFC 9112 §6.3)"));
        }
        if head.version == Version::HTTP_10 {
            return Err(violation("an HTTP/1.0 response has Transfer-Encoding (RFC 9112 §6.1)"));
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(violation("the response has a Transfer-Encoding other than exactly \"chunked\""));
        }
        return Ok(());
    }
    let Some(first) = first else {
        return Ok(());
    };
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let parsed = std::str::from_utf8(first).ok().and_then(|text| text.parse::<u64>().ok());
    if !is_number || parsed.is_none() || lengths.any(|other| other.trim_ascii() != first) {
        return Err(violation("its Content-Length is no number, or several that disagree (RFC 9112 §6.3)"));
    }
    Ok(())
}

fn violation(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Protocol, message)
}

fn too_large(message: String) -> Error {
    Error::new(ErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &str) -> String {
        let mut heads = Heads::new(Limits::default().head_bytes(200).head_fields(3).informational(1));
        let mut out = Vec::new();
        for line in input.split_inclusive('\n') {
            match heads.line(line.as_bytes()) {
                Ok(Line::Nothing) => {}
                Ok(Line::Informational(head)) => out.push(format!("{} informational", head.status.as_u16())),
                Ok(Line::Final(head)) => {
                    out.push(format!("{:?} {}, {} fields", head.version, head.status.as_u16(), head.fields.len()));
                }
                Err(error) => {
                    out.push(format!("{:?}", error.kind()));
                    break;
                }
            }
        }
        if let Some(trailers) = heads.take_trailers() {
            out.push(format!("{} trailers", trailers.len()));
        }
        out.join("; ")
    }

    #[test]
    fn heads() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(200));
        let table = [
            ("HTTP/1.1 200 OK\r\nA: b\r\n", ""),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1 200, 1 fields"),
            ("HTTP/1.1 200\r\nA: b\r\n\r\n", "HTTP/1.1 200, 1 fields"),
            ("HTTP/1.0 200 \r\n\r\n", "HTTP/1.0 200, 0 fields"),
            ("HTTP/2 200 \r\nA: b\r\n\r\nT: 1\r\n\r\n", "HTTP/2.0 200, 1 fields; 1 trailers"),
            ("HTTP/2 200 \r\nConnection: close\r\n\r\n", "Protocol"),
            (
                "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                "103 informational; HTTP/1.1 200, 0 fields",
            ),
            ("HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 B\r\n\r\n", "103 informational; TooLarge"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "Protocol"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "Protocol"),
            ("HTTP/1.1 20 OK\r\n\r\n", "Protocol"),
            ("HTTP/2.0 200 OK\r\n\r\n", "Protocol"),
            ("http/1.1 200 OK\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n", "TooLarge"),
            (&long, "TooLarge"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "HTTP/1.1 200, 1 fields"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "Protocol"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Protocol"),
            (
                "HTTP/1.1 304 A\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                "HTTP/1.1 304, 2 fields",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n", "HTTP/1.1 200, 1 fields"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "Protocol"),
        ];
        for (input, expected) in table {
            assert_eq!(shown(input), expected, "{input:?}");
        }
    }

    #[test]
    fn a_folded_value_is_joined() {
        let mut heads = Heads::new(Limits::default());
        for line in ["HTTP/1.1 200 OK\r\n", "X: 1\r\n", "X: 2\r\n", " \t 3\r\n"] {
            heads.line(line.as_bytes()).unwrap();
        }
        let Ok(Line::Final(head)) = heads.line(b"\r\n") else {
            panic!("no head")
        };
        let values: Vec<_> = head.fields.get_all("x").iter().collect();
        assert_eq!(values, ["1", "2 3"]);
    }
}
