//! Redirects (RFC 9110 §15.4): a pure decision, tested in tables, and the loop that acts on it.
//!
//! What must hold: credentials never cross an origin and never come back later in the chain; a body is never sent again behind the
//! user's back; `https` never becomes `http` unasked.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, COOKIE,
    EXPECT, HOST, LAST_MODIFIED, LOCATION, PROXY_AUTHORIZATION, TRAILER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};
use percent_encoding::AsciiSet;

use crate::body::Body;
use crate::call::{ANSWERED, Answer};
use crate::engine::BoxFuture;
use crate::error::{Error, ErrorKind, Result, Sent};
use crate::exchange::{Exchange, RequestTarget};
use crate::observer::Event;
use crate::plugin::{Next, Plugin, Rest, Stage};
use crate::url;

/// Whether and how redirects are followed. Part of every client, with a limit of 10; install another to change it, or give one to a
/// single request with [`RequestBuilder::redirect`](crate::RequestBuilder::redirect).
///
/// - 303 becomes GET (HEAD stays); 301 and 302 turn POST into GET, as every browser does; 307 and 308 keep method and body.
/// - When the body is dropped, so are the header fields that describe it.
/// - `Authorization`, `Cookie`, `Proxy-Authorization` and every header marked sensitive are dropped for good at the first change of
///   scheme, host or port. Userinfo in a `Location` is never used.
/// - A `Location` that leads from https to http is refused, unless [`allow_https_downgrade`](Self::allow_https_downgrade) is set.
/// - A body that can be sent only once is not sent again: the call fails.
/// - A response without `Location` is returned as it is, and so is every response to a CONNECT.
///
/// # Errors
/// [`ErrorKind::Redirect`], with the reason.
///
/// ```
/// use client_core::Redirect;
///
/// let follow_a_few = Redirect::limit(3);
/// let same_host_only = Redirect::default().only(|hop| hop.from.host() == hop.to.host());
/// # let _ = (follow_a_few, same_host_only);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Redirect {
    /// `None`: a 3xx is returned as it is.
    limit: Option<usize>,
    allow_https_downgrade: bool,
    only: Option<Arc<Accept>>,
}

type Accept = dyn Fn(&Hop) -> bool + Send + Sync;

/// One step of a redirect.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// The status that asked for it.
    pub status: StatusCode,
    /// The URI that answered.
    pub from: Uri,
    /// The URI it points to.
    pub to: Uri,
}

/// The hops that led to a response, in its extensions; see [`Response::redirects`](crate::Response::redirects).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectHistory(pub(crate) Vec<Hop>);

impl RedirectHistory {
    /// The hops, first one first.
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }
}

impl Default for Redirect {
    fn default() -> Self {
        Self::limit(10)
    }
}

impl Redirect {
    /// Follows at most `limit` redirects per call.
    pub fn limit(limit: usize) -> Self {
        Self {
            limit: Some(limit),
            allow_https_downgrade: false,
            only: None,
        }
    }

    /// Follows none: a 3xx is returned as it is.
    pub fn none() -> Self {
        Self {
            limit: None,
            ..Self::default()
        }
    }

    /// Follows from https to http too; what is sent there can be read and changed on the way. Default: off.
    pub fn allow_https_downgrade(mut self, on: bool) -> Self {
        self.allow_https_downgrade = on;
        self
    }

    /// Follows only the hops that `accept` accepts; the response that asked for another one is returned as it is.
    pub fn only(mut self, accept: impl Fn(&Hop) -> bool + Send + Sync + 'static) -> Self {
        self.only = Some(Arc::new(accept));
        self
    }

    /// The redirects of one call, for an engine that is told to follow them itself: it performs an exchange and shows what came of it to
    /// [`Following::answered`], again and again. A client's own are followed around the engine, which then sees one exchange at a time.
    pub fn begin(&self, exchange: &Exchange) -> Following {
        let of_request = exchange.request.extensions().get::<Self>();
        Following {
            policy: of_request.unwrap_or(self).clone(),
            history: RedirectHistory::default(),
            head: None,
            body: Again::of(exchange.request.body()),
        }
    }

