//! The head of a request, written (RFC 9112 §3, §5; RFC 9110 §7.2, §8.6).
//!
//! Owns the request line and the fields that frame the message: `Host`, `Content-Length` and `Transfer-Encoding` are computed or
//! verified here, never copied blindly. It adds no other field (no default `Accept`, no `User-Agent`) and writes no body.
//!
//! What cannot be injected, and why: a `Method` is a token and a `HeaderName` is one by their types; a `HeaderValue` holds no
//! CR, LF, NUL or other control byte but HTAB, so values are not looked at again. The types of a target are laxer (`Uri` lets
//! bytes beyond ASCII pass) and the host is plain bytes, so those two are checked byte by byte.

use http::header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use super::error::InvalidRequest;
use super::fields::has;

/// Everything that the head of a request is made of.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request target.
    pub target: Target<'a>,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: Version,
    /// The value of `Host` if `headers` have none: host and port of the target URI, empty if it has no authority.
    pub host: &'a [u8],
    /// The fields, written in their order, one line per value.
    pub headers: &'a HeaderMap,
    /// How the body will be framed.
    pub framing: RequestFraming,
    /// Credentials for the proxy that the request is written to; `None` towards an origin, also through a tunnel. Those of the
    /// connection replace whatever `headers` have.
    pub proxy_authorization: Option<&'a HeaderValue>,
}

/// The four forms of a request target (RFC 9112 §3.2). A fragment is in none of them.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// `/path?query`: to the origin, directly or through a tunnel.
    Origin(&'a PathAndQuery),
    /// `http://host/path?query`: to a proxy. Userinfo in it is not sent (RFC 9110 §4.2.4).
    Absolute(&'a Uri),
    /// `host:port`: CONNECT. Userinfo in it is not sent.
    Authority(&'a Authority),
    /// `*`: OPTIONS for the server as a whole.
    Asterisk,
}

/// How a request body is framed (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFraming {
    /// No body. The same as `Length(0)`.
    None,
    /// So many bytes.
    Length(u64),
    /// The chunked transfer coding; HTTP/1.1 only.
    Chunked,
}

/// Appends a request head to `out`, the final empty line included. On an error `out` is as it was.
#[inline]
pub fn encode_head(out: &mut Vec<u8>, head: &RequestHead<'_>) -> Result<(), InvalidRequest> {
    let start = out.len();
    let written = write_head(out, head);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

#[inline]
fn write_head(out: &mut Vec<u8>, head: &RequestHead<'_>) -> Result<(), InvalidRequest> {
    check_method(head)?;

    // Request line, RFC 9112 §3.
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    write_target(out, head)?;
    // RFC 9110 §7.2: "A user agent that sends Host SHOULD send it as the first field in the header section".
    out.extend_from_slice(match head.version {
        Version::HTTP_11 => b" HTTP/1.1\r\nhost: ",
        Version::HTTP_10 => b" HTTP/1.0\r\nhost: ",
        other => return Err(InvalidRequest::Version(other)),
    });
    out.extend_from_slice(host(head)?);
    out.extend_from_slice(b"\r\n");
    write_framing(out, head)?;
    if let Some(credentials) = head.proxy_authorization {
        write_field(out, PROXY_AUTHORIZATION.as_str(), credentials.as_bytes());
    }
    for (name, value) in head.headers {
        let is_written = *name == HOST || *name == CONTENT_LENGTH;
        if is_written || (*name == PROXY_AUTHORIZATION && head.proxy_authorization.is_some()) {
            continue;
        }
        if *name == TRANSFER_ENCODING {
            return Err(InvalidRequest::TransferEncoding);
        }
        write_field(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// What a method allows: its form of target, and a body or none.
#[inline]
fn check_method(head: &RequestHead<'_>) -> Result<(), InvalidRequest> {
    let has_body = !matches!(head.framing, RequestFraming::None | RequestFraming::Length(0));
    match (head.method, head.target) {
        (&Method::CONNECT, Target::Authority(_)) => {}
        (&Method::CONNECT, _) => {
            return Err(InvalidRequest::Target("CONNECT takes host and port"));
        }
        (_, Target::Authority(_)) => {
            return Err(InvalidRequest::Target("host and port alone are for CONNECT"));
        }
        (method, Target::Asterisk) if method != Method::OPTIONS => {
            return Err(InvalidRequest::Target("`*` is for OPTIONS"));
        }
        _ => {}
    }
    match *head.method {
        // RFC 9110 §9.3.8: "A client MUST NOT send content in a TRACE request."
        Method::TRACE if has_body => Err(InvalidRequest::BodyNotAllowed("TRACE")),
        // §9.3.6: content of CONNECT has no meaning, and would be taken for the tunnel's first bytes.
        Method::CONNECT if has_body => Err(InvalidRequest::BodyNotAllowed("CONNECT")),
        _ => Ok(()),
    }
}

#[inline]
fn write_target(out: &mut Vec<u8>, head: &RequestHead<'_>) -> Result<(), InvalidRequest> {
    let start = out.len();
    match head.target {
        Target::Origin(path_and_query) => write_path(out, path_and_query)?,
        Target::Absolute(uri) => {
            let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
                return Err(InvalidRequest::Target("absolute form needs scheme and host"));
            };
            out.extend_from_slice(scheme.as_bytes());
            out.extend_from_slice(b"://");
            out.extend_from_slice(without_userinfo(authority));
            match uri.path_and_query() {
                Some(path_and_query) => write_path(out, path_and_query)?,
                None => out.push(b'/'),
            }
        }
        Target::Authority(authority) => {
            // RFC 9112 §3.2.3: the port is not optional, there is no scheme to take a default from.
            if authority.port_u16().is_none() {
                return Err(InvalidRequest::Target("CONNECT needs a port"));
            }
            out.extend_from_slice(without_userinfo(authority));
        }
        Target::Asterisk => out.push(b'*'),
    }
    let target = &out[start..];
    if is_graphic(target) {
        return Ok(());
    }
    let offset = target.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(0);
    Err(InvalidRequest::TargetByte {
        byte: target[offset],
        offset,
    })
}

/// Whether all of it is visible ASCII; without a way out of the loop, so that many bytes are looked at together.
fn is_graphic(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii_graphic())
}

/// `absolute-path [ "?" query ]`. The type also holds `?query` alone (its path counts as `/`) and `*`.
#[inline]
fn write_path(out: &mut Vec<u8>, path_and_query: &PathAndQuery) -> Result<(), InvalidRequest> {
    let path = path_and_query.path();
    if !path.starts_with('/') {
        return Err(InvalidRequest::Target("path does not begin with `/`"));
    }
    out.extend_from_slice(path.as_bytes());
    if let Some(query) = path_and_query.query() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    Ok(())
}

/// RFC 9110 §4.2.4: "A sender MUST NOT generate the userinfo subcomponent".
fn without_userinfo(authority: &Authority) -> &[u8] {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host).as_bytes()
}

/// The one value of `Host`: the user's, else the target's (RFC 9112 §3.2).
#[inline]
fn host<'a>(head: &RequestHead<'a>) -> Result<&'a [u8], InvalidRequest> {
    let mut own = head.headers.iter().filter(|(name, _)| *name == HOST);
    let host = own.next().map_or(head.host, |(_, value)| value.as_bytes());
    if own.next().is_some() {
        return Err(InvalidRequest::Host("more than one"));
    }
    // In one pass, and without a way out of it: this is looked at for every request.
    let is_fine = host.iter().fold(true, |all, byte| all & byte.is_ascii_graphic() & (*byte != b'@'));
    match is_fine {
        true => Ok(host),
        false if host.contains(&b'@') => Err(InvalidRequest::Host("userinfo does not belong there")),
        false => Err(InvalidRequest::Host("only visible ASCII is allowed")),
    }
}

