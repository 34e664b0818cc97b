//! Plays a reply: one exchange from its arrival to the end of the response's body, in virtual time. Decides nothing that the script
//! or the exchange's own settings do not say.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use client_core::{
    Body, BoxFuture, ConnectionInfo, Error, ErrorKind, Event, Exchange, Instant, Limits, Phase, Result, Sent, Sleep, TimeoutKind,
    Timeouts, Timer, Trace,
};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};

use crate::mock::{Mock, Record};
use crate::recorded::Outcome;
use crate::reply::{Reply, Step};
use crate::timer::MockTimer;

/// Performs one exchange, up to the response's head.
pub(crate) async fn exchange(mock: &Mock, exchange: Exchange) -> Result<Response<Body>> {
    let (record, scripted) = mock.arrive(&exchange);
    let guard = Guard(record);
    match answer(mock, exchange, scripted, &guard.0).await {
        Ok((head, script)) => Ok(head.map(|()| Body::wrap(ReplyBody::new(script, guard)))),
        Err(error) => {
            guard.0.end(Outcome::Failed);
            Err(error)
        }
    }
}

/// What is dropped before it has ended was cancelled.
struct Guard(Record);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end(Outcome::Cancelled);
    }
}

async fn answer(mock: &Mock, exchange: Exchange, scripted: Option<Reply>, record: &Record) -> Result<(Response<()>, Script)> {
    let pace = Pace {
        timer: mock.timer().clone(),
        timeouts: exchange.timeouts,
        trace: exchange.trace.clone(),
    };
    let (request, body) = split(exchange.request);
    // A handler has to see the whole request, so that the body comes before everything else.
    let (mut reply, upload) = match scripted {
        Some(reply) => {
            let upload = receive(body, pace.clone(), reply.delays.send, record.clone());
            (reply, Some(upload))
        }
        None => {
            if mock.has_handler() {
                receive(body, pace.clone(), Duration::ZERO, record.clone()).await?;
            }
            (mock.handle(record)?, None)
        }
    };

    connect(&mut reply, request.uri(), &pace).await?;
    let remote_addr = reply.remote_addr.unwrap_or_else(|| documentation_addr(request.uri()));
    pace.trace.emit(&Event::Connected {
        reused: false,
        remote_addr: Some(remote_addr),
    });

    pace.trace.enter(Phase::Send);
    reply.fail_in(Phase::Send)?;
    let upload = send(upload, &reply, request.headers(), &pace.trace).await?;

    pace.trace.enter(Phase::Head);
    for (status, headers) in informational(&reply, &exchange.limits)? {
        pace.trace.emit(&Event::Informational {
            status: *status,
            headers,
        });
    }
    pace.wait(reply.delays.head, TimeoutKind::Socket, Phase::Head).await?;
    if let Some(error) = reply.failure.take() {
        return Err(error);
    }

    let remaining = frame_body(&mut reply, request.method())?;
    fits(&reply.headers, &exchange.limits)?;
    let head = head(&mut reply, exchange.version, remote_addr);
    pace.trace.emit(&Event::ResponseHead {
        status: head.status(),
        version: head.version(),
    });
    pace.trace.enter(Phase::Body);
    let script = Script {
        due: Some(pace.timer.now()),
        wait: None,
        steps: reply.steps,
        remaining,
        upload,
        limits: exchange.limits,
        pace,
    };
    Ok((head, script))
}

fn split(request: Request<Body>) -> (Request<()>, Body) {
    let (parts, body) = request.into_parts();
    (Request::from_parts(parts, ()), body)
}

/// Takes the request's body into the history, after a silence before each piece.
fn receive(mut body: Body, pace: Pace, delay: Duration, record: Record) -> Upload {
    Box::pin(async move {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.with_phase(Phase::Send).with_sent(Sent::Maybe))?;
            pace.wait(delay, TimeoutKind::Socket, Phase::Send).await?;
            match frame.into_data() {
                Ok(data) => record.add_body(&data),
                Err(frame) => frame.into_trailers().into_iter().for_each(|trailers| record.set_trailers(trailers)),
            }
        }
        Ok(())
    })
}

type Upload = BoxFuture<'static, Result<()>>;

/// The way to the server: its phases, delays and failures.
async fn connect(reply: &mut Reply, uri: &Uri, pace: &Pace) -> Result<()> {
    let failing = reply.failure.as_ref().and_then(Error::phase);
    let is_https = uri.scheme_str() == Some("https");
    for (phase, is_on_the_way, delay, kind) in [
        (Phase::Pool, true, reply.delays.pool, TimeoutKind::ConnectionRequest),
        (Phase::Resolve, true, Duration::ZERO, TimeoutKind::Connect),
        (Phase::Connect, true, reply.delays.connect, TimeoutKind::Connect),
        (Phase::Proxy, false, Duration::ZERO, TimeoutKind::Connect),
        (Phase::Tls, is_https, Duration::ZERO, TimeoutKind::Connect),
    ] {
        if is_on_the_way || failing == Some(phase) {
            pace.trace.enter(phase);
            pace.wait(delay, kind, phase).await?;
            reply.fail_in(phase)?;
        }
    }
    Ok(())
}

