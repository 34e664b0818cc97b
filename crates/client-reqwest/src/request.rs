//! From an exchange to reqwest's request: which of reqwest's protocols it needs, the fields that hyper has to be told, the body.
//!
//! What must never enter: policy. What the user did not write is not sent, but for what the protocol needs.

use std::sync::Arc;

use client_core::{Body, Capability, Error, ErrorKind, Exchange, Result};
use http::header::{CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use reqwest::Url;

use crate::call::Call;
use crate::clients::Protocol;
use crate::upload::Upload;

/// Which of reqwest's clients can carry the exchange: reqwest chooses a protocol per client, we choose per request.
pub(crate) fn protocol(exchange: &Exchange) -> Result<Protocol> {
    let request = &exchange.request;
    let is_tls = request.uri().scheme_str() == Some("https");
    // An upgrade is a matter of HTTP/1.1 (RFC 9113 §8.6): over TLS, ALPN must not choose otherwise. So is a Host of the user's: hyper's
    // HTTP/2 would say one authority in the field, and that of the URL in `:authority` (RFC 9113 §8.3.1).
    let is_upgrade = request.headers().contains_key(UPGRADE);
    let has_host = request.headers().get(HOST).is_some_and(|host| Some(host.as_bytes()) != authority(request.uri()));
    match exchange.version {
        Some(Version::HTTP_2) if is_upgrade => Err(Error::new(
            ErrorKind::InvalidRequest,
            "HTTP/2 has no Upgrade (RFC 9113 §8.6); leave the version open, or ask for HTTP/1.1",
        )),
        Some(Version::HTTP_2) if has_host => Err(Error::new(
            ErrorKind::InvalidRequest,
            "reqwest cannot send a Host of your own over HTTP/2; leave the version open, or ask for HTTP/1.1",
        )),
        Some(Version::HTTP_2) if is_tls => Ok(Protocol::Negotiated),
        Some(Version::HTTP_2) => Ok(Protocol::Http2),
        Some(Version::HTTP_11 | Version::HTTP_10) => Ok(Protocol::Http1),
        Some(version) => Err(match version {
            Version::HTTP_3 => Error::unsupported(Capability::Http3),
            other => Error::new(ErrorKind::InvalidRequest, format!("{other:?} cannot be asked for; use HTTP/1.0, 1.1 or 2")),
        }),
        None if is_upgrade || has_host => Ok(Protocol::Http1),
        None => Ok(Protocol::Negotiated),
    }
}

fn authority(uri: &Uri) -> Option<&[u8]> {
    uri.authority().map(|authority| authority.as_str().as_bytes())
}

/// The request, as reqwest sends it.
///
/// Made of its parts, and not of an [`http::Request`]: reqwest would read settings of its own from the extensions.
pub(crate) fn build(exchange: &Exchange, body: Body, call: &Arc<Call>) -> Result<reqwest::Request> {
    let (asked, version) = (&exchange.request, exchange.version.unwrap_or(Version::HTTP_11));
    let url = Url::parse(&text(asked.uri())).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("reqwest cannot send this URL: {error}")).with_source(error)
    })?;
    unchanged(asked.uri(), &url)?;
    let mut request = reqwest::Request::new(asked.method().clone(), url);
    *request.version_mut() = version;
    *request.headers_mut() = asked.headers().clone();
    frame(request.headers_mut(), asked.method(), version, &body)?;
    *request.body_mut() = Some(reqwest::Body::wrap(Upload::new(body, Arc::clone(call))));
    Ok(request)
}

/// The URI as text. Asked for every request, so without the machinery of formatting.
fn text(uri: &Uri) -> String {
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return uri.to_string();
    };
    let parts = [
        scheme,
        "://",
        authority.as_str(),
        uri.path_and_query().map_or("/", PathAndQuery::as_str),
    ];
    parts.concat()
}