    /// A call's exchange, and those that its redirects ask for.
    pub(crate) async fn follow(&self, exchange: &mut Exchange, answer: &mut Answer, mut rest: Rest<'_>) -> Result<()> {
        let mut following = self.begin(exchange);
        loop {
            let outcome = match rest.engine(exchange) {
                // It leaves the head as it is, which saves most exchanges the copy.
                Some((engine, is_checked)) => engine.answer(exchange, answer, is_checked).await,
                None => {
                    following.head = Some(Box::new(exchange.clone_head()));
                    rest.run(exchange).await.map(|response| *answer = Some(response))
                }
            };
            if following.answered(exchange, outcome, answer)? {
                return Ok(());
            }
            rest = rest.unchecked();
        }
    }

    /// What to do about a response: the decision, without acting on it.
    fn decide(&self, status: StatusCode, headers: &HeaderMap, from: &Uri, followed: usize) -> Decision {
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = is_redirect.then(|| headers.get(LOCATION)).flatten();
        let (Some(limit), Some(location)) = (self.limit, location) else {
            return Decision::Return;
        };
        // Some servers send raw UTF-8, which the parser escapes. What is not UTF-8 is escaped byte by byte, as browsers do.
        let reference = match std::str::from_utf8(location.as_bytes()) {
            Ok(reference) => Cow::Borrowed(reference),
            Err(_) => percent_encoding::percent_encode(location.as_bytes(), &AsciiSet::EMPTY).to_string().into(),
        };
        let to = match url::resolve(from, &reference) {
            Ok(to) => to,
            Err(error) => return Decision::Refuse(format!("invalid Location in {status}: {error}")),
        };
        let hop = Hop {
            status,
            from: from.clone(),
            to,
        };
        if self.only.as_ref().is_some_and(|accept| !accept(&hop)) {
            return Decision::Return;
        }
        if followed >= limit {
            return Decision::Refuse(format!("more than {limit} redirects; raise Redirect::limit if that is right"));
        }
        let downgrade = from.scheme_str() == Some("https") && hop.to.scheme_str() == Some("http");
        if downgrade && !self.allow_https_downgrade {
            return Decision::Refuse(format!(
                "{} leads from https to http ({}); Redirect::allow_https_downgrade allows it",
                status.as_u16(),
                url::display(&hop.to)
            ));
        }
        Decision::Follow(hop)
    }
}

enum Decision {
    Return,
    Refuse(String),
    Follow(Hop),
}

/// The method of the next exchange; where it changes, the body is dropped.
fn next_method(status: StatusCode, method: &Method) -> Option<Method> {
    match (status.as_u16(), method) {
        (303, &Method::GET | &Method::HEAD) => None,
        (303, _) | (301 | 302, &Method::POST) => Some(Method::GET),
        _ => None,
    }
}

/// Fields that describe content, or how it is sent (RFC 9110 §8, §15.4, RFC 9530).
fn drop_payload_headers(headers: &mut HeaderMap) {
    for name in [
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_LENGTH,
        CONTENT_LOCATION,
        CONTENT_RANGE,
        CONTENT_TYPE,
        EXPECT,
        LAST_MODIFIED,
        TRAILER,
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("repr-digest"),
    ] {
        headers.remove(name);
    }
}

/// Whatever was meant for one origin alone. Removal is for good: later hops start from what is left.
fn drop_credentials(headers: &mut HeaderMap) {
    let secret: Vec<HeaderName> =
        headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.clone()).collect();
    for name in secret {
        headers.remove(name);
    }
    // A Host of the user's names the first origin. WWW-Authenticate is no field of requests; some put a secret there by mistake, which is why
    // Go drops it as well.
    for name in [
        AUTHORIZATION,
        COOKIE,
        HeaderName::from_static("cookie2"),
        PROXY_AUTHORIZATION,
        WWW_AUTHENTICATE,
        HOST,
    ] {
        headers.remove(name);
    }
}

