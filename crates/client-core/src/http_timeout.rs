//! The model plugin: three time limits, for the client or per request, with an error that says which one fired.
//!
//! `request` is enforced here, with one timer that moves into the body; `connect` and `socket` are merged into the exchange and
//! enforced by the engine, which alone can see them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use http_body::{Body as _, Frame, SizeHint};

use crate::body::Body;
use crate::call::ANSWERED;
use crate::capability::Capabilities;
use crate::check;
use crate::engine::{AnyEngine, BoxFuture};
use crate::error::{Error, Result, Sent};
use crate::exchange::Exchange;
use crate::observer::{Phase, Trace};
use crate::plugin::{Next, Plugin, Stage};
use crate::timeouts::{Timeout, TimeoutKind, Timeouts};
use crate::timer::{Instant, Sleep};

/// The client's time limits. Part of every client; installing it sets the defaults, which each request overrides field by field.
///
/// - `request`: the whole call, from sending to the last body byte, across redirects and retries. Enforced by the core on every
///   engine. A connection that was upgraded and an event stream (`text/event-stream`) are exempt from their head on.
/// - `connect`: until the connection can carry the request: name, TCP, proxy, TLS.
/// - `socket`: the longest silence between two packets, reading or writing. Not a limit of bandwidth.
///
/// None is set by default; an engine may have defaults of its own for the last two.
///
/// # Errors
/// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) with the kind, the limit, the time that passed, and the phase in which it struck.
/// A limit of zero, and one that the engine cannot enforce, are refused when the client is built.
///
/// ```
/// use std::time::Duration;
/// use client_core::{HttpTimeout, Timeout};
///
/// let limits = HttpTimeout::new()
///     .request(Duration::from_secs(30))
///     .connect(Duration::from_secs(2))
///     .socket(Timeout::INFINITE);
/// # let _ = limits;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct HttpTimeout(Timeouts);

impl HttpTimeout {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// For the whole call.
    pub fn request(self, limit: impl Into<Timeout>) -> Self {
        Self(self.0.request(limit))
    }

    /// For connecting.
    pub fn connect(self, limit: impl Into<Timeout>) -> Self {
        Self(self.0.connect(limit))
    }

    /// For silence on the socket.
    pub fn socket(self, limit: impl Into<Timeout>) -> Self {
        Self(self.0.socket(limit))
    }

    /// For waiting for a connection from the pool.
    pub fn connection_request(self, limit: impl Into<Timeout>) -> Self {
        Self(self.0.connection_request(limit))
    }
}

impl From<Timeouts> for HttpTimeout {
    /// Limits that came from elsewhere, a configuration file say.
    fn from(timeouts: Timeouts) -> Self {
        Self(timeouts)
    }
}

impl Plugin for HttpTimeout {
    fn stage(&self) -> Stage {
        Stage::Call
    }

    fn is_unique(&self) -> bool {
        true
    }

    fn requires(&self) -> Capabilities {
        check::asked_by(&self.0)
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn prepare(&self, exchange: &mut Exchange) -> Result<()> {
        exchange.timeouts = exchange.timeouts.or(self.0);
        Ok(())
    }

    fn applies(&self, exchange: &Exchange) -> bool {
        exchange.timeouts.request_limit().is_some()
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin(async move {
            match exchange.timeouts.request_limit() {
                Some(limit) => within(limit, exchange, &next).await,
                None => next.run(exchange).await,
            }
        })
    }
}

async fn within(limit: Duration, exchange: &mut Exchange, next: &Next) -> Result<Response<Body>> {
    let started = next.timer().now();
    // A limit beyond the clock's range is none.
    let Some(deadline) = started.checked_add(limit) else {
        return next.run(exchange).await;
    };
    exchange.deadline = Some(deadline);
    exchange.trace.remember();
    let is_connect = exchange.request.method() == Method::CONNECT;
    let mut alarm = Alarm {
        sleep: next.timer().sleep_until(deadline),
        engine: next.engine().clone(),
        uri: exchange.request.uri().clone(),
        trace: exchange.trace.clone(),
        started,
        limit,
    };
    let mut answer = None;
    {
        let mut call = pin!(next.rest().answer(exchange, &mut answer));
        poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Pending => alarm.poll(cx).map(Err),
            ready => ready,
        })
        .await?;
    }
    let response = answer.expect(ANSWERED);
    // A body that is here as a whole has come in time, whenever it is read.
    if response.body().as_bytes().is_some() || is_exempt(&response, is_connect) {
        return Ok(response);
    }
    Ok(response.map(|body| match body.is_end_stream() {
        true => body,
        false => Body::wrap(TimedBody {
            body,
            alarm: Some(alarm),
        }),
    }))
}

/// What is no longer a response with an end: upgraded connections and event streams.
fn is_exempt(response: &Response<Body>, is_connect: bool) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is_event_stream = media_type.eq_ignore_ascii_case(b"text/event-stream");
    response.status() == StatusCode::SWITCHING_PROTOCOLS || (is_connect && response.status().is_success()) || is_event_stream
}

/// The one timer of a call.
struct Alarm {
    sleep: Sleep,
    engine: AnyEngine,
    uri: Uri,
    trace: Trace,
    started: Instant,
    limit: Duration,
}

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.sleep.as_mut().poll(cx).map(|()| {
            let elapsed = self.engine.timer().now().saturating_duration_since(self.started);
            let phase = self.trace.phase();
            let error = Error::timeout(TimeoutKind::Request, self.limit, elapsed, phase.unwrap_or(Phase::Pool));
            error
                .with_sent(self.trace.sent().unwrap_or(Sent::Maybe))
                .or_engine(self.engine.name())
                .or_uri(&self.uri)
        })
    }
}

struct TimedBody {
    body: Body,
    /// Gone at the body's end: a response that lives on keeps no timer.
    alarm: Option<Alarm>,
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        // The limit comes first: a body that is always ready would outrun it.
        if let Some(Poll::Ready(error)) = self.alarm.as_mut().map(|alarm| alarm.poll(cx)) {
            // Dropping what is left of the body frees its connection now, not when the caller drops the response.
            self.body = Body::empty();
            self.alarm = None;
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.alarm = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
