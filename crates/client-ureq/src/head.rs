//! A response's head before ureq sees it: its end, its limits, its framing, and the informational heads that precede it. Pure.
//!
//! ureq-proto reads heads itself, but keeps informational ones to itself, fails on a 100 with fields, takes any `Transfer-Encoding`
//! with "chunked" in it, and decodes, transcodes or stores cookies if any other crate of the program has switched those features on.

use std::borrow::Cow;

use client_core::{Error, ErrorKind, HeaderMap, HeaderName, HeaderValue, Limits, Result, StatusCode};

/// ureq-proto's own limit.
const MAX_FIELDS: usize = 128;

/// The fields by which ureq would act on a response on its own, if its features `gzip`, `brotli`, `charset` or `cookies` are on: they
/// are, as soon as any crate of the program asks for them. ureq is shown other names.
const MASKED: [HeaderName; 3] = [
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_TYPE,
    http::header::SET_COOKIE,
];

/// The first byte of a masked name: a token character (RFC 9110 §5.6.2) that begins no registered field name.
const MASK: u8 = b'!';

/// What the bytes received so far begin with.
#[derive(Debug)]
pub(crate) enum Look {
    /// Not enough to tell. So many bytes at the start are empty lines to be skipped (RFC 9112 §2.2).
    Incomplete { skip: usize },
    /// An informational head of so many bytes.
    Informational {
        len: usize,
        status: StatusCode,
        fields: HeaderMap,
    },
    /// A final head of so many bytes.
    Final { len: usize, is_chunked: bool },
}

/// Looks at what was received.
///
/// # Errors
/// [`ErrorKind::TooLarge`], [`ErrorKind::Protocol`]; the phase is the caller's to say.
pub(crate) fn look(input: &[u8], limits: &Limits) -> Result<Look> {
    let skip = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if skip > 0 {
        return Ok(Look::Incomplete { skip });
    }
    check_protocol(input)?;
    let max = limits.max_head_bytes();
    let Some(len) = end(input) else {
        if input.len() > max {
            return Err(too_large(format!(
                "the response head has more than the limit of {max} bytes; raise Limits::head_bytes"
            )));
        }
        return Ok(Look::Incomplete { skip: 0 });
    };
    if len > max {
        return Err(too_large(format!(
            "the response head has {len} bytes, more than the limit of {max}; raise Limits::head_bytes"
        )));
    }
    let head = &input[..len];
    let (fields, max) = (lines(head).count().saturating_sub(1), limits.max_head_fields());
    if fields > max {
        let message = format!("the response head has {fields} fields, more than the limit of {max}; raise Limits::head_fields");
        return Err(too_large(message));
    }
    if let Some(status) = status(head).filter(|status| status.is_informational() && *status != StatusCode::SWITCHING_PROTOCOLS) {
        let fields = lines(head).skip(1).map(field).collect::<Option<_>>();
        let fields = fields.ok_or_else(|| violation("an informational head has a malformed field"))?;
        return Ok(Look::Informational { len, status, fields });
    }
    if fields > MAX_FIELDS {
        return Err(too_large(format!("the response head has {fields} fields; ureq reads at most {MAX_FIELDS}")));
    }
    let is_chunked = is_chunked(head)?;
    Ok(Look::Final { len, is_chunked })
}

/// Refuses what is not HTTP/1 as soon as its first bytes show it: it may never send the empty line that ends a head.
fn check_protocol(input: &[u8]) -> Result<()> {
    const EXPECTED: &[u8] = b"HTTP/1.";
    let seen = input.len().min(EXPECTED.len());
    if input[..seen] == EXPECTED[..seen] {
        return Ok(());
    }
    let begin = input[..input.len().min(20)].escape_ascii();
    Err(violation(format!("the response is not HTTP/1.x: it begins with \"{begin}\"")))
}

/// Joins each field line of the first head that begins with whitespace to the one before, in place: "MUST replace each received obs-fold
/// with one or more SP octets" (RFC 9112 §5.2). Whitespace before the first field joins nothing, and ureq's parser refuses it.
pub(crate) fn unfold(input: &mut [u8]) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let len = end(input).unwrap_or(0);
    let status_line = input[..len].iter().position(|byte| *byte == b'\n').map_or(len, |lf| lf + 1);
    let fields = &mut input[status_line..len];
    for lf in 0..fields.len() {
        if fields[lf] == b'\n' && fields.get(lf + 1).is_some_and(blank) {
            let rest = fields[lf + 1..].iter().take_while(|byte| blank(byte)).count();
            // Of two CRs before the LF one is bare, and stays to be refused.
            let from = if lf > 0 && fields[lf - 1] == b'\r' { lf - 1 } else { lf };
            fields[from..=lf + rest].fill(b' ');
        }
    }
}

/// Hides the fields that ureq would act upon.
pub(crate) fn mask(input: &mut [u8]) {
    let len = end(input).unwrap_or(0);
    let mut start = 0;
    while let Some(line) = input[start..len].iter().position(|byte| *byte == b'\n') {
        let name = &input[start..start + line];
        let name = name.split(|byte| *byte == b':').next().unwrap_or(name);
        if MASKED.iter().any(|masked| name.eq_ignore_ascii_case(masked.as_str().as_bytes())) {
            input[start] = MASK;
        }
        start += line + 1;
    }
}