/// Where hyper's ideas of framing and ours differ, the fields say so; hyper respects those that are there.
fn frame(headers: &mut HeaderMap, method: &Method, version: Version, body: &Body) -> Result<()> {
    let is_old = version == Version::HTTP_10;
    match body.len() {
        _ if body.has_trailers() && is_old => {
            return Err(Error::new(ErrorKind::InvalidRequest, "HTTP/1.0 has no trailers; use HTTP/1.1 or 2"));
        }
        None if is_old => {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "HTTP/1.0 cannot send a body of unknown length; use Body::sized_stream, or HTTP/1.1",
            ));
        }
        // A server may wait for the length of a POST without content (RFC 9110 §8.6); hyper leaves it out.
        Some(0) if !body.has_trailers() && [Method::POST, Method::PUT, Method::PATCH].contains(method) => {
            headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        // hyper drops the streamed body of a GET, a HEAD or a CONNECT, unless told that it is meant. HTTP/2 ignores the field.
        None if version != Version::HTTP_2 => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        _ => {}
    }
    if let Some(trailers) = body.trailers() {
        headers.remove(CONTENT_LENGTH);
        // hyper sends only what was announced (RFC 9110 §6.6.2).
        if !headers.contains_key(TRAILER) && !trailers.is_empty() {
            let names: Vec<_> = trailers.keys().map(http::HeaderName::as_str).collect();
            let announced = HeaderValue::try_from(names.join(", "));
            headers.insert(TRAILER, announced.map_err(|error| Error::new(ErrorKind::InvalidRequest, error.to_string()))?);
        }
    }
    Ok(())
}

/// reqwest parses the URL once more. What came through the core's door comes out as it went in; an exchange made elsewhere may not.
fn unchanged(asked: &Uri, sent: &Url) -> Result<()> {
    let path = if asked.path().is_empty() { "/" } else { asked.path() };
    if (path, asked.query()) == (sent.path(), sent.query()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidRequest,
        "reqwest would send another path than the one asked for; normalize the URL by the WHATWG rules first",
    ))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn exchange(uri: &str, version: Option<Version>) -> Exchange {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.parse().unwrap();
        let mut exchange = Exchange::new(request);
        exchange.version = version;
        exchange
    }

    #[test]
    fn a_protocol_for_every_wish() {
        use Protocol::{Http1, Http2, Negotiated};
        let table = [
            ("http://h/", None, Some(Negotiated)),
            ("https://h/", None, Some(Negotiated)),
            ("https://h/", Some(Version::HTTP_2), Some(Negotiated)),
            ("http://h/", Some(Version::HTTP_2), Some(Http2)),
            ("https://h/", Some(Version::HTTP_11), Some(Http1)),
            ("http://h/", Some(Version::HTTP_10), Some(Http1)),
            ("https://h/", Some(Version::HTTP_3), None),
            ("http://h/", Some(Version::HTTP_09), None),
        ];
        for (uri, version, expected) in table {
            assert_eq!(protocol(&exchange(uri, version)).ok(), expected, "{uri} {version:?}");
        }
        let mut upgrade = exchange("https://h/", None);
        upgrade.request.headers_mut().insert(UPGRADE, HeaderValue::from_static("x"));
        assert_eq!(protocol(&upgrade).unwrap(), Http1);
    }

    #[test]
    fn framing_fields() {
        let stream = || Body::stream(futures::stream::empty::<std::io::Result<bytes::Bytes>>());
        let framed = |method: Method, version, body: Body| {
            let mut headers = HeaderMap::new();
            frame(&mut headers, &method, version, &body).map(|()| {
                let fields = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
                fields.collect::<Vec<_>>().join("; ")
            })
        };
        let is = |method, version, body, expected| assert_eq!(framed(method, version, body).unwrap(), expected);
        is(Method::GET, Version::HTTP_11, Body::empty(), "");
        is(Method::POST, Version::HTTP_11, Body::empty(), "content-length: 0");
        is(Method::GET, Version::HTTP_11, stream(), "transfer-encoding: chunked");
        is(Method::GET, Version::HTTP_2, stream(), "");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        is(Method::PUT, Version::HTTP_11, Body::from("a").with_trailers(trailers.clone()), "trailer: x-sum");
        assert!(framed(Method::PUT, Version::HTTP_10, Body::from("a").with_trailers(trailers)).is_err());
        assert!(framed(Method::PUT, Version::HTTP_10, stream()).is_err());
    }

    #[test]
    fn a_url_that_reqwest_would_change_is_refused() {
        let changed = |uri: &str| unchanged(&uri.parse().unwrap(), &uri.parse().unwrap()).is_err();
        assert!(changed("http://h/a/../b"));
        assert!(!changed("http://h/a;b=c,%2F%2f//x?"));
        assert!(!changed("http://h"));
    }
}