/// `Content-Length` or `Transfer-Encoding`, never both, and a length set by hand only if it is true.
#[inline]
fn write_framing(out: &mut Vec<u8>, head: &RequestHead<'_>) -> Result<(), InvalidRequest> {
    // RFC 9110 §8.6: send 0 "when the method defines a meaning for enclosed content", and nothing when it does not: some
    // servers refuse a GET with `Content-Length: 0`.
    let anticipates_content = matches!(*head.method, Method::POST | Method::PUT | Method::PATCH);
    if head.framing == RequestFraming::None && !anticipates_content && !has(head.headers, &CONTENT_LENGTH) {
        return Ok(());
    }
    let mut digits = itoa::Buffer::new();
    let length = match head.framing {
        RequestFraming::Chunked => None,
        RequestFraming::None => Some(0),
        RequestFraming::Length(length) => Some(length),
    };
    let length = length.map(|length| digits.format(length).as_bytes());

    let mut own = head.headers.get_all(CONTENT_LENGTH).into_iter().peekable();
    let set_by_hand = own.peek().is_some();
    let Some(length) = length else {
        // RFC 9112 §6.2: "A sender MUST NOT send a Content-Length header field in any message that contains a
        // Transfer-Encoding header field."
        if set_by_hand {
            return Err(InvalidRequest::ContentLength("the length of this body is not known"));
        }
        if head.version == Version::HTTP_10 {
            return Err(InvalidRequest::ChunkedHttp10);
        }
        write_field(out, TRANSFER_ENCODING.as_str(), b"chunked");
        return Ok(());
    };
    if own.any(|value| value.as_bytes() != length) {
        return Err(InvalidRequest::ContentLength("the body has another length"));
    }
    if length != b"0" || anticipates_content || set_by_hand {
        write_field(out, CONTENT_LENGTH.as_str(), length);
    }
    Ok(())
}

#[inline]
fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
