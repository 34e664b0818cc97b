//! From an exchange to what libcurl is to be told: the protocol, the fields line by line, where the body comes from.
//!
//! What must never enter this file: libcurl's handles; policy. What the user did not write is not sent, but for what the protocol needs.

use std::path::PathBuf;

use client_core::{
    Bytes, Error, ErrorKind, Exchange, HeaderMap, HeaderName, HeaderValue, Method, RequestTarget, Result, UnixSocket, Uri,
    Version,
};
use curl::easy::HttpVersion;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery};

use crate::progress::Via;

/// A request as libcurl is told of it.
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) method: String,
    pub(crate) version: HttpVersion,
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) content: Content,
    target: Target,
    /// What the field Host says where the user does not.
    pub(crate) authority: String,
    pub(crate) has_host: bool,
    pub(crate) is_tls: bool,
    /// The call's own, before the engine's.
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) may_be_http2: bool,
    /// The connection is not to be used again.
    pub(crate) is_last: bool,
    pub(crate) is_head: bool,
    pub(crate) is_idempotent: bool,
    pub(crate) has_trailers: bool,
}

/// The request's target (RFC 9112 §3.2): what a server gets, and what a proxy does.
struct Target {
    origin_form: String,
    absolute_form: String,
}

/// Where the request's body comes from.
pub(crate) enum Content {
    Nothing,
    /// In memory: sent, and sent again, without asking the task.
    Bytes(Bytes),
    /// From the task, with its length where it is known.
    Stream {
        length: Option<u64>,
    },
}

/// The plan. A body that is streamed stays in the exchange.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`]: what libcurl cannot say, or HTTP itself.
pub(crate) fn plan(exchange: &Exchange) -> Result<Plan> {
    let request = &exchange.request;
    let uri = request.uri();
    let (method, body) = (request.method(), request.body());
    let is_tls = uri.scheme_str() == Some("https");
    let has_upgrade = request.headers().contains_key(UPGRADE);
    let has_trailers = body.has_trailers();
    let content = match (body.len(), body.as_bytes()) {
        (Some(0), _) if !has_trailers => Content::Nothing,
        (_, Some(bytes)) if !has_trailers => Content::Bytes(bytes.clone()),
        // With trailers to come, the coding has to be chunked (RFC 9112 §7.1.2).
        (length, _) => Content::Stream {
            length: length.filter(|_| !has_trailers),
        },
    };
    let version = version(exchange.version, is_tls, has_upgrade || has_trailers)?;
    if matches!(version, HttpVersion::V10) && matches!(content, Content::Stream { length: None }) {
        return Err(invalid(
            "HTTP/1.0 has no chunked coding (RFC 9112 §7.1): declare the length of the body, or ask for HTTP/1.1",
        ));
    }
    let is_head = method == Method::HEAD;
    if is_head && !matches!(content, Content::Nothing) {
        return Err(invalid("libcurl cannot send a body with HEAD; leave it out"));
    }
    let is_asterisk = request.extensions().get() == Some(&RequestTarget::Asterisk);
    let host = uri.host().unwrap_or_default();
    let authority = uri.authority().map_or("", Authority::as_str);
    Ok(Plan {
        url: uri.to_string(),
        host: host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase(),
        port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
        method: method.as_str().to_owned(),
        version,
        lines: lines(exchange, &content),
        content,
        target: target(uri, is_asterisk),
        authority: without_default_port(authority, is_tls).to_owned(),
        has_host: request.headers().contains_key(HOST),
        is_tls,
        unix_socket: request.extensions().get::<UnixSocket>().map(|socket| socket.path().to_owned()),
        may_be_http2: matches!(version, HttpVersion::V2TLS | HttpVersion::V2PriorKnowledge),
        is_last: asks_to_close(request.headers()),
        is_head,
        is_idempotent: method.is_idempotent() || *method == Method::TRACE,
        has_trailers,
    })
}

/// The target as it was written: what libcurl makes of a URL may differ in the case of its escapes.
fn target(uri: &Uri, is_asterisk: bool) -> Target {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let authority = uri.authority().map_or("", Authority::as_str);
    let scheme = uri.scheme_str().unwrap_or("http");
    if is_asterisk {
        // RFC 9112 §3.2.4: to a proxy, the URL with an empty path.
        return Target {
            origin_form: "*".to_owned(),
            absolute_form: format!("{scheme}://{authority}"),
        };
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    let authority = without_default_port(authority, scheme == "https");
    Target {
        absolute_form: format!("{scheme}://{authority}{slash}{path}"),
        origin_form: format!("{slash}{path}"),
    }
}

fn without_default_port(authority: &str, is_tls: bool) -> &str {
    let default = if is_tls { ":443" } else { ":80" };
    authority.strip_suffix(default).unwrap_or(authority)
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"close"))
}

impl Plan {
    pub(crate) fn target(&self, via: Via) -> &str {
        match via {
            Via::HttpProxy | Via::HttpsProxy if !self.is_tls => &self.target.absolute_form,
            _ => &self.target.origin_form,
        }
    }

    pub(crate) fn has_content(&self) -> bool {
        !matches!(self.content, Content::Nothing)
    }

    pub(crate) fn is_streamed(&self) -> bool {
        matches!(self.content, Content::Stream { .. })
    }
}

