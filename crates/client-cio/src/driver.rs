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

use bytes::Bytes;
use client_core::{Body, Error, ErrorKind, Event, Exchange, Limits, OnUpgrade, Phase, RequestTarget, Result, Sent, Trace};
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

/// A head buffer that grew beyond this is not kept with an idle connection.
const KEPT_HEAD: usize = 2 << 10;

/// Performs the exchange, and returns at the response's head.
pub(crate) async fn exchange(mut lease: Exclusive, exchange: &mut Exchange, default: SocketTimeout) -> Result<Response<Body>> {
    let framing = framing(exchange.request.body());
    let conn = lease.conn();
    let mut head = mem::take(&mut conn.head);
    if let Err(error) = encode(&mut head, exchange, framing, conn.proxy.as_ref()) {
        conn.head = head;
        // Nothing was written: the connection is as good as before.
        lease.finish(pool::Verdict::Reuse { keep_alive: None });
        return Err(error);
    }
    let limit = effective(exchange.timeouts.get(TimeoutKind::Socket), default);
    let mut transfer = Transfer {
        lease,
        upload: Upload::head(head),
        is_sent: false,
        is_withheld: false,
        broken: None,
        decoder: ResponseDecoder::new(exchange.request.method(), head_limits(&exchange.limits)),
        silence: Silence::new(limit),
        trace: exchange.trace.clone(),
        phase: Phase::Send,
        appetite: READ_SIZE,
        asks_upgrade: exchange.request.headers().contains_key(UPGRADE),
        close: ConnectionOptions::of(exchange.request.headers()).close,
        keep_alive: None,
    };
    transfer.enter(Phase::Send);
    let has_body = framing != RequestFraming::None;
    if has_body
        && exchange.request.headers().contains_key(EXPECT)
        // On the heap: it has a timer, and few wait.
        && let Some(head) = Box::pin(transfer.await_continue()).await?
    {
        // A final answer instead: the body that was announced is never sent, and the connection cannot be used again.
        transfer.is_withheld = true;
        return Ok(transfer.respond(head));
    }
    if has_body {
        transfer.is_sent = false;
        transfer.enter(Phase::Send);
        transfer.upload.body(mem::take(exchange.request.body_mut()), framing);
    }
    let head = transfer.head().await?;
    Ok(transfer.respond(head))
}

/// The body's length decides (RFC 9112 §6); trailers need chunks to follow.
fn framing(body: &Body) -> RequestFraming {
    match body.len() {
        _ if body.has_trailers() => RequestFraming::Chunked,
        Some(0) => RequestFraming::None,
        Some(length) => RequestFraming::Length(length),
        None => RequestFraming::Chunked,
    }
}

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

pub(crate) fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        bytes: limits.max_head_bytes(),
        fields: limits.max_head_fields(),
        informational: limits.max_informational(),
        ..HeadLimits::default()
    }
}

/// An exchange in progress. Dropping it closes the connection.
struct Transfer {
    lease: Exclusive,
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
    fn conn(&mut self) -> &mut Connection {
        self.lease.conn()
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.trace.enter(phase);
    }

    /// The go-ahead for the body (`None`), or a final answer without it.
    async fn await_continue(&mut self) -> Result<Option<ResponseHead>> {
        let mut patience = pin!(tokio::time::sleep(CONTINUE_WAIT));
        loop {
            let event = poll_fn(|cx| match self.poll_event(cx) {
                Poll::Pending if self.is_sent => patience.as_mut().poll(cx).map(|()| Ok(None)),
                other => other.map_ok(Some),
            });
            match event.await? {
                None => return Ok(None),
                Some(h1::Event::Informational(head)) => {
                    self.tell(&head);
                    if head.status == StatusCode::CONTINUE {
                        return Ok(None);
                    }
                }
                Some(event) => return self.final_head(event).map(Some),
            }
        }
    }

    /// The final response's head, while the request is being sent.
    async fn head(&mut self) -> Result<ResponseHead> {
        loop {
            match poll_fn(|cx| self.poll_event(cx)).await? {
                h1::Event::Informational(head) => self.tell(&head),
                event => return self.final_head(event),
            }
        }
    }

    fn tell(&self, head: &ResponseHead) {
        self.trace.emit(&Event::Informational {
            status: head.status,
            headers: &head.headers,
        });
    }