/// Sends the body now, or returns what is to be sent while the response is read.
async fn send(upload: Option<Upload>, reply: &Reply, headers: &HeaderMap, trace: &Trace) -> Result<Option<Upload>> {
    let expects_continue = headers.contains_key(EXPECT);
    if reply.is_early {
        // A final answer instead of the 100: the body stays where it is (RFC 9110 §10.1.1).
        return Ok(upload.filter(|_| !expects_continue));
    }
    if expects_continue {
        trace.emit(&Event::Informational {
            status: StatusCode::CONTINUE,
            headers: &HeaderMap::new(),
        });
    }
    if let Some(upload) = upload {
        upload.await?;
    }
    Ok(None)
}

fn informational<'a>(reply: &'a Reply, limits: &Limits) -> Result<&'a [(StatusCode, HeaderMap)]> {
    if reply.informational.len() > limits.max_informational() {
        return Err(too_large(format!("more than {} informational heads", limits.max_informational())));
    }
    reply.informational.iter().try_for_each(|(_, headers)| fits(headers, limits))?;
    Ok(&reply.informational)
}

/// Settles whether there is a body, and its length where that is told beforehand (RFC 9110 §6.4.1, §8.6).
fn frame_body(reply: &mut Reply, method: &Method) -> Result<Option<u64>> {
    reply.steps.retain(|step| !matches!(step, Step::Data(data) if data.is_empty()));
    let status = reply.status;
    let switches = reply.upgrade.is_some();
    let has_body = *method != Method::HEAD && !matches!(status.as_u16(), 100..=199 | 204 | 304) && !switches;
    let length = match reply.headers.get(CONTENT_LENGTH) {
        Some(value) => match value.to_str().ok().and_then(|text| text.parse().ok()) {
            Some(length) => Some(length),
            None => return Err(violation("Content-Length is no number").with_phase(Phase::Head)),
        },
        None => reply.is_announced.then(|| reply.steps.iter().map(Step::len).sum()),
    };
    if let Some(length) = length.filter(|_| has_body || *method == Method::HEAD) {
        reply.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !has_body {
        reply.steps.clear();
        return Ok(Some(0));
    }
    Ok(length)
}

fn head(reply: &mut Reply, asked: Option<Version>, remote_addr: SocketAddr) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = reply.status;
    *head.version_mut() = reply.version.or(asked).unwrap_or(Version::HTTP_11);
    *head.headers_mut() = std::mem::take(&mut reply.headers);
    let mut connection = ConnectionInfo::new();
    connection.remote_addr = Some(remote_addr);
    head.extensions_mut().insert(connection);
    if let Some(upgrade) = reply.upgrade.take() {
        head.extensions_mut().insert(upgrade);
    }
    head
}

/// TEST-NET-1: an address that is nobody's (RFC 5737 §3).
fn documentation_addr(uri: &Uri) -> SocketAddr {
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), uri.port_u16().unwrap_or(default)))
}

/// Holds a head or a trailer section to its limits.
fn fits(fields: &HeaderMap, limits: &Limits) -> Result<()> {
    // As on the wire of HTTP/1.1: a colon, a space, CR and LF.
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields.len() > limits.max_head_fields() {
        return Err(too_large(format!("more than {} header fields", limits.max_head_fields())));
    }
    if bytes > limits.max_head_bytes() {
        return Err(too_large(format!("header fields of more than {} bytes", limits.max_head_bytes())));
    }
    Ok(())
}

fn too_large(message: String) -> Error {
    Error::new(ErrorKind::TooLarge, message).with_phase(Phase::Head).with_sent(Sent::Answered)
}

fn violation(message: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, message).with_phase(Phase::Body).with_sent(Sent::Answered)
}

