//! One exchange on one connection, on the caller's task: no task, no channel, one write and one read for a small request.
//!
//! Owns the order of writing and reading, and what becomes of the lease. The syntax is `h1`'s, the sending side `upload`'s.
//!
//! ```text
//! encode head ─► (Expect: wait for 100) ─► send and listen at once ─► head ─┬─► the body is already there: lease back at once
//!                                                                          ├─► Response { body: holds the lease }
//!                                                                          └─► 101, CONNECT: the stream is the user's
//! ```

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use client_core::{
    Answer, Body, Error, ErrorKind, Event, Exchange, Limits, OnUpgrade, Phase, RequestTarget, Result, Sent, Trace,
};
use client_core::{TimeoutKind, Upgraded};
use client_transport::pool;
use client_transport::wire::effective;
use http::header::{EXPECT, UPGRADE};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};

use crate::connection::{Connection, Exclusive, Proxy, READ_SIZE};
use crate::h1::{self, ConnectionOptions, HeadLimits, KeepAliveHint, ProtocolError, ProtocolErrorKind, RequestFraming};
use crate::h1::{RequestHead, RequestSide, ResponseDecoder, ResponseHead, Target, Verdict};
use crate::raw::RawStream;
use crate::upload::{Progress, Upload};
use client_transport::silence::{Silence, SocketTimeout};

/// How long to wait for `100 Continue` before the body is sent all the same (RFC 9110 §10.1.1 asks for a bound; curl's is 1 s).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// How much is read at a time at most, twice what Go's `io.Copy` to a socket does.
const MAX_READ_SIZE: usize = 128 << 10;

/// The body's length decides (RFC 9112 §6); trailers need chunks to follow.
#[inline]
fn framing(body: &Body) -> RequestFraming {
    match body.len() {
        _ if body.has_trailers() => RequestFraming::Chunked,
        Some(0) => RequestFraming::None,
        Some(length) => RequestFraming::Length(length),
        None => RequestFraming::Chunked,
    }
}

#[inline]
pub(crate) fn encode(out: &mut Vec<u8>, exchange: &Exchange, framing: RequestFraming, proxy: Option<&Proxy>) -> Result<()> {
    let request = &exchange.request;
    let uri = request.uri();
    let authority = uri.authority().ok_or_else(|| Error::new(ErrorKind::InvalidRequest, "the URI has no host"))?;
    let tunnel = (request.method() == Method::CONNECT).then(|| tunnel_target(request, authority)).transpose()?;
    let target = match (&tunnel, request.extensions().get()) {
        (Some(authority), _) => Target::Authority(authority),
        (None, Some(RequestTarget::Asterisk)) => Target::Asterisk,
        (None, _) if proxy.is_some() => Target::Absolute(uri),
        (None, _) => match uri.path_and_query() {
            Some(path_and_query) => Target::Origin(path_and_query),
            None => Target::Absolute(uri),
        },
    };
    let head = RequestHead {
        method: request.method(),
        target,
        version: exchange.version.unwrap_or(Version::HTTP_11),
        host: tunnel.as_ref().unwrap_or(authority).as_str().as_bytes(),
        headers: request.headers(),
        framing,
        proxy_authorization: proxy.and_then(|proxy| proxy.authorization.as_ref()),
    };
    h1::encode_head(out, &head).map_err(|error| Error::new(ErrorKind::InvalidRequest, error.to_string()).with_source(error))
}

/// What a CONNECT asks for: always with a port (RFC 9110 §9.3.6).
fn tunnel_target(request: &Request<Body>, authority: &Authority) -> Result<Authority> {
    let target = match request.extensions().get() {
        Some(RequestTarget::Authority(target)) => target,
        _ => authority,
    };
    if target.port().is_some() {
        return Ok(target.clone());
    }
    let port = if request.uri().scheme_str() == Some("https") { 443 } else { 80 };
    format!("{target}:{port}")
        .parse()
        .map_err(|error: http::uri::InvalidUri| Error::new(ErrorKind::InvalidRequest, format!("CONNECT target: {error}")))
}

#[inline]
pub(crate) fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        bytes: limits.max_head_bytes(),
        fields: limits.max_head_fields(),
        informational: limits.max_informational(),
        ..HeadLimits::default()
    }
}

