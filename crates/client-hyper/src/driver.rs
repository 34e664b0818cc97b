//! One exchange on one connection of HTTP/1.1: the order of its steps, and what becomes of the lease. The protocol itself is hyper's, driven along.
//!
//! ```text
//! head ─► hand over to hyper ─► (Expect: let the body go at 100, or after 1 s) ─► response ─┬─► no body: lease back at once
//!                                                                                          ├─► Response { body: holds the lease }
//!                                                                                          └─► 101, CONNECT: the stream is the user's
//! ```

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use client_core::{
    Answer, Body, BoxError, ConnectionInfo, Error, ErrorKind, Event, Exchange, Limits, OnUpgrade, Phase, Result, Sent,
    TimeoutKind, Trace, Upgraded,
};
use client_h2::multiplexed::{Manner, check_fields};
use client_transport::monitored::Traffic;
use client_transport::pool::{CloseReason, Verdict};
use client_transport::silence::{Silence, Timer};
use client_transport::wire::effective;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use crate::body::ResponseBody;
use crate::connection::{Exclusive, Http1};
use crate::error::classify;
use crate::head::{self, Framing};
use crate::raw::RawStream;
use crate::upload::{Outgoing, Upload};

/// How long to wait for `100 Continue` before the body is sent all the same (RFC 9110 §10.1.1 asks for a bound; curl's is 1 s).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// What hyper answers with.
type Outcome = Result<Response<Incoming>, Unsent>;

/// hyper's error, with the request if nobody has looked at it.
type Unsent = TrySendError<Request<Outgoing>>;

/// The connection is going to speak something else: what is left to wait for. Rare, and large.
type Switch = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;

/// Performs the exchange, and returns at the response's head.
///
/// What it holds while it waits is little more than the lease: what is known of the exchange lies with the connection, heads come and go in
/// functions that do not wait, and what is rare is on the heap.
#[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
pub(crate) fn exchange<'a>(
    mut lease: Exclusive,
    exchange: &'a mut Exchange,
    answer: &'a mut Answer,
    manner: &'a Manner,
) -> impl Future<Output = Result<()>> + Send + use<'a> {
    async move {
        lease.http1_mut().begin(exchange, manner);
        if lease.is_reused() {
            poll_fn(|cx| lease.http1_mut().poll_settled(cx)).await?;
        }
        let mut sent = match lease.http1_mut().hand_over(exchange, manner) {
            Ok(sent) => pin!(sent),
            Err(error) => {
                // Nothing was written: the connection is as good as before.
                lease.finish(Verdict::Reuse { keep_alive: None });
                return Err(error);
            }
        };
        let mut patience: Option<Timer> = lease.http1().is_held().then(|| Box::pin(tokio::time::sleep(CONTINUE_WAIT)));
        let mut heads = 0;
        let switch = match poll_fn(|cx| lease.http1_mut().poll_answer(sent.as_mut(), &mut patience, &mut heads, cx)).await? {
            // If the body is still held, it is never sent: this is the answer instead of the go-ahead.
            Ok(response) => respond(lease, response, exchange, answer)?,
            Err(unsent) => return Err(lease.http1().unsent(*unsent, exchange)),
        };
        if let Some(switch) = switch {
            *answer = Some(switch.await?);
        }
        Ok(())
    }
}

/// Makes the head as it is to be written.
fn prepare(head: &mut Request<()>, http1: &mut Http1, exchange: &Exchange, manner: &Manner) -> Result<Framing> {
    let Http1 { proxy, host, .. } = http1;
    head::write_head(head, exchange, proxy.as_ref(), host)?;
    let had_length = manner.customize_request.as_ref().is_some_and(|customize| {
        customize(head);
        head::unframe(head)
    });
    let version = exchange.version.unwrap_or(Version::HTTP_11);
    head::frame(head, exchange.request.body(), version, had_length)
}

