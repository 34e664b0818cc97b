//! The head of an HTTP/1.1 request, as hyper is to write it: target, `Host` first, and the fields that frame the body, which hyper then takes as
//! they are.

use std::borrow::Cow;

use client_core::{Body, Error, ErrorKind, Exchange, RequestTarget, Result};
use client_h2::multiplexed::tunnel_target;
use http::header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRAILER, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::connection::Proxy;

/// Writes the head, without what frames the body, where it lies: it is large.
pub(crate) fn write_head(head: &mut Request<()>, exchange: &Exchange, proxy: Option<&Proxy>, host: &mut HostField) -> Result<()> {
    let request = &exchange.request;
    let (target, authority) = target(request, proxy.is_some())?;
    let host = match request.headers().get(HOST) {
        Some(own) => checked(own.clone())?,
        None => host.of(&authority)?,
    };
    // A method is a token and a field value has no control characters, by their types; the type of a URI is laxer.
    let is_graphic = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = [
        target.authority().map(Authority::as_str),
        target.path_and_query().map(PathAndQuery::as_str),
    ];
    if !parts.into_iter().flatten().all(is_graphic) {
        return Err(invalid("the request target has characters that must be percent-encoded"));
    }
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = target;
    *head.headers_mut() = fields(request.headers(), host, proxy);
    Ok(())
}

/// The `Host` field that a connection sent last, and that was looked at: most of them never send another.
#[derive(Default)]
pub(crate) struct HostField(Option<(Authority, HeaderValue)>);

impl HostField {
    fn of(&mut self, authority: &Authority) -> Result<HeaderValue> {
        // As it is written: an authority's own comparison ignores case.
        if let Some((_, value)) = self.0.as_ref().filter(|(known, _)| known.as_str() == authority.as_str()) {
            return Ok(value.clone());
        }
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| invalid("the host has characters that no host has"))?;
        let value = checked(value)?;
        self.0 = Some((authority.clone(), value.clone()));
        Ok(value)
    }
}

fn checked(host: HeaderValue) -> Result<HeaderValue> {
    if host.as_bytes().contains(&b'@') || !host.as_bytes().iter().all(u8::is_ascii_graphic) {
        return Err(invalid("the header host names no host"));
    }
    Ok(host)
}

/// The four forms of a target (RFC 9112 §3.2), and the host to ask for.
fn target(request: &Request<Body>, is_proxied: bool) -> Result<(Uri, Cow<'_, Authority>)> {
    let uri = request.uri();
    let authority = uri.authority().ok_or_else(|| invalid("the URI has no host"))?;
    if *request.method() == Method::CONNECT {
        if !request.body().is_empty() {
            return Err(invalid("a CONNECT request has no body (RFC 9110 §9.3.6)"));
        }
        let target = tunnel_target(request)?;
        return Ok((Uri::from(target.clone()), Cow::Owned(target)));
    }
    let authority = Cow::Borrowed(authority);
    if request.extensions().get() == Some(&RequestTarget::Asterisk) {
        return match *request.method() {
            Method::OPTIONS => Ok((Uri::from_static("*"), authority)),
            _ => Err(invalid("the request target `*` is for OPTIONS")),
        };
    }
    if is_proxied {
        return Ok((uri.clone(), authority));
    }
    let origin_form = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Ok((Uri::from(origin_form), authority))
}

/// "A user agent that sends Host SHOULD send it as the first field in the header section" (RFC 9110 §7.2).
fn fields(all: &HeaderMap, host: HeaderValue, proxy: Option<&Proxy>) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(all.len() + 4);
    fields.insert(HOST, host);
    for (name, value) in all {
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
            fields.append(name, value.clone());
        }
    }
    // One of the request's own goes before that of the proxy's settings.
    if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        fields.entry(PROXY_AUTHORIZATION).or_insert_with(|| authorization.clone());
    }
    fields
}

/// Takes out what frames a body, which [`write_head`] leaves out from the start. Whether there was a length.
pub(crate) fn unframe(head: &mut Request<()>) -> bool {
    let fields = head.headers_mut();
    fields.remove(TRANSFER_ENCODING);
    fields.remove(CONTENT_LENGTH).is_some()
}

