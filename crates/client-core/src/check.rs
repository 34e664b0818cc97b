//! The one gate between the user and the engine: the exchange is well-formed, and the engine can do everything that was asked.
//! After it, nothing that an engine lacks can reach it, and nothing that the user wrote can change the framing of a message.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::Scheme;
use http::{HeaderMap, Method, Version};

use crate::capability::{Capabilities, Capability};
use crate::error::{Error, Result};
use crate::exchange::{Exchange, RequestTarget, UnixSocket};
use crate::timeouts::{TimeoutKind, Timeouts};

/// Refuses what is wrong with the exchange itself, then what the engine cannot do.
#[inline]
pub(crate) fn check(exchange: &mut Exchange, engine: Capabilities) -> Result<()> {
    exchange.timeouts.check()?;
    if exchange.request.method() == Method::TRACE && !exchange.request.body().is_empty() {
        return Err(Error::invalid("a TRACE request has no body (RFC 9110 §9.3.8)"));
    }
    if !exchange.request.headers().is_empty() {
        framing(exchange)?;
        host(exchange.request.headers())?;
        expectation(exchange)?;
    }
    exchange.request.body_mut().is_sent()?;
    supported(exchange, engine)
}

/// Refuses what the engine cannot do. Asked again for every exchange: a redirect may lead to https, a plugin may turn a body into a
/// stream.
#[inline]
pub(crate) fn supported(exchange: &Exchange, engine: Capabilities) -> Result<()> {
    match asked(exchange).missing_in(engine) {
        Some(capability) => Err(Error::unsupported(capability)),
        None => Ok(()),
    }
}

/// Framing fields are the engine's (RFC 9112 §6): a length of the user's is held to be true, a transfer coding is refused.
fn framing(exchange: &mut Exchange) -> Result<()> {
    let headers = exchange.request.headers();
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Error::invalid(
            "the header transfer-encoding is set by the engine, from the body's length; leave it out",
        ));
    }
    let Some(declared) = content_length(headers)? else {
        return Ok(());
    };
    match exchange.request.body().len() {
        Some(len) if len != declared => Err(Error::invalid(format!(
            "the header content-length says {declared}, but the body has {len} bytes; leave the header out"
        ))),
        Some(_) => Ok(()),
        None => {
            exchange.request.body_mut().declare_len(declared);
            Ok(())
        }
    }
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match (digits.and_then(|text| text.parse().ok()), values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(Error::invalid("the header content-length must be one decimal number; leave it out")),
    }
}

/// A Host of the user's replaces ours; two would let two servers on the way disagree (RFC 9112 §3.2).
fn host(headers: &HeaderMap) -> Result<()> {
    match headers.get_all(HOST).iter().count() {
        0 | 1 => Ok(()),
        n => Err(Error::invalid(format!("{n} Host headers; a request has exactly one (RFC 9112 §3.2)"))),
    }
}

/// `100-continue` is the only expectation there is, and one for content that is to come (RFC 9110 §10.1.1).
fn expectation(exchange: &Exchange) -> Result<()> {
    let mut values = exchange.request.headers().get_all(EXPECT).iter();
    let Some(value) = values.next() else {
        return Ok(());
    };
    if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") || values.next().is_some() {
        return Err(Error::invalid("the header expect can say 100-continue, once, and nothing else (RFC 9110 §10.1.1)"));
    }
    match exchange.request.body().is_empty() {
        true => Err(Error::invalid(
            "Expect: 100-continue needs content to wait for (RFC 9110 §10.1.1: MUST NOT without); leave it out",
        )),
        false => Ok(()),
    }
}

/// Everything the exchange asks of an engine.
#[inline]
fn asked(exchange: &Exchange) -> Capabilities {
    let request = &exchange.request;
    let (headers, body) = (request.headers(), request.body());
    let mut asked = asked_by(&exchange.timeouts);
    let mut ask = |condition: bool, capability: Capability| asked = asked.with_if(condition, capability);
    let is_secure = request.uri().scheme() == Some(&Scheme::HTTPS);
    ask(is_secure, Capability::Tls);
    ask(request.method() == Method::CONNECT, Capability::Tunnel);
    if !headers.is_empty() {
        ask(headers.contains_key(UPGRADE), Capability::Upgrade);
        ask(headers.contains_key(EXPECT), Capability::ExpectContinue);
    }
    ask(body.has_trailers(), Capability::RequestTrailers);
    ask(body.has_trailers() && exchange.version == Some(Version::HTTP_2), Capability::Http2RequestTrailers);
    ask(body.len().is_none(), Capability::StreamingUpload);
    ask(request.extensions().get() == Some(&RequestTarget::Asterisk), Capability::AsteriskForm);
    ask(request.extensions().get::<UnixSocket>().is_some(), Capability::UnixSocket);
    match exchange.version {
        Some(Version::HTTP_3) => ask(true, Capability::Http3),
        Some(Version::HTTP_2) if is_secure => ask(true, Capability::Http2),
        // Nothing but the user's word says that the server speaks it.
        Some(Version::HTTP_2) => ask(true, Capability::Http2PriorKnowledge),
        Some(_) => ask(true, Capability::Http1),
        None => {}
    }
    asked
}