/// The connection ended, and hyper has not looked at the request.
fn before_sending(cause: impl Into<BoxError>) -> Error {
    let message = "the connection was closed before the request was sent";
    Error::new(ErrorKind::Closed, message)
        .with_phase(Phase::Send)
        .with_sent(Sent::Nothing)
        .with_source(cause)
}

/// What is known of the exchange on a connection; between two, of none. It lies with the connection, as whatever leads an exchange would be moved
/// with it at every step.
pub(crate) struct Transfer {
    upload: Upload,
    /// Its timer goes from one exchange to the next: moving it on costs less than making another.
    silence: Silence,
    trace: Trace,
    limits: Limits,
    /// What had passed before.
    before: Traffic,
    /// What had passed when somebody last began to wait.
    seen: Traffic,
    has_head: bool,
    /// Whether the connection can carry another exchange after this one, as far as the heads say.
    is_reusable: bool,
    /// The server's promise in `Keep-Alive: timeout`.
    keep_alive: Option<Duration>,
}

impl Transfer {
    /// Before the first exchange.
    pub(crate) fn none() -> Self {
        Self {
            upload: Upload::nothing(),
            silence: Silence::new(None),
            trace: Trace::default(),
            limits: Limits::default(),
            before: Traffic::default(),
            seen: Traffic::default(),
            has_head: false,
            is_reusable: true,
            keep_alive: None,
        }
    }

    /// Keeps nothing of the exchange that is over but its timer.
    pub(crate) fn end(&mut self) {
        self.upload = Upload::nothing();
        self.silence.broken();
        self.trace = Trace::default();
    }

    fn phase(&self) -> Phase {
        match self.has_head {
            true => Phase::Body,
            false if self.upload.is_done() => Phase::Head,
            false => Phase::Send,
        }
    }
}

impl Http1 {
    /// Nothing is sent yet. What [`Transfer::end`] leaves of the exchange before is set anew here, field by field: all of it in one value would be
    /// moved.
    fn begin(&mut self, exchange: &Exchange, manner: &Manner) {
        let limit = effective(exchange.timeouts.get(TimeoutKind::Socket), manner.socket_timeout);
        let Self { transfer, stream, .. } = self;
        transfer.silence.renew(limit);
        transfer.trace = exchange.trace.clone();
        transfer.limits = exchange.limits;
        transfer.before = stream.traffic();
        transfer.has_head = false;
        transfer.is_reusable = !Persistence::of(exchange.request.headers()).closes;
        transfer.keep_alive = None;
    }

    fn is_held(&self) -> bool {
        self.transfer.upload.is_held()
    }

