//! The head of a request as HTTP/2 wants it (RFC 9113 §8.2, §8.3): pseudo-header fields in the URI, nothing that concerns a connection.

use client_core::{Body, Error, ErrorKind, Exchange, RequestTarget, Result};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, Parts, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::CustomizeRequest;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The head of the exchange's request, as `customize` changes it.
///
/// - `Host` becomes `:authority`; a CONNECT has only that.
/// - `Connection` and all it names, `Keep-Alive`, `Proxy-Connection`, and of `TE` all but `trailers` are left out: they speak of a connection
///   that HTTP/2 does not have.
/// - `Content-Length` is that of the body, where it is known and means something.
/// - What `customize` adds is held to the same.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for what cannot be said in HTTP/2: an `Upgrade`, a `Host` that is none, `*` for another method than OPTIONS.
pub(super) fn request_head(exchange: &Exchange, customize: Option<&CustomizeRequest>) -> Result<Request<()>> {
    let request = &exchange.request;
    if request.headers().contains_key(UPGRADE) {
        return Err(invalid("HTTP/2 has no Upgrade (RFC 9113 §8.6); ask for it with Version::HTTP_11"));
    }
    let mut head = Request::new(());
    *head.uri_mut() = target(request)?;
    *head.method_mut() = request.method().clone();
    *head.version_mut() = Version::HTTP_2;
    *head.headers_mut() = fields(request.headers());
    if let Some(customize) = customize {
        customize(&mut head);
        *head.version_mut() = Version::HTTP_2;
        if let Some(host) = head.headers_mut().remove(HOST) {
            let mut parts = std::mem::take(head.uri_mut()).into_parts();
            parts.authority = Some(authority(&host)?);
            *head.uri_mut() = assembled(parts)?;
        }
        let kept = fields(head.headers());
        *head.headers_mut() = kept;
    }
    let length = request.body().len().filter(|&length| length > 0 || anticipates_content(request.method()));
    if let Some(length) = length.filter(|_| request.method() != Method::CONNECT) {
        head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(head)
}

/// What a CONNECT asks for: always with a port (RFC 9110 §9.3.6).
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if the URI has no host.
pub fn tunnel_target(request: &Request<Body>) -> Result<Authority> {
    let target = match request.extensions().get() {
        Some(RequestTarget::Authority(target)) => Some(target),
        _ => request.uri().authority(),
    };
    let target = target.ok_or_else(|| invalid("the URI has no host"))?;
    if target.port().is_some() {
        return Ok(target.clone());
    }
    let port = if request.uri().scheme_str() == Some("https") { 443 } else { 80 };
    parsed(format!("{target}:{port}"))
}

/// `:scheme`, `:authority` and `:path`, as a URI (RFC 9113 §8.3.1, §8.5).
fn target(request: &Request<Body>) -> Result<Uri> {
    let is_connect = *request.method() == Method::CONNECT;
    let host = request.headers().get(HOST);
    let is_asterisk = request.extensions().get() == Some(&RequestTarget::Asterisk);
    if !is_connect && host.is_none() && !is_asterisk {
        return Ok(request.uri().clone());
    }
    let mut parts = request.uri().clone().into_parts();
    if is_connect {
        if !request.body().is_empty() {
            return Err(invalid("a CONNECT request has no body (RFC 9110 §9.3.6)"));
        }
        parts.scheme = None;
        parts.path_and_query = None;
        parts.authority = Some(tunnel_target(request)?);
    } else if let Some(host) = host {
        // "An endpoint that converts … replaces :authority": the user's word about the server's name goes before that about its address.
        parts.authority = Some(authority(host)?);
    }
    if is_asterisk {
        if *request.method() != Method::OPTIONS {
            return Err(invalid("the request target `*` is for OPTIONS"));
        }
        parts.path_and_query = Some(PathAndQuery::from_static("*"));
    }
    assembled(parts)
}

fn assembled(parts: Parts) -> Result<Uri> {
    Uri::from_parts(parts).map_err(|error| invalid(format!("request target: {error}")).with_source(error))
}

fn authority(host: &HeaderValue) -> Result<Authority> {
    parsed(host.to_str().map_err(|_| invalid("the header host has characters that no host has"))?)
}

fn parsed(authority: impl AsRef<str>) -> Result<Authority> {
    let authority: Authority = authority
        .as_ref()
        .parse()
        .map_err(|error: http::uri::InvalidUri| invalid(format!("the header host names no host: {error}")).with_source(error))?;
    match authority.as_str().contains('@') {
        // RFC 9113 §8.3.1: ":authority MUST NOT include the deprecated userinfo subcomponent".
        true => Err(invalid("userinfo does not belong into a host")),
        false => Ok(authority),
    }
}

/// The fields that are about the message (RFC 9113 §8.2.2).
fn fields(all: &HeaderMap) -> HeaderMap {
    let is_of_connection = |name: &HeaderName| {
        [
            CONNECTION,
            KEEP_ALIVE,
            PROXY_CONNECTION,
            TRANSFER_ENCODING,
            UPGRADE,
            HOST,
            CONTENT_LENGTH,
        ]
        .contains(name)
    };
    // Most requests have none of these. What `Connection` names is left out with it.
    if !all.keys().any(|name| *name == TE || is_of_connection(name)) {
        return all.clone();
    }
    let named: Vec<&str> = all.get_all(CONNECTION).iter().flat_map(members).collect();
    let is_named = |name: &HeaderName| named.iter().any(|other| name.as_str().eq_ignore_ascii_case(other));
    let mut kept = HeaderMap::with_capacity(all.len());
    for (name, value) in all {
        if *name == TE {
            if members(value).any(|member| member.eq_ignore_ascii_case("trailers")) {
                kept.insert(TE, HeaderValue::from_static("trailers"));
            }
        } else if !is_of_connection(name) && !is_named(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// The members of a comma-separated list.
fn members(list: &HeaderValue) -> impl Iterator<Item = &str> {
    list.to_str().into_iter().flat_map(|list| list.split(',')).map(str::trim)
}

/// RFC 9110 §8.6: a length of 0 is said where content could be expected.
fn anticipates_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(method: &str, uri: &str, fields: &[(&str, &str)], body: &'static str) -> Exchange {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Exchange::new(request.body(Body::from(body)).unwrap())
    }

    #[track_caller]
    fn check(method: &str, uri: &str, fields: &[(&str, &str)], body: &'static str, expected: (&str, &[(&str, &str)])) {
        let head = request_head(&exchange(method, uri, fields, body), None).unwrap();
        let found: Vec<_> = head.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!((head.uri().to_string().as_str(), found.as_slice()), expected);
        assert_eq!(head.version(), Version::HTTP_2);
    }

    #[track_caller]
    fn refused(method: &str, fields: &[(&str, &str)], expected: &str) {
        let error = request_head(&exchange(method, "http://h.example/", fields, ""), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn nothing_concerns_the_connection() {
        let uri = "https://h.example/a?b";
        check("GET", uri, &[], "", (uri, &[]));
        let dropped = [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("te", "deflate, Trailers"),
            ("x-kept", "1"),
        ];
        check("GET", uri, &dropped, "", (uri, &[("te", "trailers"), ("x-kept", "1")]));
        check(
            "GET",
            uri,
            &[("cookie", "a=1"), ("cookie", "b=2")],
            "",
            (uri, &[("cookie", "a=1"), ("cookie", "b=2")]),
        );
    }

    #[test]
    fn host_becomes_the_authority() {
        check("GET", "http://h.example:8080/", &[("host", "other.example")], "", ("http://other.example/", &[]));
        refused("GET", &[("host", "a b")], "names no host");
        refused("GET", &[("host", "u@h")], "userinfo");
    }

    #[test]
    fn customized_within_the_rules() {
        let customize: CustomizeRequest = std::sync::Arc::new(|head: &mut Request<()>| {
            for (name, value) in [
                ("host", "other.example"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("upgrade", "h2c"),
                ("transfer-encoding", "chunked"),
                ("content-length", "7"),
                ("x-added", "1"),
            ] {
                head.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            *head.version_mut() = Version::HTTP_10;
        });
        let head = request_head(&exchange("PUT", "https://h.example/a", &[], "abc"), Some(&customize)).unwrap();
        let found: Vec<_> = head.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(found, [("x-added", "1"), ("content-length", "3")]);
        assert_eq!((head.uri().to_string().as_str(), head.version()), ("https://other.example/a", Version::HTTP_2));
    }

    #[test]
    fn length_where_it_means_something() {
        check("POST", "http://h/", &[], "", ("http://h/", &[("content-length", "0")]));
        check("DELETE", "http://h/", &[], "", ("http://h/", &[]));
        check("DELETE", "http://h/", &[], "abc", ("http://h/", &[("content-length", "3")]));
        check("GET", "http://h/", &[("content-length", "3")], "abc", ("http://h/", &[("content-length", "3")]));
    }

    #[test]
    fn other_targets() {
        check("CONNECT", "https://h.example/", &[], "", ("h.example:443", &[]));
        let mut asterisk = exchange("OPTIONS", "http://h/", &[], "");
        asterisk.request.extensions_mut().insert(RequestTarget::Asterisk);
        assert_eq!(request_head(&asterisk, None).unwrap().uri().path(), "*");
        *asterisk.request.method_mut() = Method::GET;
        assert!(request_head(&asterisk, None).is_err());
        refused("GET", &[("upgrade", "websocket"), ("connection", "upgrade")], "Version::HTTP_11");
    }
}
