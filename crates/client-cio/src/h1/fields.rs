//! A section of field lines up to its empty line: the head after its status line, or the trailers.
//!
//! Owns finding its end, turning its lines into a `HeaderMap` without copying values, and explaining a line that is wrong.
//! What a field means is decided elsewhere.

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED, SERVER,
    TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{ProtocolError, excerpt};

/// Looks for the empty line that ends a section, and remembers how far it looked: a section that arrives byte by byte
/// costs one pass over its bytes, not one pass per read.
#[derive(Debug, Default)]
pub(super) struct SectionScan {
    /// Where to go on: everything before holds no end.
    scanned: usize,
    /// Line ends seen which were followed by another line.
    line_breaks: usize,
    /// Whether one of those lines begins with whitespace.
    has_folds: bool,
}

/// A complete section at the front of the buffer.
pub(super) struct Section {
    /// Its bytes, the final empty line included.
    pub(super) len: usize,
    /// Its lines, the final empty line excluded.
    pub(super) lines: usize,
    /// Whether one of them begins with whitespace: it goes on with the line before, see [`unfold`].
    pub(super) has_folds: bool,
}

impl SectionScan {
    /// Whether nothing has been looked at yet.
    pub(super) fn is_new(&self) -> bool {
        self.scanned == 0
    }

    /// The section at the front of `buf`, once its end is there. `buf` must begin with a line that is not empty, and only
    /// ever grow between two calls.
    pub(super) fn find(&mut self, buf: &[u8]) -> Option<Section> {
        while let Some(offset) = memchr::memchr(b'\n', &buf[self.scanned..]) {
            let lf = self.scanned + offset;
            let empty_line = match &buf[lf + 1..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                // Undecided: come back to this line end when there is more.
                [] | [b'\r'] => {
                    self.scanned = lf;
                    return None;
                }
                [next, ..] => {
                    self.scanned = lf + 1;
                    self.line_breaks += 1;
                    self.has_folds |= is_blank(*next);
                    continue;
                }
            };
            return Some(Section {
                len: lf + 1 + empty_line,
                lines: self.line_breaks + 1,
                has_folds: self.has_folds,
            });
        }
        self.scanned = buf.len();
        None
    }
}

/// Joins each line that begins with whitespace to the one before, in place: "A user agent that receives an obs-fold in a response message
/// \[…\] MUST replace each received obs-fold with one or more SP octets prior to interpreting the field value" (RFC 9112 §5.2).
///
/// `lines` begins with a field line: whitespace at its start joins nothing, and stays to be refused (RFC 9112 §2.2).
pub(super) fn unfold(lines: &mut [u8]) {
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\n', &lines[at..]) {
        let lf = at + offset;
        at = lf + 1;
        if !lines.get(at).copied().is_some_and(is_blank) {
            continue;
        }
        // obs-fold = OWS CRLF RWS. Of two CRs before the LF, one is bare, and stays to be refused.
        let line = &lines[..lf];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let from = line.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        let to = lines[at..].iter().position(|byte| !is_blank(*byte)).map_or(lines.len(), |length| at + length);
        lines[from..to].fill(b' ');
        at = to;
    }
}

/// SP or HTAB.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The parsed lines, names and values, as a map. Values are slices of `section`, which they keep alive; repeated names keep their order.
pub(super) fn to_map<'a>(
    section: &Bytes,
    lines: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<HeaderMap, ProtocolError> {
    let count = lines.len();
    let too_many = |_| ProtocolError::too_large(format!("{count} fields"));

    let mut map = HeaderMap::try_with_capacity(count).map_err(too_many)?;
    for (name, value) in lines {
        let name = match known(name) {
            Some(name) => name,
            None => {
                HeaderName::from_bytes(name).map_err(|_| ProtocolError::malformed(format!("invalid name: {}", excerpt(name))))?
            }
        };
        // RFC 9110 §5.5: HTAB, SP, VCHAR and obs-text. httparse has checked the same set; this is the type's own proof.
        let value = HeaderValue::from_maybe_shared(section.slice_ref(value))
            .map_err(|_| ProtocolError::malformed(format!("invalid value of field `{name}`")))?;
        map.try_append(name, value).map_err(too_many)?;
    }
    Ok(map)
}

/// The names that most responses have, as most servers write them: to compare a few costs a third of what the type does, which looks at each byte.
#[inline]
fn known(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"date" | b"Date" => DATE,
        b"etag" | b"ETag" | b"Etag" => ETAG,
        b"vary" | b"Vary" => VARY,
        b"server" | b"Server" => SERVER,
        b"connection" | b"Connection" => CONNECTION,
        b"content-type" | b"Content-Type" => CONTENT_TYPE,
        b"cache-control" | b"Cache-Control" => CACHE_CONTROL,
        b"last-modified" | b"Last-Modified" => LAST_MODIFIED,
        b"accept-ranges" | b"Accept-Ranges" => ACCEPT_RANGES,
        b"content-length" | b"Content-Length" => CONTENT_LENGTH,
        b"content-encoding" | b"Content-Encoding" => CONTENT_ENCODING,
        b"transfer-encoding" | b"Transfer-Encoding" => TRANSFER_ENCODING,
        _ => return None,
    })
}