    /// hyper needs a moment after a response before its connection can take another request.
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { sender, drive, .. } = self;
        if sender.is_ready() {
            return Poll::Ready(Ok(()));
        }
        match drive.poll(cx, |cx| sender.poll_ready(cx)) {
            Poll::Ready(ready) => {
                self.transfer.silence.broken();
                Poll::Ready(ready.map_err(before_sending))
            }
            Poll::Pending => self.transfer.silence.poll(Phase::Send, cx).map(Err),
        }
    }

    /// Gives the request to hyper, which answers.
    fn hand_over(&mut self, exchange: &mut Exchange, manner: &Manner) -> Result<impl Future<Output = Outcome> + use<>> {
        let mut head = Request::new(());
        let framing = prepare(&mut head, self, exchange, manner)?;
        self.transfer.trace.enter(Phase::Send);
        self.mailbox.watch(&mut head, exchange.limits.max_informational());
        let body = mem::take(exchange.request.body_mut());
        let is_held = exchange.request.headers().contains_key(EXPECT) && !body.is_empty();
        let may_have_trailers = framing == Framing::Chunked { has_trailers: true };
        let (upload, outgoing) = Upload::new(body, is_held, may_have_trailers, &self.transfer.trace);
        self.transfer.upload = upload;
        if self.transfer.upload.is_done() {
            self.transfer.trace.enter(Phase::Head);
        }
        self.transfer.before = self.stream.traffic();
        Ok(self.sender.try_send_request(head.map(|()| outgoing)))
    }

    /// What hyper answers. Meanwhile tells of informational responses, and lets a held body go in time.
    fn poll_answer(
        &mut self,
        sent: Pin<&mut impl Future<Output = Outcome>>,
        patience: &mut Option<Timer>,
        heads: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Response<Incoming>, Box<Unsent>>>> {
        // First the answer: what came before it is in the mailbox then.
        let answer = self.drive.poll(cx, |cx| sent.poll(cx));
        while let Some((status, headers)) = self.mailbox.next() {
            *heads += 1;
            self.transfer.silence.broken();
            self.inform(status, &headers, *heads)?;
        }
        if answer.is_pending() && patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
            *patience = None;
            self.transfer.upload.open();
        }
        match answer {
            Poll::Ready(answer) => Poll::Ready(Ok(answer.map_err(Box::new))),
            Poll::Pending => self.poll_silence(cx).map(Err),
        }
    }

    /// hyper did not answer. What nobody has read of the request's body goes back to where it came from.
    fn unsent(&self, mut unsent: Unsent, exchange: &mut Exchange) -> Error {
        let was_looked_at = unsent.take_message().is_none();
        *exchange.request.body_mut() = self.transfer.upload.reclaim().unwrap_or_default();
        let error = unsent.into_error();
        if was_looked_at { self.classified(error) } else { before_sending(error) }
    }

    fn inform(&mut self, status: StatusCode, headers: &HeaderMap, heads: usize) -> Result<()> {
        let limit = self.transfer.limits.max_informational();
        if heads > limit {
            let message = format!("more than {limit} informational responses; raise Limits::informational if that is right");
            return Err(answered(Error::new(ErrorKind::TooLarge, message), self.transfer.phase()));
        }
        check_fields(headers, &self.transfer.limits).map_err(|error| answered(error, self.transfer.phase()))?;
        self.transfer.trace.emit(&Event::Informational { status, headers });
        if status == StatusCode::CONTINUE {
            self.transfer.upload.open();
        }
        Ok(())
    }

    /// The next frame of the response's body: first what is here already.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match Pin::new(&mut *incoming).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.drive.poll(cx, |cx| Pin::new(incoming).poll_frame(cx)),
            here => here,
        }
    }

    /// Ready when the peer has been silent for too long: nothing came or went since somebody began to wait.
    pub(crate) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let phase = self.transfer.phase();
        let Transfer {
            upload, silence, seen, ..
        } = &mut self.transfer;
        let traffic = self.stream.traffic();
        if mem::replace(seen, traffic) != traffic {
            silence.broken();
        }
        silence.poll_unless(|| upload.own_silence(), phase, cx)
    }

    /// hyper's error, by what is known of this exchange. The producer's own failure goes before what hyper made of it.
    pub(crate) fn classified(&self, error: hyper::Error) -> Error {
        let now = self.stream.traffic();
        let sent = match self.transfer.has_head {
            false if now == self.transfer.before => Sent::Nothing,
            false if now.read == self.transfer.before.read => Sent::Maybe,
            _ => Sent::Answered,
        };
        match self.transfer.upload.take_failure() {
            Some(failure) => failure.with_phase(Phase::Send).with_sent(sent),
            None => classify(error).with_phase(self.transfer.phase()).with_sent(sent),
        }
    }

    /// Looks at the response's head, which ends the sending.
    fn head(&mut self, head: &http::response::Parts, request: &Request<Body>) -> Result<()> {
        let transfer = &mut self.transfer;
        check_fields(&head.headers, &transfer.limits).map_err(|error| answered(error, Phase::Head))?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !request.headers().contains_key(UPGRADE) {
            // RFC 9110 §7.8: a server switches to nothing that was not asked for.
            return Err(answered(
                Error::new(ErrorKind::Protocol, "it switched protocols, which nobody asked for"),
                Phase::Head,
            ));
        }
        transfer.has_head = true;
        transfer.silence.broken();
        transfer.upload.is_answered();
        transfer.trace.enter(Phase::Body);
        transfer.trace.emit(&Event::ResponseHead {
            status: head.status,
            version: head.version,
        });
        let said = Persistence::of(&head.headers);
        transfer.keep_alive = said.keep_alive;
        transfer.is_reusable &= said.can_be_followed(head, request.method());
        Ok(())
    }

    /// What is known of the connection, with the exchange on it.
    fn info(&mut self, is_reused: bool) -> Arc<ConnectionInfo> {
        if self.info.reused != is_reused {
            Arc::make_mut(&mut self.info).reused = is_reused;
        }
        Arc::clone(&self.info)
    }

    /// Whether the trailers may be as they are.
    pub(crate) fn check_trailers(&self, trailers: &HeaderMap) -> Result<()> {
        check_fields(trailers, &self.transfer.limits).map_err(|error| answered(error, Phase::Body))
    }

    /// Something came.
    pub(crate) fn heard(&mut self) {
        self.transfer.silence.broken();
    }
}