/// The redirects of one call; see [`Redirect::begin`].
#[derive(Debug)]
pub struct Following {
    policy: Redirect,
    history: RedirectHistory,
    /// The exchange as it was, where plugins may change it on its way: what they add is for this hop.
    head: Option<Box<Exchange>>,
    body: Again,
}

/// What it takes to send a body once more.
#[derive(Debug)]
enum Again {
    /// There is none.
    Nothing,
    Copy(Body),
    /// It can be sent only once.
    Never,
}

impl Again {
    #[inline]
    fn of(body: &Body) -> Self {
        match body.is_empty() && !body.has_trailers() {
            true => Self::Nothing,
            false => body.try_clone().map_or(Self::Never, Self::Copy),
        }
    }

    fn take(&mut self) -> Option<Body> {
        match std::mem::replace(self, Self::Never) {
            Self::Nothing => Some(Body::empty()),
            Self::Copy(body) => Some(body),
            Self::Never => None,
        }
    }
}

impl Following {
    /// Whether `answer` is the last, given what became of the exchange; if not, the exchange is the next one to perform.
    ///
    /// # Errors
    /// [`ErrorKind::Redirect`], with the reason; and the error that it was given.
    pub fn answered(&mut self, exchange: &mut Exchange, outcome: Result<()>, answer: &mut Answer) -> Result<bool> {
        outcome.map_err(|error| self.failed(error))?;
        Ok(!self.goes_on(exchange, answer.as_mut().expect(ANSWERED))?)
    }

    /// Whatever became of this hop, the first one was acted upon.
    fn failed(&self, error: Error) -> Error {
        if self.history.0.is_empty() { error } else { error.with_sent(Sent::Answered) }
    }

    /// Whether the exchange is now the next one to perform, and the response of no more use.
    fn goes_on(&mut self, exchange: &mut Exchange, response: &mut Response<Body>) -> Result<bool> {
        let from = exchange.request.uri();
        let hop = match self.policy.decide(response.status(), response.headers(), from, self.history.0.len()) {
            Decision::Return => {
                if !self.history.0.is_empty() {
                    response.extensions_mut().insert(std::mem::take(&mut self.history));
                }
                return Ok(false);
            }
            Decision::Refuse(reason) => return Err(refused(reason, from)),
            Decision::Follow(hop) => hop,
        };
        exchange.trace.emit(&Event::Redirected {
            status: hop.status,
            to: &hop.to,
        });
        // The connection is free again before the next exchange asks for one.
        drop(std::mem::take(response));
        if let Some(head) = self.head.take() {
            let is_calls_own = exchange.is_calls_own;
            *exchange = *head;
            exchange.is_calls_own = is_calls_own;
        }
        if !follow(exchange, self.body.take(), &hop) {
            let reason = format!(
                "{} asks to send the body again, but it is a stream that can be sent only once; Body::reopen makes one that can be sent \
                 again",
                hop.status.as_u16()
            );
            return Err(refused(reason, &hop.from));
        }
        self.body = Again::of(exchange.request.body());
        self.history.0.push(hop);
        Ok(true)
    }
}

/// Makes the last exchange the next one, with its body once more, if that can be sent again; tells whether it could.
fn follow(exchange: &mut Exchange, body: Option<Body>, hop: &Hop) -> bool {
    let request = &mut exchange.request;
    match (next_method(hop.status, request.method()), body) {
        (Some(method), _) => {
            *request.method_mut() = method;
            *request.body_mut() = Body::empty();
            drop_payload_headers(request.headers_mut());
        }
        (None, Some(body)) => *request.body_mut() = body,
        (None, None) => return false,
    }
    if !url::same_origin(&hop.from, &hop.to) {
        drop_credentials(request.headers_mut());
        exchange.left_origin = true;
    }
    request.extensions_mut().remove::<RequestTarget>();
    *request.uri_mut() = hop.to.clone();
    true
}