/// What is known of the exchange on a connection; between two, of none. It lies with the connection, as whatever leads an exchange would be moved
/// with it at every step.
pub(crate) struct Transfer {
    upload: Upload,
    /// Whether there is nothing more to send.
    is_sent: bool,
    /// Whether a body was announced that will not be sent.
    is_withheld: bool,
    /// Why no more of it can be sent. The server may have answered all the same, so reading goes on (RFC 9112 §9.5).
    broken: Option<Error>,
    decoder: ResponseDecoder,
    silence: Silence,
    trace: Trace,
    phase: Phase,
    /// How much to read at a time.
    appetite: usize,
    /// The request has an `Upgrade`.
    asks_upgrade: bool,
    /// The request said `Connection: close`.
    close: bool,
    /// The server's promise in `Keep-Alive: timeout`.
    keep_alive: Option<Duration>,
}

impl Transfer {
    /// Before the first exchange.
    pub(crate) fn none() -> Self {
        Self {
            upload: Upload::default(),
            is_sent: true,
            is_withheld: false,
            broken: None,
            decoder: ResponseDecoder::new(&Method::GET, HeadLimits::default()),
            silence: Silence::new(None),
            trace: Trace::default(),
            phase: Phase::Pool,
            appetite: READ_SIZE,
            asks_upgrade: false,
            close: false,
            keep_alive: None,
        }
    }

    /// Keeps nothing of the exchange that is over but the buffer of its head and the timer.
    fn end(&mut self) {
        self.upload.end();
        self.broken = None;
        self.silence.broken();
        self.trace = Trace::default();
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.trace.enter(phase);
    }
}

impl Connection {
    /// Makes ready to send the request's head. A request that cannot be sent is refused, and the connection as good as before.
    ///
    /// What [`Transfer::end`] leaves of the exchange before is set anew here, field by field: all of it in one value would be moved.
    #[inline]
    pub(crate) fn begin(&mut self, exchange: &Exchange, default: SocketTimeout) -> Result<()> {
        let request = &exchange.request;
        let (headers, framing) = (request.headers(), framing(request.body()));
        let Self { transfer, proxy, .. } = self;
        transfer.upload.head(|out| encode(out, exchange, framing, proxy.as_ref()))?;
        transfer.is_sent = false;
        transfer.is_withheld = false;
        transfer.decoder = ResponseDecoder::new(request.method(), head_limits(&exchange.limits));
        transfer.silence.renew(effective(exchange.timeouts.get(TimeoutKind::Socket), default));
        transfer.trace = exchange.trace.clone();
        transfer.appetite = READ_SIZE;
        transfer.asks_upgrade = h1::has(headers, &UPGRADE);
        transfer.close = ConnectionOptions::of(headers).close;
        Ok(())
    }

    /// Sends the request, and returns at the response's head.
    pub(crate) async fn perform(&mut self, exchange: &mut Exchange) -> Result<ResponseHead> {
        self.transfer.enter(Phase::Send);
        let framing = framing(exchange.request.body());
        if framing != RequestFraming::None {
            // On the heap: it has a timer, and few wait.
            if exchange.request.headers().contains_key(EXPECT)
                && let Some(head) = Box::pin(self.await_continue()).await?
            {
                // A final answer instead: the body that was announced is never sent, and the connection cannot be used again.
                self.transfer.is_withheld = true;
                return Ok(head);
            }
            self.transfer.is_sent = false;
            self.transfer.enter(Phase::Send);
            self.transfer.upload.body(mem::take(exchange.request.body_mut()), framing);
        }
        loop {
            match poll_fn(|cx| self.poll_event(cx)).await? {
                h1::Event::Informational(head) => self.inform(&head),
                event => return self.final_head(event),
            }
        }
    }

    /// The go-ahead for the body (`None`), or a final answer without it.
    async fn await_continue(&mut self) -> Result<Option<ResponseHead>> {
        let mut patience = pin!(tokio::time::sleep(CONTINUE_WAIT));
        loop {
            let event = poll_fn(|cx| match self.poll_event(cx) {
                Poll::Pending if self.transfer.is_sent => patience.as_mut().poll(cx).map(|()| Ok(None)),
                other => other.map_ok(Some),
            });
            match event.await? {
                None => return Ok(None),
                Some(h1::Event::Informational(head)) => {
                    self.inform(&head);
                    if head.status == StatusCode::CONTINUE {
                        return Ok(None);
                    }
                }
                Some(event) => return self.final_head(event).map(Some),
            }
        }
    }

    fn inform(&self, head: &ResponseHead) {
        self.transfer.trace.emit(&Event::Informational {
            status: head.status,
            headers: &head.headers,
        });
    }