/// The fields as the server named them.
pub(crate) fn unmask(fields: HeaderMap) -> HeaderMap {
    if !fields.keys().any(|name| name.as_str().as_bytes()[0] == MASK) {
        return fields;
    }
    let mut clear = HeaderMap::with_capacity(fields.len());
    for (name, value) in &fields {
        let same = |masked: &&HeaderName| name.as_str().as_bytes()[0] == MASK && masked.as_str()[1..] == name.as_str()[1..];
        clear.append(MASKED.iter().find(same).unwrap_or(name).clone(), value.clone());
    }
    clear
}

/// The length of the head, if its empty line is there. A lone LF ends a line for ureq's parser too (RFC 9112 §2.2).
fn end(input: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(line) = input[start..].iter().position(|byte| *byte == b'\n') {
        let text = &input[start..start + line];
        start += line + 1;
        if matches!(text, b"" | b"\r") {
            return Some(start);
        }
    }
    None
}

/// The status line and the fields, without their line ends and the empty line.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty())
}

/// The status, where the line is one; ureq's parser says what is wrong with it otherwise.
fn status(head: &[u8]) -> Option<StatusCode> {
    let line = head.strip_prefix(b"HTTP/1.")?;
    StatusCode::from_bytes(line.get(2..5)?).ok()
}

/// A field line, without its line end.
pub(crate) fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// Whether a body follows in chunks. RFC 9112 §6.3, where ureq is more lenient: a length together with a transfer coding "ought to be handled as an error", and of the
/// codings only exactly "chunked" can be read.
fn is_chunked(head: &[u8]) -> Result<bool> {
    let values = |name: &'static [u8]| {
        lines(head).skip(1).filter_map(move |line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            line[..colon].eq_ignore_ascii_case(name).then(|| line[colon + 1..].trim_ascii())
        })
    };
    let status = status(head);
    if status.is_some_and(|status| matches!(status.as_u16(), 101 | 204 | 304)) {
        return Ok(false);
    }
    let mut codings = values(b"transfer-encoding");
    let Some(coding) = codings.next() else {
        return Ok(false);
    };
    if values(b"content-length").next().is_some() {
        return Err(violation("the response has both Transfer-Encoding and Content-Length (RFC 9112 §6.3)"));
    }
    if head.starts_with(b"HTTP/1.0") {
        return Err(violation("an HTTP/1.0 response has Transfer-Encoding (RFC 9112 §6.1)"));
    }
    if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
        return Err(violation("the response has a Transfer-Encoding other than exactly \"chunked\""));
    }
    Ok(true)
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
        match look(input.as_bytes(), &Limits::default().head_bytes(200).head_fields(3)) {
            Ok(Look::Incomplete { skip }) => format!("incomplete, skip {skip}"),
            Ok(Look::Informational { len, status, fields }) => {
                format!("{} of {len} bytes, {} fields", status.as_u16(), fields.len())
            }
            Ok(Look::Final { is_chunked: true, .. }) => "final, chunked".into(),
            Ok(Look::Final { .. }) => "final".into(),
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    #[test]
    fn heads() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(200));
        let table = [
            ("", "incomplete, skip 0"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", "incomplete, skip 0"),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", "incomplete, skip 2"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", "final"),
            ("HTTP/1.1 200 OK\nA: b\n\nbody", "final"),
            ("nonsense", "Protocol"),
            ("HTTP/", "incomplete, skip 0"),
            ("HTTP/2 200\r\n", "Protocol"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "100 of 25 bytes, 0 fields"),
            ("HTTP/1.1 100\r\nA: b\r\n\r\n", "100 of 22 bytes, 1 fields"),
            ("HTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n\r\n", "103 of 46 bytes, 2 fields"),
            ("HTTP/1.1 103 Early Hints\r\nno colon\r\n\r\n", "Protocol"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "final"),
            ("HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", "TooLarge"),
            (&long, "TooLarge"),
            (&long[..210], "TooLarge"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "final, chunked"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "Protocol"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "Protocol"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Protocol"),
            ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "final"),
        ];
        for (input, expected) in table {
            assert_eq!(shown(input), expected, "{input:?}");
        }
    }

    #[test]
    fn more_fields_than_ureq_reads_are_refused_by_us() {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(129));
        let error = look(head.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), "too large: the response head has 129 fields; ureq reads at most 128");
    }

    #[test]
    fn folds_become_spaces() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n x\r\n y", "HTTP/1.1 200 OK\r\nA: b   c\r\n\r\n x\r\n y"),
            ("HTTP/1.1 200 OK\nA: b\n  c\n d\n\n", "HTTP/1.1 200 OK\nA: b   c  d\n\n"),
            ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n"),
            ("HTTP/1.1 200 OK\r\nA: b\r\r\n c\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r   c\r\n\r\n"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n"),
        ] {
            let mut input = head.as_bytes().to_vec();
            unfold(&mut input);
            assert_eq!(input.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        }
    }

    #[test]
    fn masked_and_unmasked() {
        let mut head =
            *b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX: y\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nset-cookie: body";
        mask(&mut head);
        let masked = String::from_utf8_lossy(&head).into_owned();
        assert_eq!(
            masked,
            "HTTP/1.1 200 OK\r\n!ontent-Encoding: gzip\r\nX: y\r\n!et-cookie: a\r\n!et-cookie: b\r\n\r\nset-cookie: body"
        );
        let fields: HeaderMap = lines(&head[..end(&head).unwrap()]).skip(1).map(|line| field(line).unwrap()).collect();
        let clear: Vec<_> = unmask(fields).iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(clear[0], "content-encoding: gzip");
        assert_eq!(clear[1], "x: y");
    }
}