impl Plugin for Redirect {
    fn stage(&self) -> Stage {
        Stage::Redirect
    }

    fn is_unique(&self) -> bool {
        true
    }

    fn applies(&self, exchange: &Exchange) -> bool {
        // A tunnel leads where it was asked to lead (RFC 9110 §9.3.6).
        exchange.request.method() != Method::CONNECT
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin(async move {
            let mut answer = None;
            self.follow(exchange, &mut answer, next.rest()).await?;
            Ok(answer.expect(ANSWERED))
        })
    }

    fn as_redirect(&self) -> Option<&Redirect> {
        Some(self)
    }
}

fn refused(reason: String, uri: &Uri) -> Error {
    Error::new(ErrorKind::Redirect, reason).with_sent(Sent::Answered).or_uri(uri)
}

impl fmt::Debug for Hop {
    /// Without the URIs' queries, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hop({} from {} to {})", self.status.as_u16(), url::display(&self.from), url::display(&self.to))
    }
}

impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirect")
            .field("limit", &self.limit)
            .field("allow_https_downgrade", &self.allow_https_downgrade)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn exchange(method: &str, from: &str, headers: &[(&'static str, &'static str)], body: Body) -> Exchange {
        let mut request = Request::new(body);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = uri(from);
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        Exchange::new(request)
    }

    fn step(exchange: &Exchange, status: u16, to: &str) -> Option<Exchange> {
        let hop = Hop {
            status: StatusCode::from_u16(status).unwrap(),
            from: exchange.request.uri().clone(),
            to: uri(to),
        };
        let mut next = exchange.clone_head();
        follow(&mut next, exchange.request.body().try_clone(), &hop).then_some(next)
    }

    /// RFC 9110 §15.4, and the Fetch Standard where the RFC allows what browsers do.
    #[test]
    fn methods_and_bodies() {
        for (status, method, expected, keeps_body) in [
            (301, "GET", "GET", true),
            (301, "POST", "GET", false),
            (301, "PUT", "PUT", true),
            (301, "HEAD", "HEAD", true),
            (302, "POST", "GET", false),
            (302, "PATCH", "PATCH", true),
            (302, "DELETE", "DELETE", true),
            (303, "GET", "GET", true),
            (303, "HEAD", "HEAD", true),
            (303, "POST", "GET", false),
            (303, "PUT", "GET", false),
            (303, "DELETE", "GET", false),
            (307, "POST", "POST", true),
            (307, "GET", "GET", true),
            (308, "POST", "POST", true),
            (308, "PROPFIND", "PROPFIND", true),
        ] {
            let headers = [("content-type", "text/plain"), ("content-digest", "x"), ("accept", "a")];
            let next = step(&exchange(method, "http://h/a", &headers, Body::from("b")), status, "http://h/b").unwrap();
            assert_eq!(next.request.method().as_str(), expected, "{status} {method}");
            assert_eq!(next.request.body().len(), Some(u64::from(keeps_body)), "{status} {method}");
            assert_eq!(next.request.headers().contains_key("content-type"), keeps_body, "{status} {method}");
            assert_eq!(next.request.headers().contains_key("content-digest"), keeps_body, "{status} {method}");
            assert!(next.request.headers().contains_key("accept"));
        }
    }

    /// Scheme × host × port: credentials stay within the origin, whatever else is equal.
    #[test]
    fn an_origin_that_was_left_stays_left() {
        let first = exchange("GET", "https://a.example/", &[], Body::empty());
        let same = step(&first, 302, "https://a.example/x").unwrap();
        assert!(!same.left_origin);
        let other = step(&same, 302, "https://b.example/").unwrap();
        assert!(other.left_origin);
        let back = step(&other, 302, "https://a.example/").unwrap();
        assert!(back.left_origin && back.try_clone().unwrap().left_origin);
    }

    #[test]
    fn credentials_never_cross_an_origin() {
        let secrets = [
            ("authorization", "a"),
            ("cookie", "b"),
            ("cookie2", "c"),
            ("proxy-authorization", "d"),
            ("host", "virtual.example"),
        ];
        let mut first = exchange("GET", "https://h.example/a", &secrets, Body::empty());
        let mut key = HeaderValue::from_static("key");
        key.set_sensitive(true);
        first.request.headers_mut().insert("x-api-key", key);
        first.request.headers_mut().insert("accept", HeaderValue::from_static("*/*"));
        for (to, same) in [
            ("https://h.example/b", true),
            ("https://h.example:443/b", true),
            ("https://h.example:8443/b", false),
            ("http://h.example/b", false),
            ("http://h.example:443/b", false),
            ("https://sub.h.example/b", false),
            ("https://example/b", false),
            ("https://h.example./b", false),
            ("https://other.example/b", false),
        ] {
            let second = step(&first, 302, to).unwrap();
            assert_eq!(second.request.headers().len(), if same { 7 } else { 1 }, "{to}");
            // And never come back, also not on the way home.
            let third = step(&second, 302, "https://h.example/c").unwrap();
            assert_eq!(third.request.headers().len(), if same { 7 } else { 1 }, "{to} and back");
        }
    }

    #[test]
    fn a_one_shot_body_is_not_sent_again() {
        let stream = || Body::stream(futures::stream::iter([Ok::<_, std::io::Error>("a")]));
        assert!(step(&exchange("POST", "http://h/", &[], stream()), 307, "http://h/b").is_none());
        assert!(step(&exchange("POST", "http://h/", &[], stream()), 303, "http://h/b").is_some());
        let reopened = Body::reopen(None, || Body::from("a"));
        assert!(step(&exchange("POST", "http://h/", &[], reopened), 308, "http://h/b").is_some());
    }

    #[test]
    fn decisions() {
        let decide = |policy: Redirect, status: u16, location: Option<&str>, followed| {
            let value = |text: &str| (LOCATION, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            let headers: HeaderMap = location.map(value).into_iter().collect();
            match policy.decide(StatusCode::from_u16(status).unwrap(), &headers, &uri("https://h/a?q"), followed) {
                Decision::Return => "return".to_owned(),
                Decision::Refuse(reason) => format!("refuse: {reason}"),
                Decision::Follow(hop) => hop.to.to_string(),
            }
        };
        let default = Redirect::default;
        assert_eq!(decide(default(), 302, Some("b#frag"), 0), "https://h/b");
        assert_eq!(decide(default(), 302, Some("//user:pw@other/ü"), 0), "https://other/%C3%BC");
        for status in [200, 300, 304, 305, 306, 399] {
            assert_eq!(decide(default(), status, Some("b"), 0), "return", "{status}");
        }
        assert_eq!(decide(default(), 302, None, 0), "return");
        assert_eq!(decide(Redirect::none(), 302, Some("b"), 0), "return");
        assert_eq!(decide(default(), 302, Some("b"), 9), "https://h/b");
        assert!(decide(default(), 302, Some("b"), 10).starts_with("refuse: more than 10 redirects"));
        assert!(decide(default(), 302, Some("http://h/"), 0).contains("from https to http"));
        assert_eq!(decide(default().allow_https_downgrade(true), 302, Some("http://h/"), 0), "http://h/");
        assert!(decide(default(), 302, Some("mailto:a@b"), 0).contains("unsupported scheme \"mailto\""));
        assert!(decide(default(), 302, Some("http://[bad/"), 0).contains("invalid Location in 302"));
    }
}