/// What httparse found, as [`to_map`] takes it.
pub(super) fn parts<'a>(lines: &'a [httparse::Header<'a>]) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> {
    lines.iter().map(|line| (line.name.as_bytes(), line.value))
}

/// Whether there is such a field. With as few fields as a response has, a look at each name costs a fifth of what looking one up does.
#[inline]
pub(crate) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|other| other == name)
}

/// Why `lines`, a section without its status line, was refused: the first wrong line, by number and name.
///
/// The parser only says "invalid", so the cold path looks again.
pub(super) fn explain(lines: &[u8]) -> String {
    lines
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .find_map(|(index, line)| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let wrong = explain_line(line)?;
            Some(format!("field line {}: {wrong}", index + 1))
        })
        .unwrap_or_else(|| "a field line is malformed".to_owned())
}

/// What is wrong with one line, without its line end; `None` if nothing is.
fn explain_line(line: &[u8]) -> Option<String> {
    if line.is_empty() {
        return None;
    }
    if let [b' ' | b'\t', ..] = line {
        return Some("begins with whitespace, and there is no field before it (RFC 9112 §2.2)".to_owned());
    }
    // Without a colon it is no name: it may be the rest of a broken value, so it is not shown.
    let Some(colon) = memchr::memchr(b':', line) else {
        return Some(format!("no colon in {} bytes", line.len()));
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() {
        return Some("empty field name".to_owned());
    }
    if let [.., b' ' | b'\t'] = name {
        let name = excerpt(name.trim_ascii_end());
        return Some(format!("whitespace between the name {name} and its colon (RFC 9112 §5.1)"));
    }
    if let Some(byte) = name.iter().find(|byte| !is_token_byte(**byte)) {
        return Some(format!("byte {byte:#04x} in the name {}", excerpt(name)));
    }
    let byte = value.iter().find(|byte| !is_value_byte(**byte))?;
    let what = match byte {
        b'\r' => "a bare CR".to_owned(),
        other => format!("control byte {other:#04x}"),
    };
    Some(format!("{what} in the value of {}", excerpt(name)))
}

/// `tchar`, RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `field-vchar`, SP or HTAB, RFC 9110 §5.5.
fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        for (input, len, lines) in [
            (&b"A: 1\r\n\r\n"[..], 8, 1),
            (b"A: 1\n\nrest", 6, 1),
            (b"A: 1\r\nB: 2\r\n\r\nrest", 14, 2),
            (b"A: 1\n\r\n", 7, 1),
            (b"A\n\rB\n\n", 6, 2),
        ] {
            let mut scan = SectionScan::default();
            let found = (0..=input.len()).find_map(|end| scan.find(&input[..end]));
            let found = found.expect("the section is complete");
            assert_eq!((found.len, found.lines), (len, lines), "{input:?}");

            let whole = SectionScan::default().find(input).unwrap();
            assert_eq!((whole.len, whole.lines), (len, lines), "{input:?}");
        }
        assert!(SectionScan::default().find(b"A: 1\r\nB: 2\r\n").is_none());
    }

    #[test]
    fn folds_become_spaces() {
        for (lines, expected) in [
            (&b"A: b\r\n c\r\n\r\n"[..], &b"A: b   c\r\n\r\n"[..]),
            (b"A: b \t\r\n\t c\r\nD: e\r\n\r\n", b"A: b      c\r\nD: e\r\n\r\n"),
            (b"A: b\n c\n\td\n\n", b"A: b  c  d\n\n"),
            (b"A:\r\n b\r\n\r\n", b"A:   b\r\n\r\n"),
            // Lines of whitespace alone.
            (b"A: b\r\n \r\n\t\r\n c\r\n\r\n", b"A: b         c\r\n\r\n"),
            (b"A: b\r\n \r\n\r\n", b"A: b   \r\n\r\n"),
            // A bare CR is not part of it.
            (b"A: b\r\r\n c\r\n\r\n", b"A: b\r   c\r\n\r\n"),
            // Nothing to join.
            (b" A: b\r\n\r\n", b" A: b\r\n\r\n"),
            (b"A: b\r\nC: d\r\n\r\n", b"A: b\r\nC: d\r\n\r\n"),
        ] {
            let mut unfolded = lines.to_vec();
            unfold(&mut unfolded);
            assert_eq!(unfolded.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{}", lines.escape_ascii());
        }
    }

    #[test]
    fn an_explanation_names_the_line_and_never_its_value() {
        for (lines, expected) in [
            (&b" A: 1\r\n"[..], "field line 1: begins with whitespace"),
            (b"secret\r\n", "field line 1: no colon in 6 bytes"),
            (b": secret\r\n", "field line 1: empty field name"),
            (b"A : secret\r\n", "whitespace between the name \"A\""),
            (b"A(b: secret\r\n", "byte 0x28 in the name \"A(b\""),
            (b"Set-Cookie: secret\r!\r\n", "a bare CR in the value of \"Set-Cookie\""),
            (b"Set-Cookie: secret\x01\r\n", "control byte 0x01 in the value of"),
            (b"A: 1\r\n\r\n", "a field line is malformed"),
        ] {
            let text = explain(lines);
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