/// Sets what frames the body (RFC 9112 §6), of which there is nothing yet; a length of 0 is said if somebody `had_length` set.
pub(crate) fn frame(head: &mut Request<()>, body: &Body, version: Version, had_length: bool) -> Result<Framing> {
    if ![Version::HTTP_10, Version::HTTP_11].contains(&version) {
        return Err(invalid(format!("{version:?} is no version that this engine can ask for")));
    }
    *head.version_mut() = version;
    // RFC 9110 §8.6: a length of 0 is said where content could be expected; some servers refuse a GET with one.
    let anticipates_content = [Method::POST, Method::PUT, Method::PATCH].contains(head.method());
    let fields = head.headers_mut();
    match body.len() {
        Some(length) if !body.has_trailers() => {
            if length > 0 || anticipates_content || had_length {
                fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            Ok(Framing::Length)
        }
        _ if version == Version::HTTP_10 => Err(invalid(
            "HTTP/1.0 has no chunked transfer coding: the body needs a length, and no trailers (RFC 9112 §6.1)",
        )),
        _ => {
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            announce(fields, body.trailers())?;
            Ok(Framing::Chunked {
                has_trailers: fields.contains_key(TRAILER),
            })
        }
    }
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked { has_trailers: bool },
}

/// hyper sends the trailers that a `Trailer` field names (RFC 9110 §6.6.2), and no others.
fn announce(fields: &mut HeaderMap, trailers: Option<&HeaderMap>) -> Result<()> {
    let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) else {
        return Ok(());
    };
    let is_announced = |name: &&str| {
        let lists = fields.get_all(TRAILER).into_iter().filter_map(|list| list.to_str().ok());
        lists.flat_map(|list| list.split(',')).any(|announced| announced.trim().eq_ignore_ascii_case(name))
    };
    let names: Vec<_> = trailers.keys().map(HeaderName::as_str).filter(|name| !is_announced(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let names = HeaderValue::try_from(names.join(", ")).map_err(|error| invalid(error.to_string()))?;
    fields.append(TRAILER, names);
    Ok(())
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_head(exchange: &Exchange, proxy: Option<&Proxy>, host: &mut HostField) -> Result<Request<()>> {
        let mut head = Request::new(());
        write_head(&mut head, exchange, proxy, host).map(|()| head)
    }

    fn exchange(method: &str, uri: &str, fields: &[(&str, &str)]) -> Exchange {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Exchange::new(request.body(Body::empty()).unwrap())
    }

    #[test]
    fn targets() {
        let of = |method: &str, uri: &str, proxy: Option<&Proxy>| {
            request_head(&exchange(method, uri, &[]), proxy, &mut HostField::default())
                .unwrap()
                .uri()
                .to_string()
        };
        let proxy = Proxy { authorization: None };
        assert_eq!(of("GET", "http://h/a?b", None), "/a?b");
        assert_eq!(of("GET", "http://h", None), "/");
        assert_eq!(of("GET", "http://h/a?b", Some(&proxy)), "http://h/a?b");
        assert_eq!(of("CONNECT", "http://h/", None), "h:80");
        let mut asterisk = exchange("OPTIONS", "http://h/", &[]);
        asterisk.request.extensions_mut().insert(RequestTarget::Asterisk);
        assert_eq!(request_head(&asterisk, None, &mut HostField::default()).unwrap().uri(), "*");
    }

    #[test]
    fn host_comes_first() {
        let mut host = HostField::default();
        let head = request_head(&exchange("GET", "http://h:8080/", &[("x-a", "1"), ("x-b", "2")]), None, &mut host).unwrap();
        let names: Vec<_> = head.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["host", "x-a", "x-b"]);
        assert_eq!(head.headers()[HOST], "h:8080");
        let head = request_head(&exchange("GET", "http://h/", &[("x-a", "1"), ("host", "own")]), None, &mut host).unwrap();
        assert_eq!(head.headers().iter().next().unwrap().1, "own");
        assert!(request_head(&exchange("GET", "http://h/", &[("host", "u@h")]), None, &mut host).is_err());
        // Of another authority on the same connection, by a proxy, and of the first one again.
        for uri in ["http://i/", "http://h:8080/", "http://H:8080/"] {
            let head = request_head(&exchange("GET", uri, &[]), None, &mut host).unwrap();
            assert_eq!(head.headers()[HOST], uri["http://".len()..uri.len() - 1]);
        }
    }

    #[test]
    fn framing() {
        let of = |method: &str, body: Body, version: Version| {
            let mut head = Request::builder().method(method).uri("/").header(CONTENT_LENGTH, "7").body(()).unwrap();
            assert!(unframe(&mut head) && !unframe(&mut head));
            let framing = frame(&mut head, &body, version, false).map_err(|error| error.kind())?;
            let text = |name| head.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
            Ok((framing, text(CONTENT_LENGTH), text(TRANSFER_ENCODING), text(TRAILER)))
        };
        let stream = || Body::stream(futures::stream::iter([Ok::<_, std::io::Error>("a")]));
        let trailers = || {
            let mut fields = HeaderMap::new();
            fields.insert("x-sum", HeaderValue::from_static("1"));
            Body::from("a").with_trailers(fields)
        };
        let (http11, http10) = (Version::HTTP_11, Version::HTTP_10);
        let own = |text: &str| Some(text.to_owned());
        let chunked = |has_trailers| Framing::Chunked { has_trailers };
        assert_eq!(of("GET", Body::empty(), http11), Ok((Framing::Length, None, None, None)));
        assert_eq!(of("POST", Body::empty(), http11), Ok((Framing::Length, own("0"), None, None)));
        assert_eq!(of("GET", Body::from("abc"), http10), Ok((Framing::Length, own("3"), None, None)));
        assert_eq!(of("GET", stream(), http11), Ok((chunked(false), None, own("chunked"), None)));
        assert_eq!(of("PUT", trailers(), http11), Ok((chunked(true), None, own("chunked"), own("x-sum"))));
        assert_eq!(of("PUT", stream(), http10), Err(ErrorKind::InvalidRequest));
        assert_eq!(of("GET", Body::empty(), Version::HTTP_09), Err(ErrorKind::InvalidRequest));
    }
}