    fn final_head(&self, event: h1::Event) -> Result<ResponseHead> {
        match event {
            // RFC 9110 §15.2.2: it answers an Upgrade; unasked, what follows is nobody's protocol.
            h1::Event::Head(head) if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.transfer.asks_upgrade => {
                let error = Error::new(ErrorKind::Protocol, "101 Switching Protocols, though no upgrade was asked for");
                Err(self.failed(error))
            }
            h1::Event::Head(head) => Ok(head),
            other => Err(Error::new(ErrorKind::Engine, format!("{other:?} before a response head"))),
        }
    }

    /// Sends what can be sent, reads what can be read, until there is an event.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<h1::Event>> {
        loop {
            let is_peers_turn = self.send(cx)?;
            // Before the first byte of a head there is nothing to decode.
            if !self.read.is_empty() || self.transfer.decoder.started() {
                match self.transfer.decoder.next(&mut self.read) {
                    Ok(h1::Event::NeedMore) => {}
                    event => {
                        self.transfer.silence.broken();
                        return Poll::Ready(event.map_err(|error| self.refused(error)));
                    }
                }
            }
            let read = self.poll_read(self.transfer.appetite, cx);
            let transfer = &mut self.transfer;
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.end_of_stream()),
                Poll::Ready(Ok(n)) => {
                    transfer.silence.broken();
                    // A peer that fills the buffer has more: fewer and larger reads from now on.
                    if n >= transfer.appetite / 2 {
                        transfer.appetite = (transfer.appetite * 2).min(MAX_READ_SIZE);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.reset(error))),
                Poll::Pending if is_peers_turn => return transfer.silence.poll(transfer.phase, cx).map(Err),
                Poll::Pending => {
                    transfer.silence.broken();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Sends what can be sent now. Whether we wait for the peer, and not for our own producer.
    #[inline]
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let Self { transfer, stream, .. } = self;
        if transfer.is_sent || transfer.broken.is_some() {
            return Ok(true);
        }
        let mut moved = false;
        match transfer.upload.poll(stream, &mut moved, cx) {
            Ok(Progress::Done) => {
                transfer.is_sent = true;
                if transfer.phase == Phase::Send {
                    transfer.enter(Phase::Head);
                }
            }
            Ok(Progress::Producer) => return Ok(false),
            Ok(Progress::Socket) => {}
            Err(error) if error.kind() == ErrorKind::Closed => transfer.broken = Some(error),
            Err(error) => return Err(error),
        }
        if moved {
            transfer.silence.broken();
        }
        Ok(true)
    }

    /// The peer closed: the end of a body that has no other, or an error.
    fn end_of_stream(&mut self) -> Result<h1::Event> {
        let event = self.transfer.decoder.eof(&mut self.read);
        event.map_err(|error| self.refused(error))
    }

    fn refused(&mut self, error: ProtocolError) -> Error {
        match (error.kind(), self.transfer.broken.take()) {
            // That sending failed is the reason why there is no response.
            (ProtocolErrorKind::NoResponse, Some(broken)) => broken,
            _ => self.failed(refused(error)),
        }
    }

    fn reset(&mut self, error: io::Error) -> Error {
        match self.transfer.broken.take() {
            Some(broken) if !self.transfer.decoder.started() => broken,
            _ => self.failed(closed(error)),
        }
    }

    fn failed(&self, error: Error) -> Error {
        let Transfer {
            decoder, upload, phase, ..
        } = &self.transfer;
        let sent = if decoder.started() { Sent::Answered } else { upload.sent() };
        error.with_phase(*phase).with_sent(sent)
    }
}

