//! An exchange as ureq wants it: a request, its framing, and where its body comes from.
//!
//! What must never enter this file: threads, sockets.

use std::sync::Arc;

use client_core::{Body, Error, ErrorKind, Exchange, Method, Result, Version};
use http::Request;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use ureq::SendBody;

use crate::call::Call;
use crate::upload::{Content, Feed, Source};

/// The most of a body that is sent at a time.
const MAX_WRITE: usize = 128 << 10;

/// A request that is ready to be sent, once or again.
pub(crate) struct Plan {
    head: Request<()>,
    /// With its length, where it is known; `None` where nothing is sent.
    content: Option<(Content, Option<u64>)>,
}

/// A plan for the worker, and for the task what it has to feed it with.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`]: HTTP/1.0 with a body of unknown length, a version that is none of ours.
pub(crate) fn plan(exchange: &mut Exchange) -> Result<(Plan, Option<Feed>)> {
    let request = &mut exchange.request;
    let body = std::mem::take(request.body_mut());
    let length = body.len();
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = version(exchange.version, length)?;
    *head.headers_mut() = request.headers().clone();
    frame(head.method().clone(), length, head.headers_mut());
    let (content, feed) = match (length, body.as_bytes().filter(|_| !body.has_trailers())) {
        (Some(0), _) => (None, None),
        (_, Some(bytes)) => (Some((Content::Bytes(bytes.clone()), length)), None),
        (_, None) => stream(body, length),
    };
    Ok((Plan { head, content }, feed))
}

fn stream(body: Body, length: Option<u64>) -> (Option<(Content, Option<u64>)>, Option<Feed>) {
    let feed = Feed::new(body);
    (Some((Content::Stream(feed.pipe()), length)), Some(feed))
}

impl Plan {
    /// For ureq, which performs it at once.
    pub(crate) fn request(&self, call: &Arc<Call>) -> Request<SendBody<'static>> {
        let body = match &self.content {
            Some((content, length)) => SendBody::from_owned_reader(Source::new(Arc::clone(call), content.clone(), *length)),
            None => SendBody::none(),
        };
        self.head.clone().map(|()| body)
    }

    pub(crate) fn method(&self) -> &Method {
        self.head.method()
    }

    /// Whether the same once more is harmless (RFC 9110 §9.2.2), and possible.
    pub(crate) fn is_repeatable(&self) -> bool {
        let is_stream = matches!(self.content, Some((Content::Stream(_), _)));
        let method = self.method();
        !is_stream && (method.is_idempotent() || *method == Method::TRACE)
    }

    /// How much of the body is sent at a time; ureq needs a buffer that takes it.
    pub(crate) fn upload(&self) -> usize {
        let length = self.content.as_ref().map_or(Some(0), |(_, length)| *length);
        length
            .and_then(|length| usize::try_from(length).ok())
            .map_or(MAX_WRITE, |length| length.min(MAX_WRITE))
    }

    /// The longest line of the head; ureq needs a buffer that takes it whole.
    pub(crate) fn longest_line(&self) -> usize {
        let target = self.head.uri().path_and_query().map_or(1, |target| target.as_str().len());
        let first = self.method().as_str().len() + target + " / HTTP/1.1".len();
        let fields = self.head.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": ".len());
        // The field that ureq adds.
        let host = self.head.uri().authority().map_or(0, |authority| authority.as_str().len()) + "host: ".len();
        fields.chain([first, host]).max().unwrap_or(first)
    }
}

/// Framing is ours (RFC 9112 §6), and told to ureq as fields: left to itself it sends a POST without content as chunked.
fn frame(method: Method, length: Option<u64>, headers: &mut HeaderMap) {
    match length {
        // A method that means its content says so where there is none (RFC 9110 §8.6).
        Some(0) if !matches!(method, Method::POST | Method::PUT | Method::PATCH) => {}
        Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        None => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
    }
}

fn version(asked: Option<Version>, length: Option<u64>) -> Result<Version> {
    match asked.unwrap_or(Version::HTTP_11) {
        Version::HTTP_10 if length.is_none() => {
            let message = "HTTP/1.0 has no chunked coding (RFC 9112 §7.1): declare the length of the body";
            Err(Error::new(ErrorKind::InvalidRequest, message))
        }
        version @ (Version::HTTP_10 | Version::HTTP_11) => Ok(version),
        other => Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("{other:?} cannot be asked of ureq: it speaks HTTP/1.1 and 1.0"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing() {
        let framed = |method: &str, length| {
            let mut headers = HeaderMap::new();
            frame(method.parse().unwrap(), length, &mut headers);
            headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect::<String>()
        };
        let table = [
            ("GET", Some(0), ""),
            ("DELETE", Some(0), ""),
            ("PURGE", Some(0), ""),
            ("POST", Some(0), "content-length: 0"),
            ("PUT", Some(0), "content-length: 0"),
            ("PATCH", Some(0), "content-length: 0"),
            ("GET", Some(3), "content-length: 3"),
            ("POST", Some(3), "content-length: 3"),
            ("POST", None, "transfer-encoding: chunked"),
            ("GET", None, "transfer-encoding: chunked"),
        ];
        for (method, length, expected) in table {
            assert_eq!(framed(method, length), expected, "{method} {length:?}");
        }
    }

    #[test]
    fn versions() {
        assert_eq!(version(None, None).unwrap(), Version::HTTP_11);
        assert_eq!(version(Some(Version::HTTP_10), Some(1)).unwrap(), Version::HTTP_10);
        assert!(version(Some(Version::HTTP_10), None).unwrap_err().to_string().contains("declare the length"));
        assert!(version(Some(Version::HTTP_09), Some(0)).is_err());
    }
}
