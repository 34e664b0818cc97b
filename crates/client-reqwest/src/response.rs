//! From reqwest's response to ours: the head, held to the limits; the body, watched for silence; the stream of an upgrade.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use client_core::{
    Answer, Body, ConnectionInfo, Error, ErrorKind, Event, Exchange, Limits, OnUpgrade, Phase, Result, Sent, Upgraded,
};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::Url;

use crate::call::{Call, Silence, Wanted};
use crate::error;
use crate::stream::FuturesIo;

/// The connection is going to speak something else: what is left to wait for.
type Switch = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;

/// Puts the response in its place as the contract wants it, unless there is a switch to wait for. What was sent to `url` must have been answered from there.
pub(crate) fn receive(
    response: reqwest::Response,
    exchange: &mut Exchange,
    answer: &mut Answer,
    url: Option<&Url>,
    wanted: Wanted,
) -> Result<Option<Switch>> {
    let call = &wanted.0;
    call.answered();
    call.trace().emit(&Event::ResponseHead {
        status: response.status(),
        version: response.version(),
    });
    judge(&response, exchange, url)?;
    exchange.connection = Some(Arc::new(connection(&response, call)));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(Box::pin(switch(response, wanted))));
    }
    let (mut head, body) = Response::<reqwest::Body>::from(response).into_parts();
    // What hyper and reqwest leave there is their own.
    head.extensions.clear();
    let body = Download {
        left: body.size_hint().exact(),
        is_http2: head.version == Version::HTTP_2,
        body,
        limits: exchange.limits,
        silence: Silence::new(call),
        is_waiting: false,
        wanted,
    };
    *answer = Some(Response::from_parts(head, Body::wrap(body)));
    Ok(None)
}

/// The stream is the user's.
async fn switch(response: reqwest::Response, wanted: Wanted) -> Result<Response<Body>> {
    let mut head = Response::new(Body::empty());
    *head.status_mut() = response.status();
    *head.version_mut() = response.version();
    *head.headers_mut() = response.headers().clone();
    let stream = response.upgrade().await.map_err(|error| error::classify(error, &wanted.0))?;
    head.extensions_mut().insert(OnUpgrade::new(Upgraded::new(FuturesIo(stream))));
    Ok(head)
}

fn connection(response: &reqwest::Response, call: &Call) -> ConnectionInfo {
    let info = response.extensions().get::<HttpInfo>();
    let mut connection = ConnectionInfo::new();
    connection.remote_addr = response.remote_addr();
    connection.local_addr = info.map(HttpInfo::local_addr);
    connection.reused = call.is_reused();
    connection
}

/// Refuses what must not be believed.
fn judge(response: &reqwest::Response, exchange: &Exchange, url: Option<&Url>) -> Result<()> {
    let answered = |kind, message: String| Err(Error::new(kind, message).with_phase(Phase::Head).with_sent(Sent::Answered));
    let headers = response.headers();
    if let Some(message) = exceeds(headers, &exchange.limits) {
        return answered(ErrorKind::TooLarge, format!("the response head {message}"));
    }
    // hyper reads such a message by its chunks, and would then use the connection again; whoever sent both may see another end than
    // we do (RFC 9112 §6.3 rule 3).
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return answered(ErrorKind::Protocol, "Transfer-Encoding beside Content-Length (RFC 9112 §6.3)".to_owned());
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !exchange.request.headers().contains_key(UPGRADE) {
        return answered(ErrorKind::Protocol, "101 without a request to upgrade (RFC 9110 §15.2.2)".to_owned());
    }
    if url.is_some_and(|url| response.url() != url) {
        let message = "the given reqwest::Client followed a redirect on its own; build it with redirect::Policy::none()";
        return answered(ErrorKind::Engine, message.to_owned());
    }
    match exchange.version {
        // Only a client that was given ready-made, or whose TLS was, can do this.
        Some(version) if (version == Version::HTTP_2) != (response.version() == Version::HTTP_2) => answered(
            ErrorKind::Engine,
            format!("reqwest spoke {:?}, not {version:?}; see its ALPN settings", response.version()),
        ),
        _ => Ok(()),
    }
}

/// How a head or a trailer section exceeds the limits, if it does. hyper has read it already: what it may read is bounded by its own
/// buffer of about 400 KiB.
fn exceeds(fields: &HeaderMap, limits: &Limits) -> Option<String> {
    let (count, most) = (fields.len(), limits.max_head_fields());
    if count > most {
        return Some(format!("has {count} fields, more than the limit of {most}"));
    }
    // As on the wire in HTTP/1.1: name, colon, space, value, CR LF.
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let most = limits.max_head_bytes();
    (bytes > most).then(|| format!("has {bytes} bytes, more than the limit of {most}"))
}

/// The response's body.
struct Download {
    body: reqwest::Body,
    limits: Limits,
    silence: Silence,
    /// Bytes that are still to come, where it is known. hyper takes HTTP/2's RST_STREAM with NO_ERROR for an end.
    left: Option<u64>,
    /// There the stream says itself whether it has ended ([`is_end_stream`](http_body::Body::is_end_stream)), or was cut off.
    is_http2: bool,
    /// Whether the reader has already found nothing: from then on the server is silent. A reader's own pause is not the server's.
    is_waiting: bool,
    wanted: Wanted,
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                if !std::mem::replace(&mut self.is_waiting, true) {
                    self.wanted.0.moved();
                }
                return self.silence.poll(cx).map(|error| Some(Err(self.end(error))));
            }
        };
        self.is_waiting = false;
        Poll::Ready(match frame {
            Some(Err(error)) => {
                let error = error::classify(error, &self.wanted.0);
                Some(Err(self.end(error)))
            }
            Some(Ok(frame)) => Some(match frame.trailers_ref().and_then(|fields| exceeds(fields, &self.limits)) {
                Some(message) => Err(self.fail(ErrorKind::TooLarge, format!("the trailer section {message}"))),
                None => {
                    let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                    self.left = self.left.map(|left| left.saturating_sub(length));
                    Ok(frame)
                }
            }),
            None => {
                self.wanted.0.abandon();
                let left = self.left.take().filter(|&left| left > 0);
                let is_cut = std::mem::take(&mut self.is_http2) && !self.body.is_end_stream();
                match left {
                    Some(left) => {
                        Some(Err(self.fail(ErrorKind::Closed, format!("the server ended the body {left} bytes early"))))
                    }
                    None if is_cut => {
                        Some(Err(self.fail(ErrorKind::Closed, "the server reset the stream before its end".to_owned())))
                    }
                    None => None,
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Download {
    /// After an error nothing follows, and the connection is freed now, not when the reader drops the rest.
    fn end(&mut self, error: Error) -> Error {
        self.body = reqwest::Body::default();
        error.or_engine(crate::NAME)
    }

    fn fail(&mut self, kind: ErrorKind, message: String) -> Error {
        self.end(Error::new(kind, message).with_phase(Phase::Body).with_sent(Sent::Answered))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn limits_of_a_head() {
        let mut fields = HeaderMap::new();
        fields.append("a", HeaderValue::from_static("12345"));
        fields.append("a", HeaderValue::from_static("12345"));
        let of = |limits| exceeds(&fields, &limits);
        assert_eq!(of(Limits::default()), None);
        assert_eq!(of(Limits::default().head_fields(2).head_bytes(20)), None);
        assert!(of(Limits::default().head_fields(1)).unwrap().starts_with("has 2 fields"));
        assert!(of(Limits::default().head_bytes(19)).unwrap().starts_with("has 20 bytes"));
    }
}