/// The response; what there is of its body already decides who holds the lease.
pub(crate) fn respond(mut lease: Exclusive, head: ResponseHead, answer: &mut Answer) {
    let conn = lease.conn();
    let transfer = &mut conn.transfer;
    transfer.enter(Phase::Body);
    transfer.keep_alive = KeepAliveHint::of(&head.headers).timeout;
    tell(&head, &transfer.trace);
    // A body that is here as a whole needs the connection no longer, whether it will be read or not.
    if transfer.is_sent
        && let Some((body, verdict)) = transfer.decoder.rest(&mut conn.read)
    {
        finish(lease, verdict);
        response(head, Body::from(body), answer);
        return;
    }
    let event = match transfer.is_sent {
        true => transfer.decoder.next(&mut conn.read),
        false => Ok(h1::Event::NeedMore),
    };
    let ahead = match event {
        Ok(h1::Event::End(Verdict::Switch)) => {
            let stream = Upgraded::new(RawStream::new(lease));
            response(head, Body::empty(), answer).extensions_mut().insert(OnUpgrade::new(stream));
            return;
        }
        Ok(h1::Event::End(verdict)) => {
            finish(lease, verdict);
            response(head, Body::empty(), answer);
            return;
        }
        Ok(h1::Event::Data(data)) => Some(Ok(Frame::data(data))),
        Ok(h1::Event::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
        Ok(_) => None,
        Err(error) => Some(Err(conn.refused(error))),
    };
    let lease = Some(lease);
    response(head, Body::wrap(ResponseBody { ahead, lease }), answer);
}

/// The response is complete.
#[inline]
fn finish(mut lease: Exclusive, verdict: Verdict) {
    let Connection { transfer, read, .. } = lease.conn();
    let verdict = verdict.with_request(RequestSide {
        close: transfer.close,
        finished: transfer.is_sent && !transfer.is_withheld,
    });
    let keep_alive = transfer.keep_alive;
    transfer.end();
    *read = BytesMut::new();
    lease.finish(match verdict {
        Verdict::Reuse => pool::Verdict::Reuse { keep_alive },
        Verdict::Close(_) => pool::Verdict::Close(pool::CloseReason::NotReusable),
        Verdict::Switch => pool::Verdict::Close(pool::CloseReason::Switched),
    });
}

/// Tells of a response's head.
#[inline]
pub(crate) fn tell(head: &ResponseHead, trace: &Trace) {
    trace.emit(&Event::ResponseHead {
        status: head.status,
        version: head.version,
    });
}

/// The response of a head and its body, in its place.
#[inline]
pub(crate) fn response(head: ResponseHead, body: Body, answer: &mut Answer) -> &mut Response<Body> {
    let response = answer.insert(Response::new(body));
    *response.status_mut() = head.status;
    *response.version_mut() = head.version;
    *response.headers_mut() = head.headers;
    response
}

/// What the decoder refuses, in the words of all engines.
pub(crate) fn refused(error: ProtocolError) -> Error {
    let kind = match error.kind() {
        ProtocolErrorKind::TooLarge => ErrorKind::TooLarge,
        ProtocolErrorKind::NoResponse | ProtocolErrorKind::UnexpectedEof => ErrorKind::Closed,
        _ => ErrorKind::Protocol,
    };
    Error::new(kind, error.to_string()).with_source(error)
}

/// What the socket says.
pub(crate) fn closed(error: io::Error) -> Error {
    Error::new(ErrorKind::Closed, format!("the connection broke: {error}")).with_source(error)
}

/// A response's body, holding its connection until its end.
struct ResponseBody {
    /// What was decoded together with the head.
    ahead: Option<Result<Frame<Bytes>>>,
    /// `None` once the connection has been given back.
    lease: Option<Exclusive>,
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = match (self.ahead.take(), &mut self.lease) {
            (Some(frame), _) => frame,
            (None, None) => return Poll::Ready(None),
            (None, Some(lease)) => match std::task::ready!(lease.conn().poll_event(cx)) {
                Ok(h1::Event::Data(data)) => Ok(Frame::data(data)),
                Ok(h1::Event::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
                Ok(h1::Event::End(verdict)) => {
                    if let Some(lease) = self.lease.take() {
                        finish(lease, verdict);
                    }
                    return Poll::Ready(None);
                }
                Ok(other) => Err(Error::new(ErrorKind::Engine, format!("{other:?} in a body"))),
                Err(error) => Err(error),
            },
        };
        if frame.is_err() {
            // There is nothing more, and the connection is gone.
            self.lease = None;
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = match &self.ahead {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        let coming = self.lease.as_ref().map_or(Some(0), |lease| lease.shown().transfer.decoder.remaining());
        coming.map_or_else(SizeHint::default, |coming| SizeHint::with_exact(coming + ahead))
    }
}

impl Drop for ResponseBody {
    /// A body that is given up costs its connection, unless the rest of it is already here. What is still to be sent never is: looking
    /// would run the caller's producer.
    fn drop(&mut self) {
        let Some(mut lease) = self.lease.take().filter(|lease| lease.shown().transfer.is_sent) else {
            return;
        };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..DISCARDED_PIECES {
            match lease.conn().poll_event(&mut cx) {
                Poll::Ready(Ok(h1::Event::End(verdict))) => return finish(lease, verdict),
                Poll::Ready(Ok(h1::Event::Data(_) | h1::Event::Trailers(_))) => {}
                _ => return,
            }
        }
    }
}

/// How many pieces of an unwanted body are read to save its connection; what is larger is cheaper to abandon.
const DISCARDED_PIECES: usize = 4;
