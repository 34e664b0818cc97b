//! Where the body of a response ends: RFC 9112 §6.3, rule by rule.
//!
//! Owns that decision, from the request method and the response head alone ("there are no side channels"). It reads no body.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};

use super::error::{ProtocolError, ProtocolErrorKind, excerpt};
use super::fields::has;
use super::head::ResponseHead;

/// How the end of a response body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body, whatever the fields say.
    None,
    /// So many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Everything until the peer closes.
    UntilClose,
    /// No HTTP any more: 101, or 2xx to CONNECT.
    Tunnel,
}

/// The framing of the response `head` to a request with `request_method`.
///
/// Stricter than the RFC asks of a client where a lenient reading is the shape of an attack: `Transfer-Encoding` together
/// with `Content-Length`, and any coding but exactly `chunked`, are errors.
#[inline]
pub fn framing(request_method: &Method, head: &ResponseHead) -> Result<Framing, ProtocolError> {
    let status = head.status;

    // Rule 2, before rule 1 because a 204 to CONNECT opens the tunnel as well: "any 2xx (Successful) response to a CONNECT
    // request implies that the connection will become a tunnel", and Transfer-Encoding and Content-Length are ignored.
    // RFC 9110 §15.2.2: after the empty line of a 101 the new protocol speaks.
    let tunnel = request_method == Method::CONNECT && status.is_success();
    if tunnel || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Framing::Tunnel);
    }

    // Rule 1: "Any response to a HEAD request and any response with a 1xx, 204, or 304 status code is always terminated by
    // the first empty line after the header fields, regardless of the header fields present in the message".
    // A 205 is not in that list. RFC 9110 §15.3.6 forbids it content, but servers say so with `Content-Length: 0` or an empty
    // chunked body (RFC 7231 §6.3.6 told them to), so it is the ordinary rules that keep the connection in step.
    if request_method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
    {
        return Ok(Framing::None);
    }

    // Rules 3 and 4.
    if has(&head.headers, &TRANSFER_ENCODING) {
        return transfer_encoding(head);
    }

    // Rules 5 and 6. Rule 7 is for requests. Rule 8: "a response message without a declared message body length, so the
    // message body length is determined by the number of octets received prior to the server closing the connection".
    Ok(content_length(&head.headers)?.map_or(Framing::UntilClose, Framing::Length))
}

/// Rules 3 and 4, and RFC 9112 §6.1.
fn transfer_encoding(head: &ResponseHead) -> Result<Framing, ProtocolError> {
    // Rule 3: "might indicate an attempt to perform request smuggling or response splitting and ought to be handled as an
    // error."
    if head.headers.contains_key(CONTENT_LENGTH) {
        return Err(ProtocolError::malformed("response has both Transfer-Encoding and Content-Length (RFC 9112 §6.3)"));
    }
    // §6.1: "A client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat the message
    // as if the framing is faulty".
    if head.version == Version::HTTP_10 {
        return Err(ProtocolError::malformed("HTTP/1.0 response has Transfer-Encoding (RFC 9112 §6.1)"));
    }
    // Rule 4, narrowed: one coding over all lines, and it is `chunked`. We never send `TE`, so a server has no reason to
    // send another; a list such as `chunked, identity` is only ever sent to be read in two ways.
    let mut codings = members(&head.headers, TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        _ => {
            let codings: Vec<_> = members(&head.headers, TRANSFER_ENCODING).collect();
            Err(ProtocolError::new(
                ProtocolErrorKind::Unsupported,
                format!("unsupported Transfer-Encoding {}: only exactly `chunked` is", excerpt(&codings.join(&b", "[..]))),
            ))
        }
    }
}

/// Rules 5 and 6, and RFC 9110 §8.6: `1*DIGIT`, and identical repetitions (over lines or in a list) count as one.
#[inline]
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, ProtocolError> {
    // One line with one number, as nearly always.
    let mut lines = headers.iter().filter(|(name, _)| *name == CONTENT_LENGTH).map(|(_, value)| value.as_bytes());
    if let (Some(length), None) = (lines.next().and_then(parse_digits), lines.next()) {
        return Ok(Some(length));
    }
    let mut values = members(headers, CONTENT_LENGTH);
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let length =
        parse_digits(first).ok_or_else(|| ProtocolError::malformed(format!("invalid Content-Length {}", excerpt(first))))?;
    // Octets are compared, not numbers: whoever writes `30` and `030` is two parties.
    match values.find(|value| *value != first) {
        None => Ok(Some(length)),
        Some(other) => Err(ProtocolError::malformed(format!(
            "contradicting Content-Length: {} and {}",
            excerpt(first),
            excerpt(other)
        ))),
    }
}

/// The members of a comma list over all lines of a field, OWS trimmed, empty ones included (RFC 9110 §5.3, §5.6.1).
fn members(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &[u8]> + use<'_> {
    headers
        .iter()
        .filter(move |(other, _)| **other == name)
        .map(|(_, value)| value.as_bytes())
        .flat_map(|line| line.split(|&byte| byte == b','))
        // SP and HTAB are the only whitespace a `HeaderValue` can hold.
        .map(<[u8]>::trim_ascii)
}

/// `1*DIGIT` that fits 64 bits. `str::parse` would take a `+`.
fn parse_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn head(version: Version, status: u16, fields: &[(&'static str, &'static str)]) -> ResponseHead {
        ResponseHead {
            version,
            status: StatusCode::from_u16(status).unwrap(),
            reason: None,
            headers: fields
                .iter()
                .map(|(name, value)| {
                    let name = http::HeaderName::from_static(name);
                    (name, HeaderValue::from_static(value))
                })
                .collect(),
        }
    }

    #[test]
    fn the_method_and_the_status_come_before_the_fields() {
        let fields = [("content-length", "7"), ("transfer-encoding", "chunked")];
        for (method, status, expected) in [
            (Method::HEAD, 200, Framing::None),
            (Method::HEAD, 404, Framing::None),
            (Method::GET, 100, Framing::None),
            (Method::GET, 204, Framing::None),
            (Method::GET, 304, Framing::None),
            (Method::GET, 101, Framing::Tunnel),
            (Method::CONNECT, 200, Framing::Tunnel),
            (Method::CONNECT, 204, Framing::Tunnel),
        ] {
            let head = head(Version::HTTP_11, status, &fields);
            assert_eq!(framing(&method, &head), Ok(expected), "{method} {status}");
        }
        for status in [200, 205, 404] {
            let head = head(Version::HTTP_11, status, &fields);
            assert!(framing(&Method::GET, &head).is_err());
        }
        let refused = head(Version::HTTP_11, 407, &[("content-length", "7")]);
        assert_eq!(framing(&Method::CONNECT, &refused), Ok(Framing::Length(7)));
    }

    #[test]
    fn digits_are_digits() {
        for (text, number) in [
            (&b"0"[..], Some(0)),
            (b"0042", Some(42)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"+1", None),
            (b"-1", None),
            (b"0x1", None),
            (b"1 2", None),
            (b"1\xff", None),
        ] {
            assert_eq!(parse_digits(text), number, "{text:?}");
        }
    }
}