/// The response, in its place, unless there is a switch to wait for; if it has no body, the lease ends here.
fn respond(
    mut lease: Exclusive,
    mut response: Response<Incoming>,
    exchange: &mut Exchange,
    answer: &mut Answer,
) -> Result<Option<Switch>> {
    let request = &exchange.request;
    let upgrade = hyper::upgrade::on(&mut response);
    let (mut head, mut incoming) = response.into_parts();
    lease.http1_mut().head(&head, request)?;
    let is_reused = lease.is_reused();
    exchange.connection = Some(lease.http1_mut().info(is_reused));
    // What hyper has attached is hyper's own.
    head.extensions = Extensions::new();
    let is_tunnel = *request.method() == Method::CONNECT && head.status.is_success();
    if head.status == StatusCode::SWITCHING_PROTOCOLS || is_tunnel {
        let response = Response::from_parts(head, Body::empty());
        return Ok(Some(Box::pin(switch(lease, response, upgrade))));
    }
    let body = match first_piece(&mut incoming) {
        None if incoming.is_end_stream() => {
            finish(lease);
            Body::empty()
        }
        Some(Ok(all)) if incoming.is_end_stream() => {
            finish(lease);
            Body::from(all)
        }
        piece => Body::wrap(ResponseBody::new(piece, incoming, lease)),
    };
    *answer = Some(Response::from_parts(head, body));
    Ok(None)
}

/// What has come with the head of a body of known length: often all of it.
fn first_piece(incoming: &mut Incoming) -> Option<hyper::Result<Bytes>> {
    incoming.size_hint().exact().filter(|length| *length > 0)?;
    match Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop())) {
        // Of such a body, hyper makes no other frames.
        Poll::Ready(piece) => piece.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())),
        Poll::Pending => None,
    }
}

/// The stream is the user's.
async fn switch(
    mut lease: Exclusive,
    mut response: Response<Body>,
    upgrade: hyper::upgrade::OnUpgrade,
) -> Result<Response<Body>> {
    let mut upgrade = pin!(upgrade);
    let upgraded = poll_fn(|cx| lease.http1_mut().drive.poll(cx, |cx| upgrade.as_mut().poll(cx))).await;
    let upgraded = upgraded.map_err(|error| {
        let message = "the server switched protocols, but hyper keeps the stream";
        answered(Error::new(ErrorKind::Engine, message).with_source(error), Phase::Head)
    })?;
    lease.http1_mut().transfer.end();
    let stream = Upgraded::new(RawStream::new(upgraded, lease));
    response.extensions_mut().insert(OnUpgrade::new(stream));
    Ok(response)
}

/// The response is complete.
pub(crate) fn finish(lease: Exclusive) {
    let transfer = &lease.http1().transfer;
    let verdict = match transfer.is_reusable && transfer.upload.is_done() {
        true => Verdict::Reuse {
            keep_alive: transfer.keep_alive,
        },
        false => Verdict::Close(CloseReason::NotReusable),
    };
    lease.finish(verdict);
}