/// What time limits ask of an engine; that of the whole call is the core's own.
#[inline]
pub(crate) fn asked_by(timeouts: &Timeouts) -> Capabilities {
    let is_set = |kind| timeouts.get(kind).is_some();
    Capabilities::NONE
        .with_if(is_set(TimeoutKind::Connect), Capability::ConnectTimeout)
        .with_if(is_set(TimeoutKind::Socket), Capability::SocketTimeout)
        .with_if(is_set(TimeoutKind::ConnectionRequest), Capability::ConnectionRequestTimeout)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Request};

    use super::*;
    use crate::body::Body;
    use crate::error::ErrorKind;

    fn exchange(headers: &[(&str, &str)], body: Body) -> Exchange {
        let mut request = Request::new(body);
        *request.uri_mut() = "http://h.example/".parse().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        Exchange::new(request)
    }

    #[test]
    fn framing_belongs_to_the_engine() {
        let refused = |headers: &[(&str, &str)]| {
            check(&mut exchange(headers, Body::from("abc")), Capabilities::NONE).unwrap_err().to_string()
        };
        assert!(refused(&[("transfer-encoding", "chunked")]).contains("leave it out"));
        assert!(refused(&[("content-length", "4")]).contains("says 4, but the body has 3 bytes"));
        for odd in ["+3", "3, 3", "0x3", "", " 3"] {
            assert!(refused(&[("content-length", odd)]).contains("one decimal number"), "{odd:?}");
        }
        assert!(refused(&[("content-length", "3"), ("content-length", "3")]).contains("one decimal number"));
        assert!(refused(&[("host", "a"), ("host", "b")]).contains("2 Host headers"));
        let mut fine = exchange(&[("content-length", "3"), ("host", "other")], Body::from("abc"));
        assert!(check(&mut fine, Capabilities::NONE).is_ok());
    }

    #[test]
    fn an_expectation_is_for_content() {
        let refused = |headers: &[(&str, &str)], body: Body| {
            check(&mut exchange(headers, body), Capability::ExpectContinue.into()).map_err(|error| error.to_string())
        };
        assert_eq!(refused(&[("expect", "100-Continue")], Body::from("abc")), Ok(()));
        assert!(refused(&[("expect", "100-continue")], Body::empty()).unwrap_err().contains("needs content"));
        assert!(refused(&[("expect", "a-lot")], Body::from("abc")).unwrap_err().contains("nothing else"));
        let twice = [("expect", "100-continue"), ("expect", "100-continue")];
        assert!(refused(&twice, Body::from("abc")).unwrap_err().contains("once"));
    }

    #[test]
    fn forbidden_trailers_are_refused_as_soon_as_they_are_known() {
        let trailers = |name: &str| HeaderMap::from_iter([(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("1"))]);
        let given = |name: &str| {
            let mut exchange = exchange(&[], Body::from("abc").with_trailers(trailers(name)));
            check(&mut exchange, Capability::RequestTrailers.into()).map_err(|error| error.kind())
        };
        assert_eq!(given("x-sum"), Ok(()));
        assert_eq!(given("content-length"), Err(ErrorKind::InvalidRequest));

        let produced = |name: &str| {
            let fields = trailers(name);
            let later = Body::reopen(Some(3), move || Body::from("abc").with_trailers(fields.clone()));
            let mut exchange = exchange(&[], later);
            check(&mut exchange, Capabilities::NONE).unwrap();
            let mut body = exchange.request.body().try_clone().unwrap();
            futures::executor::block_on(async {
                body.frame().await.unwrap().unwrap();
                body.frame().await.unwrap().map(drop).map_err(|error| error.kind())
            })
        };
        assert_eq!(produced("x-sum"), Ok(()));
        assert_eq!(produced("host"), Err(ErrorKind::Body));
    }

    #[test]
    fn a_declared_length_is_taken_over() {
        let stream = Body::stream(futures::stream::iter([Ok::<_, std::io::Error>("abc")]));
        let mut exchange = exchange(&[("content-length", "3")], stream);
        check(&mut exchange, Capabilities::NONE).unwrap();
        assert_eq!(exchange.request.body().len(), Some(3));
    }

    #[test]
    fn what_is_asked_is_refused_by_name() {
        let mut cases = vec![
            (exchange(&[("upgrade", "websocket")], Body::empty()), Capability::Upgrade),
            (exchange(&[("expect", "100-continue")], Body::from("a")), Capability::ExpectContinue),
            (exchange(&[], Body::from("a").with_trailers(HeaderMap::new())), Capability::RequestTrailers),
        ];
        for (uri, capability) in [
            ("https://h.example/", Capability::Http2),
            ("http://h.example/", Capability::Http2PriorKnowledge),
        ] {
            let mut http2 = exchange(&[], Body::empty());
            *http2.request.uri_mut() = uri.parse().unwrap();
            http2.version = Some(Version::HTTP_2);
            cases.push((http2, capability));
        }
        let mut local = exchange(&[], Body::empty());
        local.request.extensions_mut().insert(UnixSocket::new("/run/s"));
        cases.push((local, Capability::UnixSocket));
        let mut slow = exchange(&[], Body::empty());
        slow.timeouts = slow.timeouts.socket(std::time::Duration::from_secs(1));
        cases.push((slow, Capability::SocketTimeout));
        for (mut exchange, capability) in cases {
            let error = check(&mut exchange, Capabilities::NONE).unwrap_err();
            assert_eq!(error.capability(), Some(capability));
            assert!(check(&mut exchange, Capabilities::from(capability).with(Capability::Tls)).is_ok());
        }
    }

    #[test]
    fn trailers_of_http2_are_asked_for_where_both_are() {
        let both = Capabilities::from(Capability::RequestTrailers).with(Capability::Http2PriorKnowledge);
        let refused = |version| {
            let mut exchange = exchange(&[], Body::from("a").with_trailers(HeaderMap::new()));
            exchange.version = version;
            check(&mut exchange, both).err().and_then(|error| error.capability())
        };
        assert_eq!(refused(None), None);
        assert_eq!(refused(Some(Version::HTTP_2)), Some(Capability::Http2RequestTrailers));
    }
}