impl Reply {
    fn fail_in(&mut self, phase: Phase) -> Result<()> {
        match self.failure.take_if(|error| error.phase() == Some(phase)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Step {
    fn len(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            _ => 0,
        }
    }
}

/// The exchange's time: the clock, the limits, and who is told.
#[derive(Clone)]
struct Pace {
    timer: MockTimer,
    timeouts: Timeouts,
    trace: Trace,
}

impl Pace {
    /// Waits for what comes after `delay`; fails when a limit of `kind` is shorter. No delay makes no timer.
    fn wait(&self, delay: Duration, kind: TimeoutKind, phase: Phase) -> Wait {
        let limit = self.timeouts.get(kind).and_then(client_core::Timeout::duration).filter(|&limit| limit < delay);
        let started = self.timer.now();
        let sleep: Option<Sleep> = match started.checked_add(limit.unwrap_or(delay)) {
            _ if delay.is_zero() => None,
            Some(deadline) => Some(self.timer.sleep_until(deadline)),
            // Beyond the clock's range: for ever, and no timer can tell.
            None => Some(Box::pin(std::future::pending())),
        };
        Wait {
            sleep,
            started,
            limit: limit.map(|limit| (kind, limit)),
            phase,
            timer: self.timer.clone(),
        }
    }
}

struct Wait {
    sleep: Option<Sleep>,
    started: Instant,
    /// The limit that strikes before the silence is over.
    limit: Option<(TimeoutKind, Duration)>,
    phase: Phase,
    timer: MockTimer,
}

impl Future for Wait {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(match self.limit {
            None => Ok(()),
            Some((kind, limit)) => {
                let elapsed = self.timer.now() - self.started;
                Err(Error::timeout(kind, limit, elapsed, self.phase))
            }
        })
    }
}

/// What is left to play after the head.
struct Script {
    steps: VecDeque<Step>,
    /// When the packet before was there, and the next one is: the server does not wait for a slow reader. `None` is never.
    due: Option<Instant>,
    wait: Option<Wait>,
    /// Bytes of content still to come, where that was told beforehand.
    remaining: Option<u64>,
    /// The request's body, where the answer came early.
    upload: Option<Upload>,
    limits: Limits,
    pace: Pace,
}

impl Script {
    fn is_over(&self) -> bool {
        self.steps.is_empty() && self.wait.is_none() && self.remaining.unwrap_or(0) == 0
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>>> {
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(sent) = upload.as_mut().poll(cx)
        {
            self.upload = None;
            sent?;
        }
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(Pin::new(wait).poll(cx))?;
                self.wait = None;
            }
            match self.steps.pop_front() {
                Some(Step::Pause(duration)) => self.wait = Some(self.pause(duration)),
                Some(Step::Data(data)) => return Poll::Ready(self.data(data).map(Some)),
                Some(Step::Trailers(trailers)) => {
                    fits(&trailers, &self.limits)?;
                    return Poll::Ready(Ok(Some(Frame::trailers(trailers))));
                }
                Some(Step::Fail(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(self.end().map(|()| None)),
            }
        }
    }

    fn pause(&mut self, duration: Duration) -> Wait {
        self.due = self.due.and_then(|due| due.checked_add(duration));
        let silence = self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(self.pace.timer.now()));
        self.pace.wait(silence, TimeoutKind::Socket, Phase::Body)
    }

    fn data(&mut self, data: Bytes) -> Result<Frame<Bytes>> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining
                .checked_sub(data.len() as u64)
                .ok_or_else(|| violation("the body is longer than its Content-Length"))?;
        }
        Ok(Frame::data(data))
    }

    fn end(&self) -> Result<()> {
        match self.remaining {
            None | Some(0) => Ok(()),
            Some(missing) => {
                let message = format!("the server closed the connection {missing} bytes before the end of the body");
                Err(Error::new(ErrorKind::Closed, message).with_phase(Phase::Body).with_sent(Sent::Answered))
            }
        }
    }
}

/// The response's body: the script, and the line of the history that it ends.
struct ReplyBody {
    /// Gone at the end: its timer, and what was left of the request's body.
    script: Option<Script>,
    guard: Guard,
}

impl ReplyBody {
    fn new(script: Script, guard: Guard) -> Self {
        let mut body = Self {
            script: Some(script),
            guard,
        };
        body.settle();
        body
    }

    /// Where nothing is left to come, the exchange is complete; nobody has to ask once more to learn so.
    fn settle(&mut self) {
        if self.script.as_ref().is_none_or(Script::is_over) {
            self.end(Outcome::Complete);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.script = None;
        self.guard.0.end(outcome);
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(script) = &mut self.script else {
            return Poll::Ready(None);
        };
        let frame = match ready!(script.poll(cx)) {
            Ok(Some(frame)) => {
                self.settle();
                Some(Ok(frame))
            }
            Ok(None) => {
                self.end(Outcome::Complete);
                None
            }
            Err(error) => {
                self.end(Outcome::Failed);
                Some(Err(error.or_engine("mock")))
            }
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.script.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.script {
            Some(script) => script.remaining.map_or_else(SizeHint::default, SizeHint::with_exact),
            None => SizeHint::with_exact(0),
        }
    }
}