fn answered(error: Error, phase: Phase) -> Error {
    error.with_phase(phase).with_sent(Sent::Answered)
}

/// What the fields of a head say about the end of its message, and of the connection. One look at each field is enough, and most say nothing.
#[derive(Debug, Default)]
struct Persistence {
    has_length: bool,
    is_coded: bool,
    closes: bool,
    persists: bool,
    /// `timeout` of the `Keep-Alive` field, in seconds.
    keep_alive: Option<Duration>,
}

impl Persistence {
    fn of(fields: &HeaderMap) -> Self {
        const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
        let mut said = Self::default();
        for (name, value) in fields {
            if *name == CONTENT_LENGTH {
                said.has_length = true;
            } else if *name == TRANSFER_ENCODING {
                said.is_coded = true;
            } else if *name == CONNECTION {
                said.closes |= members(value).any(|option| option.eq_ignore_ascii_case("close"));
                said.persists |= members(value).any(|option| option.eq_ignore_ascii_case("keep-alive"));
            } else if *name == KEEP_ALIVE && said.keep_alive.is_none() {
                said.keep_alive = timeout(value);
            }
        }
        said
    }

    /// Whether another exchange can follow on a connection of HTTP/1.1 (RFC 9112 §9.3): both sides want it to, and this one has a clear end.
    fn can_be_followed(&self, head: &http::response::Parts, method: &Method) -> bool {
        let is_bodiless = *method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let persists = head.version == Version::HTTP_11 || self.persists;
        // Both at once are the shape of an attack: a proxy on the way may have read it otherwise (RFC 9112 §6.3 rule 3).
        let is_ambiguous = self.has_length && self.is_coded;
        persists && !self.closes && !is_ambiguous && (self.has_length || self.is_coded || is_bodiless)
    }
}

fn timeout(keep_alive: &HeaderValue) -> Option<Duration> {
    let (_, seconds) = members(keep_alive)
        .filter_map(|option| option.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}

/// The members of a comma-separated list.
fn members(list: &HeaderValue) -> impl Iterator<Item = &str> {
    list.to_str().into_iter().flat_map(|list| list.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, status: u16, method: &Method, fields: &[(&str, &str)], expected: bool) {
        let mut response = Response::builder().version(version).status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let head = response.body(()).unwrap().into_parts().0;
        assert_eq!(Persistence::of(&head.headers).can_be_followed(&head, method), expected, "{head:?}");
    }

    #[test]
    fn what_can_be_followed() {
        let (http11, http10, get) = (Version::HTTP_11, Version::HTTP_10, &Method::GET);
        let length = ("content-length", "3");
        let chunked = ("transfer-encoding", "chunked");
        check(http11, 200, get, &[length], true);
        check(http11, 200, get, &[chunked], true);
        check(http11, 200, get, &[chunked, length], false);
        check(http11, 200, get, &[], false);
        check(http11, 204, get, &[], true);
        check(http11, 304, get, &[], true);
        check(http11, 200, &Method::HEAD, &[], true);
        check(http11, 200, get, &[length, ("connection", "Close")], false);
        check(http11, 200, get, &[length, ("connection", "keep-alive"), ("connection", "x, close")], false);
        check(http10, 200, get, &[length], false);
        check(http10, 200, get, &[length, ("connection", "Keep-Alive")], true);
    }

    #[test]
    fn keep_alive_is_read() {
        let of = |value: &str| {
            let mut fields = HeaderMap::new();
            fields.insert("keep-alive", value.parse().unwrap());
            Persistence::of(&fields).keep_alive
        };
        assert_eq!(of("timeout=5, max=100"), Some(Duration::from_secs(5)));
        assert_eq!(of("max=100, Timeout = 7"), Some(Duration::from_secs(7)));
        assert_eq!(of("timeout=soon"), None);
    }
}
