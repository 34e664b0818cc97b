//! One exchange on one stream, on the caller's task: it sends its own body and reads its own response. The connection's task moves the frames.
//!
//! ```text
//! head ─► (Expect: hold the body until 100, or 1 s) ─► send and listen at once ─► head ─┬─► no body: lease back at once
//!                                                                                      ├─► Response { body: holds the lease }
//!                                                                                      └─► CONNECT: the stream is the user's
//! ```

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use client_core::{
    Answer, Body, Error, ErrorKind, Event, Exchange, Limits, OnUpgrade, Phase, Result, Sent, TimeoutKind, Trace, Upgraded,
};
use client_transport::pool::{CloseReason, Verdict};
use client_transport::silence::{Silence, SocketTimeout, Timer};
use client_transport::wire::{Lease, Protocol, effective};
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::header::{CONNECTION, EXPECT};
use http::{Extensions, HeaderMap, Method, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use super::Manner;
use super::connection::{Call, Connection};
use super::head::request_head;
use super::limits::check_fields;
use super::tunnel::Tunnel;
use super::upload::{Progress, Upload};

/// How long to wait for `100 Continue` before the body is sent all the same (RFC 9110 §10.1.1 asks for a bound; curl's is 1 s).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// Performs the exchange on the connection that was leased, and returns at the response's head.
///
/// What it holds while it waits is one `Transfer` and h2's answer; heads come and go in functions that do not wait. An async fn keeps room for all
/// that it ever has at hand, and is moved whole.
///
/// # Errors
/// As [`Protocol::exchange`].
#[expect(clippy::manual_async_fn, reason = "an async fn would hold its arguments twice")]
pub fn exchange<P: Protocol>(
    lease: Lease<P>,
    connection: Connection,
    exchange: &mut Exchange,
    answer: &mut Answer,
    manner: &Manner,
) -> impl Future<Output = Result<()>> + Send {
    async move {
        let (mut transfer, mut response) = Transfer::begin(lease, connection, exchange, manner)?;
        let mut patience: Option<Timer> = transfer.is_held().then(|| Box::pin(tokio::time::sleep(CONTINUE_WAIT)));
        let mut heads = 0;
        let answered = poll_fn(|cx| transfer.poll_answer(&mut response, &mut patience, &mut heads, cx)).await;
        match answered {
            // If the body is still held, it is never sent: this is the answer instead of the go-ahead.
            Ok(response) => transfer.respond(response, exchange, answer),
            Err(error) => {
                *exchange.request.body_mut() = transfer.reclaim();
                Err(transfer.failed(error))
            }
        }
    }
}

/// The stream could not even begin.
fn unsent(connection: &Connection, error: h2::Error) -> Error {
    let is_go_away = error.is_go_away();
    let failed = connection.failed(error).with_phase(Phase::Send).with_sent(Sent::Nothing);
    if !is_go_away || failed.kind() == ErrorKind::Closed {
        return failed;
    }
    // What the server got wrong was wrong before this request, and is not its error.
    Error::new(ErrorKind::Closed, "the connection was closed before the request was sent")
        .with_phase(Phase::Send)
        .with_sent(Sent::Nothing)
        .with_source(failed)
}

/// An exchange in progress. Dropping it resets the stream.
struct Transfer<P: Protocol> {
    /// `None` of a request that was complete with its head. On the heap: it is large, and most requests have none.
    upload: Option<Box<Upload>>,
    silence: Silence,
    limit: SocketTimeout,
    trace: Trace,
    limits: Limits,
    phase: Phase,
    /// The request said `Connection: close`: which HTTP/2 cannot say, but do.
    closes: bool,
    connection: Connection,
    call: Call,
    /// The last to go: when the stream has been given up.
    lease: Lease<P>,
}

impl<P: Protocol> Transfer<P> {
    /// Sends the head. The body is taken out of the exchange once that has succeeded.
    fn begin(
        mut lease: Lease<P>,
        connection: Connection,
        exchange: &mut Exchange,
        manner: &Manner,
    ) -> Result<(Self, ResponseFuture)> {
        lease.spare_connection();
        let head = request_head(exchange, manner.customize_request.as_ref())?;
        exchange.trace.enter(Phase::Send);

        let is_connect = *head.method() == Method::CONNECT;
        let has_body = !exchange.request.body().is_end_stream();
        let sent = connection.sender().send_request(head, !has_body && !is_connect);
        let (response, stream) = sent.map_err(|error| unsent(&connection, error))?;
        let upload = (has_body || is_connect).then(|| {
            let mut upload = Box::new(Upload::nothing(stream));
            if has_body {
                upload.hold(mem::take(exchange.request.body_mut()));
                if !exchange.request.headers().contains_key(EXPECT) {
                    upload.begin();
                }
            }
            upload
        });
        let limit = effective(exchange.timeouts.get(TimeoutKind::Socket), manner.socket_timeout);
        let transfer = Self {
            call: connection.count_call(),
            connection,
            upload,
            silence: Silence::new(limit),
            limit,
            trace: exchange.trace.clone(),
            limits: exchange.limits,
            phase: Phase::Send,
            closes: says_close(exchange.request.headers()),
            lease,
        };
        Ok((transfer, response))
    }

    /// Whether the body waits for its beginning.
    fn is_held(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.is_held())
    }

    /// A held body may be sent.
    fn let_go(&mut self) {
        if let Some(upload) = &mut self.upload {
            upload.begin();
        }
    }

    /// The body, if it was never begun; it will not be sent.
    fn reclaim(&mut self) -> Body {
        self.upload.as_mut().map_or_else(Body::empty, |upload| upload.reclaim())
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.trace.enter(phase);
    }

    /// The response. Meanwhile sends, tells of informational responses, and lets a held body go in time.
    fn poll_answer(
        &mut self,
        response: &mut ResponseFuture,
        patience: &mut Option<Timer>,
        heads: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>>> {
        // The response may be asked for only when there is nothing before it: it would be lost.
        while let Poll::Ready(before) = response.poll_informational(cx) {
            let Some(head) = before else {
                let answer = ready!(Pin::new(response).poll(cx));
                return Poll::Ready(answer.map_err(|error| self.broken(error)));
            };
            *heads += 1;
            self.silence.broken();
            let head = head.map_err(|error| self.broken(error))?;
            self.inform(&head, *heads)?;
            if head.status() == StatusCode::CONTINUE {
                *patience = None;
                self.let_go();
            }
        }
        if patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
            *patience = None;
            self.let_go();
        }
        match self.send(cx)? {
            true => self.silence.poll(self.phase, cx).map(Err),
            false => Poll::Pending,
        }
    }

    fn inform(&mut self, head: &Response<()>, heads: usize) -> Result<()> {
        let limit = self.limits.max_informational();
        if heads > limit {
            let message = format!("more than {limit} informational responses; raise Limits::informational if that is right");
            return Err(answered(Error::new(ErrorKind::TooLarge, message), self.phase));
        }
        check_fields(head.headers(), &self.limits).map_err(|error| answered(error, self.phase))?;
        self.trace.emit(&Event::Informational {
            status: head.status(),
            headers: head.headers(),
        });
        Ok(())
    }

    /// Sends what can be sent now. Whether we wait for the peer, and not for our own producer.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let mut moved = false;
        let progress = match &mut self.upload {
            Some(upload) => upload.poll(&mut moved, cx)?,
            None => Progress::Over,
        };
        if moved {
            self.silence.broken();
        }
        if matches!(progress, Progress::Over) && self.phase == Phase::Send {
            self.enter(Phase::Head);
        }
        let is_peers_turn = !matches!(progress, Progress::Producer);
        if !is_peers_turn {
            self.silence.broken();
        }
        Ok(is_peers_turn)
    }

    /// h2's error, by what is known of this exchange.
    fn broken(&self, error: h2::Error) -> Error {
        let failed = self.connection.failed(error).with_phase(self.phase);
        match self.phase {
            Phase::Body => failed.with_sent(Sent::Answered),
            _ => failed,
        }
    }

    /// The exchange has failed. A connection that has been silent altogether is not used again: nobody should wait for it once more.
    fn failed(self, error: Error) -> Error {
        let is_silent = self.limit.is_some_and(|limit| self.connection.stream().last_read().elapsed() >= limit);
        if error.is_timeout() && is_silent {
            self.close();
        }
        error
    }

    fn close(self) {
        let Self { lease, .. } = self;
        lease.finish(Verdict::Close(CloseReason::Failed));
    }

    /// The response, in its place; if it has no body, the lease ends here.
    fn respond(mut self, response: Response<RecvStream>, exchange: &mut Exchange, answer: &mut Answer) -> Result<()> {
        let request = &exchange.request;
        let (mut head, incoming) = response.into_parts();
        check_fields(&head.headers, &self.limits).map_err(|error| answered(error, Phase::Head))?;
        self.silence.broken();
        self.enter(Phase::Body);
        self.trace.emit(&Event::ResponseHead {
            status: head.status,
            version: head.version,
        });
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // RFC 9113 §8.6.
            return Err(answered(Error::new(ErrorKind::Protocol, "a 101 response; HTTP/2 has none"), Phase::Head));
        }
        exchange.connection = Some(self.connection.info_of_exchange(self.lease.is_reused()));
        head.extensions = Extensions::new();
        if *request.method() == Method::CONNECT
            && head.status.is_success()
            && let Some(upload) = self.upload
        {
            let tunnel = Tunnel::new(upload.into_stream(), incoming, self.call, self.lease);
            head.extensions.insert(OnUpgrade::new(Upgraded::new(tunnel)));
            *answer = Some(Response::from_parts(head, Body::empty()));
            return Ok(());
        }
        let body = match incoming.is_end_stream() {
            true => {
                self.finish();
                Body::empty()
            }
            false => {
                let is_head = *request.method() == Method::HEAD;
                let length = head.headers.get(http::header::CONTENT_LENGTH).filter(|_| !is_head);
                let remaining = length.and_then(|length| length.to_str().ok()?.parse().ok());
                let transfer = self;
                Body::wrap(ResponseBody {
                    remaining,
                    stream: Some(Stream { incoming, transfer }),
                })
            }
        };
        *answer = Some(Response::from_parts(head, body));
        Ok(())
    }

    /// The response is complete. If the request is not, its stream is reset: nobody reads it any more (RFC 9113 §8.1).
    fn finish(self) {
        let Self { lease, closes, .. } = self;
        lease.finish(match closes {
            true => Verdict::Close(CloseReason::NotReusable),
            false => Verdict::Reuse { keep_alive: None },
        });
    }
}