/// Which version libcurl may speak. Upgrades and trailers are matters of HTTP/1.1 there: over TLS, ALPN must not choose otherwise.
fn version(asked: Option<Version>, is_tls: bool, needs_http1: bool) -> Result<HttpVersion> {
    match asked {
        None if needs_http1 || !is_tls => Ok(HttpVersion::V11),
        None => Ok(HttpVersion::V2TLS),
        Some(Version::HTTP_10) => Ok(HttpVersion::V10),
        Some(Version::HTTP_11) => Ok(HttpVersion::V11),
        Some(Version::HTTP_2) if needs_http1 => Err(invalid(
            "libcurl has no trailers and no Upgrade in HTTP/2; leave the version open, or ask for HTTP/1.1",
        )),
        // Never anything else, also where ALPN would offer it.
        Some(Version::HTTP_2) => Ok(HttpVersion::V2PriorKnowledge),
        Some(other) => Err(invalid(format!("{other:?} cannot be asked for; use HTTP/1.0, 1.1 or 2"))),
    }
}

/// The fields, in the user's order, and those that keep libcurl from adding its own.
fn lines(exchange: &Exchange, content: &Content) -> Vec<Vec<u8>> {
    let headers = exchange.request.headers();
    let mut lines: Vec<_> = headers.iter().map(|(name, value)| field_line(name, value)).collect();
    for name in [ACCEPT, EXPECT] {
        if !headers.contains_key(&name) {
            // A name without a value takes the field away.
            lines.push(format!("{name}:").into_bytes());
        }
    }
    lines.push(b"proxy-connection:".to_vec());
    let means_content = [Method::POST, Method::PUT, Method::PATCH].contains(exchange.request.method());
    // A method that means its content says so where there is none (RFC 9110 §8.6).
    if means_content && matches!(content, Content::Nothing) && !headers.contains_key(CONTENT_LENGTH) {
        lines.push(b"content-length: 0".to_vec());
    }
    lines
}

/// A field as libcurl wants it: without a value it is the semicolon that says that it is meant.
pub(crate) fn field_line(name: &HeaderName, value: &HeaderValue) -> Vec<u8> {
    let value = value.as_bytes().trim_ascii();
    match value {
        b"" => [name.as_str().as_bytes(), b";"].concat(),
        value => [name.as_str().as_bytes(), b": ", value].concat(),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use client_core::Body;
    use http::Request;

    use super::*;

    fn planned(method: &str, uri: &str, fields: &[(&str, &[u8])], body: Body) -> Plan {
        let mut request = Request::new(body);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = uri.parse().unwrap();
        for (name, value) in fields {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        plan(&Exchange::new(request)).unwrap()
    }

    #[test]
    fn fields_line_by_line() {
        let lines = |method, fields: &[(&str, &[u8])]| -> Vec<String> {
            let plan = planned(method, "http://h/", fields, Body::empty());
            plan.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
        };
        // What takes libcurl's own away has a colon and nothing after it.
        assert_eq!(lines("GET", &[]), ["accept:", "expect:", "proxy-connection:"]);
        assert_eq!(
            lines("GET", &[("b", b"1"), ("a", b""), ("b", b"caf\xc3\xa9"), ("accept", b"*/*")]),
            ["b: 1", "b: caf\u{e9}", "a;", "accept: */*", "expect:", "proxy-connection:"]
        );
        assert_eq!(lines("POST", &[]).last().unwrap(), "content-length: 0");
        assert_eq!(field_line(&ACCEPT, &HeaderValue::from_bytes(b"\xff").unwrap()), b"accept: \xff");
    }

    #[test]
    fn targets_as_they_were_written() {
        let target = |uri, via| planned("GET", uri, &[], Body::empty()).target(via).to_owned();
        assert_eq!(target("http://h/a%2fb?c", Via::Nothing), "/a%2fb?c");
        assert_eq!(target("http://h:80/a%2fb", Via::HttpProxy), "http://h/a%2fb");
        assert_eq!(target("http://h:8080/", Via::HttpsProxy), "http://h:8080/");
        assert_eq!(target("http://h/a", Via::Socks), "/a");
        assert_eq!(target("https://h/a", Via::HttpProxy), "/a");
    }

    #[test]
    fn versions() {
        use HttpVersion::{V2PriorKnowledge, V2TLS, V10, V11};
        let chosen = |asked, is_tls, needs_http1| version(asked, is_tls, needs_http1).ok();
        assert!(matches!(chosen(None, false, false), Some(V11)));
        assert!(matches!(chosen(None, true, false), Some(V2TLS)));
        assert!(matches!(chosen(None, true, true), Some(V11)), "an upgrade, or trailers");
        assert!(matches!(chosen(Some(Version::HTTP_2), false, false), Some(V2PriorKnowledge)));
        assert!(matches!(chosen(Some(Version::HTTP_10), true, false), Some(V10)));
        assert!(chosen(Some(Version::HTTP_2), true, true).is_none());
        assert!(chosen(Some(Version::HTTP_3), true, false).is_none());
    }

    #[test]
    fn what_libcurl_cannot_say_is_refused() {
        let refused = |method: Method, version, body: Body| {
            let mut request = Request::new(body);
            *request.method_mut() = method;
            *request.uri_mut() = "http://h/".parse().unwrap();
            let mut exchange = Exchange::new(request);
            exchange.version = version;
            plan(&exchange).err().map(|error| error.kind())
        };
        let stream = || Body::stream(futures::stream::empty::<std::io::Result<Bytes>>());
        assert_eq!(refused(Method::HEAD, None, "a".into()), Some(ErrorKind::InvalidRequest));
        assert_eq!(refused(Method::POST, Some(Version::HTTP_10), stream()), Some(ErrorKind::InvalidRequest));
        assert_eq!(refused(Method::POST, Some(Version::HTTP_11), stream()), None);
    }

    #[test]
    fn closing_is_seen_in_a_list() {
        let closes = |value: &'static [u8]| planned("GET", "http://h/", &[("connection", value)], Body::empty()).is_last;
        assert!(closes(b"close"));
        assert!(closes(b"keep-alive, Close"));
        assert!(!closes(b"closed"));
    }
}