    fn final_head(&self, event: h1::Event) -> Result<ResponseHead> {
        match event {
            // RFC 9110 §15.2.2: it answers an Upgrade; unasked, what follows is nobody's protocol.
            h1::Event::Head(head) if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.asks_upgrade => {
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
            let Self { lease, decoder, .. } = self;
            let conn = lease.conn();
            match decoder.next(&mut conn.read) {
                Ok(h1::Event::NeedMore) => {}
                event => {
                    self.silence.broken();
                    return Poll::Ready(event.map_err(|error| self.refused(error)));
                }
            }
            match conn.poll_read(self.appetite, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.end_of_stream()),
                Poll::Ready(Ok(n)) => {
                    self.silence.broken();
                    // A peer that fills the buffer has more: fewer and larger reads from now on.
                    if n >= self.appetite / 2 {
                        self.appetite = (self.appetite * 2).min(MAX_READ_SIZE);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.reset(error))),
                Poll::Pending if is_peers_turn => return self.silence.poll(self.phase, cx).map(Err),
                Poll::Pending => {
                    self.silence.broken();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Sends what can be sent now. Whether we wait for the peer, and not for our own producer.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        if self.is_sent || self.broken.is_some() {
            return Ok(true);
        }
        let mut moved = false;
        let Self { lease, upload, .. } = self;
        match upload.poll(&mut lease.conn().stream, &mut moved, cx) {
            Ok(Progress::Done) => {
                self.is_sent = true;
                if self.phase == Phase::Send {
                    self.enter(Phase::Head);
                }
            }
            Ok(Progress::Producer) => return Ok(false),
            Ok(Progress::Socket) => {}
            Err(error) if error.kind() == ErrorKind::Closed => self.broken = Some(error),
            Err(error) => return Err(error),
        }
        if moved {
            self.silence.broken();
        }
        Ok(true)
    }

    /// The peer closed: the end of a body that has no other, or an error.
    fn end_of_stream(&mut self) -> Result<h1::Event> {
        let Self { lease, decoder, .. } = self;
        let event = decoder.eof(&mut lease.conn().read);
        event.map_err(|error| self.refused(error))
    }

    fn refused(&mut self, error: ProtocolError) -> Error {
        match (error.kind(), self.broken.take()) {
            // That sending failed is the reason why there is no response.
            (ProtocolErrorKind::NoResponse, Some(broken)) => broken,
            _ => self.failed(refused(error)),
        }
    }

    fn reset(&mut self, error: io::Error) -> Error {
        match self.broken.take() {
            Some(broken) if !self.decoder.started() => broken,
            _ => self.failed(closed(error)),
        }
    }

    fn failed(&self, error: Error) -> Error {
        let sent = if self.decoder.started() { Sent::Answered } else { self.upload.sent() };
        error.with_phase(self.phase).with_sent(sent)
    }

    /// The response; what there is of its body already decides who holds the lease.
    fn respond(mut self, head: ResponseHead) -> Response<Body> {
        self.enter(Phase::Body);
        self.keep_alive = KeepAliveHint::of(&head.headers).timeout;
        let mut response = response(head, &self.trace);
        // A body that is here as a whole needs the connection no longer, whether it will be read or not.
        if self.is_sent
            && let Some((body, verdict)) = self.decoder.rest(&mut self.lease.conn().read)
        {
            self.finish(verdict);
            *response.body_mut() = Body::from(body);
            return response;
        }
        let event = match self.is_sent {
            true => self.decoder.next(&mut self.lease.conn().read),
            false => Ok(h1::Event::NeedMore),
        };
        let ahead = match event {
            Ok(h1::Event::End(Verdict::Switch)) => {
                let stream = Upgraded::new(RawStream::new(self.lease));
                response.extensions_mut().insert(OnUpgrade::new(stream));
                return response;
            }
            Ok(h1::Event::End(verdict)) => {
                self.finish(verdict);
                return response;
            }
            Ok(h1::Event::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(h1::Event::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(_) => None,
            Err(error) => Some(Err(self.refused(error))),
        };
        let transfer = Some(self);
        *response.body_mut() = Body::wrap(ResponseBody { ahead, transfer });
        response
    }

    /// The response is complete.
    fn finish(mut self, verdict: Verdict) {
        let verdict = verdict.with_request(RequestSide {
            close: self.close,
            finished: self.is_sent && !self.is_withheld,
        });
        let head = mem::replace(&mut self.upload, Upload::head(Vec::new())).into_buffer();
        let keep_alive = self.keep_alive;
        let conn = self.conn();
        if head.capacity() <= KEPT_HEAD {
            conn.head = head;
        }
        conn.read = bytes::BytesMut::new();
        self.lease.finish(match verdict {
            Verdict::Reuse => pool::Verdict::Reuse { keep_alive },
            Verdict::Close(_) => pool::Verdict::Close(pool::CloseReason::NotReusable),
            Verdict::Switch => pool::Verdict::Close(pool::CloseReason::Switched),
        });
    }
}

/// A response without its body.
pub(crate) fn response(head: ResponseHead, trace: &Trace) -> Response<Body> {
    trace.emit(&Event::ResponseHead {
        status: head.status,
        version: head.version,
    });
    let mut response = Response::new(Body::empty());
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
    transfer: Option<Transfer>,
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = match (self.ahead.take(), &mut self.transfer) {
            (Some(frame), _) => frame,
            (None, None) => return Poll::Ready(None),
            (None, Some(transfer)) => match std::task::ready!(transfer.poll_event(cx)) {
                Ok(h1::Event::Data(data)) => Ok(Frame::data(data)),
                Ok(h1::Event::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
                Ok(h1::Event::End(verdict)) => {
                    if let Some(transfer) = self.transfer.take() {
                        transfer.finish(verdict);
                    }
                    return Poll::Ready(None);
                }
                Ok(other) => Err(Error::new(ErrorKind::Engine, format!("{other:?} in a body"))),
                Err(error) => Err(error),
            },
        };
        if frame.is_err() {
            // There is nothing more, and the connection is gone.
            self.transfer = None;
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.transfer.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = match &self.ahead {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        let coming = self.transfer.as_ref().map_or(Some(0), |transfer| transfer.decoder.remaining());
        coming.map_or_else(SizeHint::default, |coming| SizeHint::with_exact(coming + ahead))
    }
}

impl Drop for ResponseBody {
    /// A body that is given up costs its connection, unless the rest of it is already here. What is still to be sent never is: looking
    /// would run the caller's producer.
    fn drop(&mut self) {
        let Some(mut transfer) = self.transfer.take().filter(|transfer| transfer.is_sent) else {
            return;
        };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..DISCARDED_PIECES {
            match transfer.poll_event(&mut cx) {
                Poll::Ready(Ok(h1::Event::End(verdict))) => return transfer.finish(verdict),
                Poll::Ready(Ok(h1::Event::Data(_) | h1::Event::Trailers(_))) => {}
                _ => return,
            }
        }
    }
}

/// How many pieces of an unwanted body are read to save its connection; what is larger is cheaper to abandon.
const DISCARDED_PIECES: usize = 4;