fn answered(error: Error, phase: Phase) -> Error {
    error.with_phase(phase).with_sent(Sent::Answered)
}

fn says_close(fields: &HeaderMap) -> bool {
    // Most requests have no such field.
    if !fields.contains_key(CONNECTION) {
        return false;
    }
    let values = fields.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// A response's body, holding its stream until its end.
struct ResponseBody<P: Protocol> {
    /// What is to come, where the head has said so. h2 holds the server to it.
    remaining: Option<u64>,
    /// `None` once the stream has been given back.
    stream: Option<Stream<P>>,
}

struct Stream<P: Protocol> {
    incoming: RecvStream,
    /// The last to go.
    transfer: Transfer<P>,
}

/// A frame of a body, and whether it is the last.
type Received = Result<Option<(Frame<Bytes>, bool)>>;

impl<P: Protocol> Stream<P> {
    fn poll(&mut self, remaining: &mut Option<u64>, cx: &mut Context<'_>) -> Poll<Received> {
        let is_peers_turn = self.transfer.send(cx)?;
        let received = self.poll_incoming(remaining, cx);
        match received {
            Poll::Pending if is_peers_turn => self.transfer.silence.poll(Phase::Body, cx).map(Err),
            Poll::Pending => Poll::Pending,
            received => {
                self.transfer.silence.broken();
                received
            }
        }
    }

    fn poll_incoming(&mut self, remaining: &mut Option<u64>, cx: &mut Context<'_>) -> Poll<Received> {
        let Self { incoming, transfer } = self;
        while let Some(data) = ready!(incoming.poll_data(cx)) {
            let data = data.map_err(|error| transfer.broken(error))?;
            *remaining = remaining.map(|remaining| remaining.saturating_sub(data.len() as u64));
            // While more is announced, h2 need not be asked, which takes its lock.
            let is_last = remaining.is_none_or(|remaining| remaining == 0) && incoming.is_end_stream();
            // It is the reader's now: there is room for as much again, on the stream and on the connection. A stream that is over needs none, and
            // gives back the connection's when it is dropped.
            if !is_last {
                let released = incoming.flow_control().release_capacity(data.len());
                released.map_err(|error| transfer.broken(error))?;
            }
            // A frame without data is nothing to a reader.
            if !data.is_empty() {
                return Poll::Ready(Ok(Some((Frame::data(data), is_last))));
            }
        }
        let trailers = ready!(incoming.poll_trailers(cx)).map_err(|error| transfer.broken(error))?;
        let Some(trailers) = trailers else {
            return Poll::Ready(Ok(None));
        };
        check_fields(&trailers, &transfer.limits).map_err(|error| answered(error, Phase::Body))?;
        Poll::Ready(Ok(Some((Frame::trailers(trailers), true))))
    }
}

impl<P: Protocol> http_body::Body for ResponseBody<P> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Self { remaining, stream } = &mut *self;
        let Some(open) = stream else {
            return Poll::Ready(None);
        };
        let received = ready!(open.poll(remaining, cx));
        let is_over = !matches!(received, Ok(Some((_, false))));
        // It stays where it is until it is over: it is large.
        if is_over && let Some(Stream { incoming, transfer }) = stream.take() {
            drop(incoming);
            match received {
                Ok(_) => transfer.finish(),
                Err(error) => return Poll::Ready(Some(Err(transfer.failed(error)))),
            }
        }
        Poll::Ready(received.map(|frame| frame.map(|(frame, _)| frame)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.stream, self.remaining) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(remaining)) => SizeHint::with_exact(remaining),
            (Some(_), None) => SizeHint::default(),
        }
    }
}
