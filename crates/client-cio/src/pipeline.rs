//! Pipelining (RFC 9112 §9.3.2): several safe requests on one connection, sent without waiting for each other's answers.
//!
//! Nobody drives the connection but its callers. Each writes its request behind the others'; the one whose answer is next, the *head of
//! line*, reads, and wakes the one behind it when it is done. A call that is given up before its answer is complete ends the line
//! there: those before it are still answered, and then the connection is closed, as what comes next on it would be somebody else's.
//! The requests behind it are safe, so they are repeated elsewhere.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use client_core::{Answer, Body, ConnectionInfo, Error, ErrorKind, Event, Exchange, Phase, Result, Sent, TimeoutKind, Trace};
use client_transport::pool;
use client_transport::wire::{Lease, effective};
use http::header::{EXPECT, UPGRADE};
use http::{Method, Request, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

use crate::connection::READ_SIZE;
use crate::connection::{Connection, H1};
use crate::driver::{closed, encode, head_limits, refused, response, tell};
use crate::h1::{self, CloseReason, RequestFraming, ResponseDecoder, ResponseHead, Verdict};
use client_transport::silence::{Silence, SocketTimeout};

/// Whether a request may be sent before the answers to those before it: safe (RFC 9110 §9.2.1), without a body, and with no wish that
/// concerns the connection.
pub(crate) fn is_eligible(request: &Request<Body>) -> bool {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    let headers = request.headers();
    is_safe
        && request.body().is_empty()
        && !request.body().has_trailers()
        && !headers.contains_key(EXPECT)
        && !headers.contains_key(UPGRADE)
        && !h1::ConnectionOptions::of(headers).close
}

/// A connection whose callers stand in line. Clones share it.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<Shared>);

struct Shared {
    info: Arc<ConnectionInfo>,
    line: Mutex<Line>,
}

struct Line {
    connection: Connection,
    /// Requests that are not written yet.
    out: BytesMut,
    /// Who of them has put off writing to its next poll, so that those that join meanwhile ride along.
    writer: Option<u64>,
    /// The number of the head of line; the others follow in order.
    head: u64,
    /// The head of line was woken, and has not come yet. Before it waits for more, it writes for all.
    is_head_coming: bool,
    /// The callers in line, to be woken when it is their turn. `None`: not waiting at the moment.
    waiting: VecDeque<Option<Waker>>,
    /// From this number on, nobody can be served any more.
    end: u64,
    /// When a byte came or went last, whoever's it was: it breaks the silence for all in line.
    moved: Instant,
}

impl Pipe {
    pub(crate) fn new(connection: Connection) -> Self {
        Self(Arc::new(Shared {
            info: Arc::clone(&connection.info),
            line: Mutex::new(Line {
                connection,
                out: BytesMut::new(),
                writer: None,
                head: 0,
                is_head_coming: false,
                waiting: VecDeque::new(),
                end: u64::MAX,
                moved: Instant::now(),
            }),
        }))
    }

    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.0.info
    }

    /// Whether another request may be sent on it.
    pub(crate) fn is_alive(&self, must_be_sure: bool) -> bool {
        let mut line = self.lock();
        // With answers outstanding, bytes that wait to be read are what they should be.
        !line.is_ended() && (!line.waiting.is_empty() || !line.connection.stream.is_stale(must_be_sure))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Whether nobody else may join.
    fn is_ended(&self) -> bool {
        self.end < u64::MAX
    }

    /// From `number` on, nobody can be served any more: whoever waits finds out.
    fn end_at(&mut self, number: u64) -> Vec<Waker> {
        self.end = self.end.min(number);
        let served = self.end.saturating_sub(self.head) as usize;
        self.waiting.iter_mut().skip(served).filter_map(Option::take).collect()
    }

    /// Whether caller `number`, which is not the head of line, leaves writing to that one, to its own next poll, or to whoever does so already. It has to wait
    /// in any case, and its executor may have more requests at hand: one write for all of them is most of what pipelining saves.
    fn puts_off_writing(&mut self, number: u64, cx: &Context<'_>) -> bool {
        if self.out.is_empty() || self.out.len() >= MAX_PUT_OFF {
            return false;
        }
        if self.is_head_coming {
            self.writer = None;
            return true;
        }
        match self.writer {
            Some(writer) => writer != number,
            None => {
                self.writer = Some(number);
                cx.waker().wake_by_ref();
                true
            }
        }
    }

    /// Writes as much as can be written.
    fn flush(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        self.writer = None;
        while !self.out.is_empty() {
            match Pin::new(&mut self.connection.stream).poll_write(cx, &self.out) {
                Poll::Pending => return Ok(()),
                Poll::Ready(written) => match written? {
                    0 => return Err(std::io::ErrorKind::WriteZero.into()),
                    n => {
                        self.out.advance(n);
                        self.moved = Instant::now();
                    }
                },
            }
        }
        match Pin::new(&mut self.connection.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// How many bytes of requests may wait for each other; what is more is a write of its own.
const MAX_PUT_OFF: usize = 16 << 10;

/// Performs an exchange in line, and returns at the response's head.
pub(crate) async fn exchange(
    lease: Lease<H1>,
    pipe: Pipe,
    exchange: &mut Exchange,
    answer: &mut Answer,
    default: SocketTimeout,
) -> Result<()> {
    let mut head = Vec::new();
    let encoded = encode(&mut head, exchange, RequestFraming::None, pipe.lock().connection.proxy.as_ref());
    if let Err(error) = encoded {
        lease.finish(pool::Verdict::Reuse { keep_alive: None });
        return Err(error);
    }
    let limit = effective(exchange.timeouts.get(TimeoutKind::Socket), default);
    exchange.trace.enter(Phase::Send);
    let mut info = Arc::clone(&pipe.0.info);
    if lease.is_reused() {
        Arc::make_mut(&mut info).reused = true;
    }
    exchange.connection = Some(info);
    let number = {
        let mut line = pipe.lock();
        if !line.is_ended() {
            line.out.extend_from_slice(&head);
        }
        line.waiting.push_back(None);
        line.head + line.waiting.len() as u64 - 1
    };
    let mut turn = Turn {
        lease: Some(lease),
        pipe,
        number,
        decoder: ResponseDecoder::new(exchange.request.method(), head_limits(&exchange.limits)),
        silence: Silence::new(limit),
        trace: exchange.trace.clone(),
        phase: Phase::Head,
    };
    turn.trace.enter(Phase::Head);
    loop {
        match poll_fn(|cx| turn.poll_event(cx)).await? {
            h1::Event::Informational(head) => turn.trace.emit(&Event::Informational {
                status: head.status,
                headers: &head.headers,
            }),
            h1::Event::Head(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                let error = Error::new(ErrorKind::Protocol, "101 Switching Protocols, though no upgrade was asked for");
                return Err(turn.failed(error));
            }
            h1::Event::Head(head) => {
                turn.respond(head, answer);
                return Ok(());
            }
            other => return Err(Error::new(ErrorKind::Engine, format!("{other:?} before a response head"))),
        }
    }
}

/// A caller's place in line. Dropping it before the answer is complete costs the connection.
struct Turn {
    /// `None` once the answer is complete.
    lease: Option<Lease<H1>>,
    pipe: Pipe,
    number: u64,
    decoder: ResponseDecoder,
    silence: Silence,
    trace: Trace,
    phase: Phase,
}

impl Turn {
    /// Writes for everybody; reads if it is our turn.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<h1::Event>> {
        let pipe = self.pipe.clone();
        let mut line = pipe.lock();
        if self.number >= line.end {
            return Poll::Ready(Err(self.failed(Error::new(ErrorKind::Closed, "the pipelined connection was given up"))));
        }
        let line = &mut *line;
        let place = self.number - line.head;
        if place > 0 {
            if !line.puts_off_writing(self.number, cx) {
                // Answers to what was written before may still be there to be read; ours cannot be told from them.
                line.flush(cx).map_err(|error| self.failed(closed(error)))?;
            }
            if let Some(waiting) = line.waiting.get_mut(place as usize) {
                *waiting = Some(cx.waker().clone());
            }
            // Those in front may have no limit, or a longer one.
            return self.poll_silence(line.moved, cx);
        }
        line.is_head_coming = false;
        loop {
            match self.decoder.next(&mut line.connection.read) {
                Ok(h1::Event::NeedMore) => line.flush(cx).map_err(|error| self.failed(closed(error)))?,
                event => {
                    self.silence.broken();
                    return Poll::Ready(event.map_err(|error| self.failed(refused(error))));
                }
            }
            let Connection { stream, read, .. } = &mut line.connection;
            if read.capacity() - read.len() < READ_SIZE / 2 {
                read.reserve(READ_SIZE);
            }
            match pin!(stream.read_buf(read)).poll(cx) {
                Poll::Ready(Ok(0)) => {
                    let event = self.decoder.eof(read);
                    return Poll::Ready(event.map_err(|error| self.failed(refused(error))));
                }
                Poll::Ready(Ok(_)) => {
                    line.moved = Instant::now();
                    self.silence.broken();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.failed(closed(error)))),
                Poll::Pending => return self.poll_silence(line.moved, cx),
            }
        }
    }

    fn poll_silence(&mut self, moved: Instant, cx: &mut Context<'_>) -> Poll<Result<h1::Event>> {
        self.silence.poll_unless(|| Some(moved), self.phase, cx).map(Err)
    }

    fn failed(&self, error: Error) -> Error {
        let sent = if self.decoder.started() { Sent::Answered } else { Sent::Maybe };
        error.with_phase(self.phase).with_sent(sent)
    }

    fn respond(mut self, head: ResponseHead, answer: &mut Answer) {
        self.phase = Phase::Body;
        self.trace.enter(Phase::Body);
        tell(&head, &self.trace);
        // An answer that is here as a whole holds up nobody, whether its body will be read or not.
        let body = match self.whole() {
            Some((body, verdict)) => {
                self.finish(verdict);
                body
            }
            None => {
                // Whoever reads the body may take their time. An error is one of the next read, too.
                let _ = self.pipe.lock().flush(&mut Context::from_waker(Waker::noop()));
                Body::wrap(TurnBody(Some(self)))
            }
        };
        response(head, body, answer);
    }

    /// The body, if all of it has been received and its length is known.
    fn whole(&mut self) -> Option<(Body, Verdict)> {
        let mut line = self.pipe.lock();
        self.decoder.rest(&mut line.connection.read).map(|(body, verdict)| (Body::from(body), verdict))
    }

    /// The answer is complete: the next in line reads, if the connection lives on.
    fn finish(mut self, verdict: Verdict) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        let mut line = self.pipe.lock();
        line.waiting.pop_front();
        line.head += 1;
        let lives = line.head < line.end
            && match verdict {
                Verdict::Reuse => true,
                // What follows is the beginning of the next answer, if there is to be one.
                Verdict::Close(CloseReason::ExtraBytes) => !line.waiting.is_empty(),
                Verdict::Close(_) | Verdict::Switch => false,
            };
        let woken = match line.waiting.front_mut() {
            Some(next) if lives => next.take().into_iter().collect(),
            _ if lives => {
                line.connection.read = BytesMut::new();
                Vec::new()
            }
            _ => {
                let next = line.head;
                line.end_at(next)
            }
        };
        line.is_head_coming = !woken.is_empty();
        let is_kept = lives && !line.is_ended();
        drop(line);
        woken.into_iter().for_each(Waker::wake);
        lease.finish(match is_kept {
            true => pool::Verdict::Reuse { keep_alive: None },
            false => pool::Verdict::Close(pool::CloseReason::NotReusable),
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let woken = self.pipe.lock().end_at(self.number);
            woken.into_iter().for_each(Waker::wake);
            lease.finish(pool::Verdict::Close(pool::CloseReason::Cancelled));
        }
    }
}

/// The body of an answer in line.
struct TurnBody(Option<Turn>);

impl http_body::Body for TurnBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(turn) = &mut self.0 else {
            return Poll::Ready(None);
        };
        Poll::Ready(match std::task::ready!(turn.poll_event(cx)) {
            Ok(h1::Event::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(h1::Event::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(h1::Event::End(verdict)) => {
                if let Some(turn) = self.0.take() {
                    turn.finish(verdict);
                }
                None
            }
            Ok(other) => Some(Err(Error::new(ErrorKind::Engine, format!("{other:?} in a body")))),
            Err(error) => {
                self.0 = None;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let remaining = self.0.as_ref().map_or(Some(0), |turn| turn.decoder.remaining());
        remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
