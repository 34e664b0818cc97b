//! The mock itself: what is scripted, what arrived, and the engine that client code talks to.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use client_core::{Body, Capabilities, Capability, Engine, Error, ErrorKind, Exchange, Result, Sent, Timer};
use http::{HeaderMap, Response};

use crate::play;
use crate::recorded::{Outcome, Recorded};
use crate::reply::Reply;
use crate::timer::MockTimer;

/// A scripted engine. Clones share everything: a test keeps one, the client owns another.
///
/// A request is answered by the next reply of the [queue](Self::enqueue); if it is empty, by the [handler](Self::with); if there is
/// none, with an [`ErrorKind::Engine`] that says so.
#[derive(Clone)]
pub struct Mock(Arc<Shared>);

struct Shared {
    capabilities: Capabilities,
    timer: MockTimer,
    handler: Option<Box<Handler>>,
    state: Mutex<State>,
}

type Handler = dyn Fn(&Recorded) -> Reply + Send + Sync;

#[derive(Default)]
struct State {
    queue: VecDeque<Reply>,
    enqueued: usize,
    history: Vec<Entry>,
    is_closed: bool,
}

struct Entry {
    /// All but its body.
    recorded: Recorded,
    body: BytesMut,
}

impl Mock {
    /// A mock with an empty queue.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A mock that answers every request by `handler`, which sees the whole of it.
    ///
    /// ```
    /// use client_core::HttpClient;
    /// use client_mock::{Mock, Reply};
    ///
    /// let mock = Mock::with(|request| match (request.method.as_str(), request.uri.path()) {
    ///     ("GET", "/health") => Reply::text("fine"),
    ///     ("POST", "/echo") => Reply::new().body(request.body.clone()),
    ///     _ => Reply::status(404),
    /// });
    /// let http = HttpClient::new(mock.clone());
    /// let text = mock.run(async { http.post("http://h.example/echo").body("hello").send().await?.text().await })?;
    /// assert_eq!(text, "hello");
    /// # Ok::<_, client_core::Error>(())
    /// ```
    pub fn with(handler: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::builder().handler(handler).build()
    }

    /// A mock to be configured.
    pub fn builder() -> MockBuilder {
        MockBuilder {
            capabilities: ALL_PLAYED,
            timer: MockTimer::new(),
            handler: None,
        }
    }

    /// Answers the next request that no earlier reply of the queue answers; once.
    pub fn enqueue(&self, reply: Reply) {
        let mut state = self.0.lock();
        state.queue.push_back(reply);
        state.enqueued += 1;
    }

    /// Every request that arrived, first one first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.lock().history.iter().map(Entry::snapshot).collect()
    }

    /// Whether the client was closed.
    pub fn is_closed(&self) -> bool {
        self.0.lock().is_closed
    }

    /// The virtual clock.
    pub fn timer(&self) -> &MockTimer {
        &self.0.timer
    }

    /// Drives a test in virtual time; see [`MockTimer::run`].
    ///
    /// # Panics
    /// If the future waits for what can never come.
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.0.timer.run(future)
    }

    /// Asserts that every reply of the queue was used, and no exchange is left open.
    ///
    /// # Panics
    /// If not; says what is left, and what arrived.
    #[track_caller]
    pub fn assert_done(&self) {
        let state = self.0.lock();
        let open = state.history.iter().filter(|entry| entry.recorded.outcome == Outcome::Active).count();
        let (left, enqueued) = (state.queue.len(), state.enqueued);
        // Released before the panic: the client under test may look at the mock while it unwinds.
        let history = state.describe();
        drop(state);
        assert!(
            left == 0 && open == 0,
            "{left} of {enqueued} replies were not used, {open} exchanges are open; requests: {history}"
        );
    }

    /// Writes the request's head into the history, and takes the reply that answers it, if one is scripted.
    pub(crate) fn arrive(&self, exchange: &Exchange) -> (Record, Option<Reply>) {
        let request = &exchange.request;
        let recorded = Recorded {
            at: self.0.timer.elapsed(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: exchange.version,
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
            body: Bytes::new(),
            trailers: None,
            timeouts: exchange.timeouts,
            outcome: Outcome::Active,
        };
        let mut state = self.0.lock();
        let record = Record {
            shared: Arc::clone(&self.0),
            index: state.history.len(),
        };
        state.history.push(Entry {
            recorded,
            body: BytesMut::new(),
        });
        (record, state.queue.pop_front())
    }

    pub(crate) fn has_handler(&self) -> bool {
        self.0.handler.is_some()
    }

    /// What the handler answers; the request is complete.
    pub(crate) fn handle(&self, record: &Record) -> Result<Reply> {
        let Some(handler) = &self.0.handler else {
            return Err(self.unexpected());
        };
        // Released before the handler runs: it may look at the mock.
        let request = self.0.lock().history[record.index].snapshot();
        let reply = handler(&request);
        if reply.is_early || !reply.delays.send.is_zero() {
            return Err(Error::new(
                ErrorKind::Engine,
                "Reply::early and Reply::send_delay work for replies that are enqueued; a handler has seen the whole request",
            )
            .with_sent(Sent::Nothing));
        }
        Ok(reply)
    }

    fn unexpected(&self) -> Error {
        let state = self.0.lock();
        let message = format!(
            "the mock has no reply: {} were enqueued, all are used, and there is no handler; requests: {}",
            state.enqueued,
            state.describe()
        );
        Error::new(ErrorKind::Engine, message).with_sent(Sent::Nothing)
    }
}

/// Whatever a caller can notice, except what takes a real connection: proxies, certificates, a pool that is reused.
const ALL_PLAYED: Capabilities = Capabilities::NONE
    .with(Capability::Http1)
    .with(Capability::Http2)
    .with(Capability::Http2PriorKnowledge)
    .with(Capability::Http3)
    .with(Capability::StrictHttp2)
    .with(Capability::Tls)
    .with(Capability::ExactHeaders)
    .with(Capability::ConnectTimeout)
    .with(Capability::SocketTimeout)
    .with(Capability::ConnectionRequestTimeout)
    .with(Capability::Upgrade)
    .with(Capability::Tunnel)
    .with(Capability::AsteriskForm)
    .with(Capability::ExpectContinue)
    .with(Capability::Informational)
    .with(Capability::HeadProgress)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::RequestTrailers)
    .with(Capability::Http2RequestTrailers)
    .with(Capability::ResponseTrailers)
    .with(Capability::RemoteAddr);

impl Engine for Mock {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    fn timer(&self) -> &dyn Timer {
        &self.0.timer
    }

    async fn execute(&self, exchange: &mut Exchange) -> Result<Response<Body>> {
        play::exchange(self, exchange.take()).await
    }

    fn close(&self) {
        self.0.lock().is_closed = true;
    }
}

impl Default for Mock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Mock")
            .field("queue", &state.queue)
            .field("requests", &format_args!("{}", state.describe()))
            .finish_non_exhaustive()
    }
}

/// Configures a mock; see [`Mock::builder`].
#[must_use]
pub struct MockBuilder {
    capabilities: Capabilities,
    timer: MockTimer,
    handler: Option<Box<Handler>>,
}

impl MockBuilder {
    /// Answers the requests that find the queue empty; see [`Mock::with`].
    pub fn handler(mut self, handler: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Declares other capabilities: fewer, to see how code meets a lesser engine. Default: everything that the mock plays.
    ///
    /// ```
    /// use client_core::{Capability, Engine, ErrorKind, HttpClient};
    /// use client_mock::Mock;
    ///
    /// let played = Mock::new().capabilities();
    /// let mock = Mock::builder().capabilities(played.without(Capability::Tls)).build();
    /// let http = HttpClient::new(mock.clone());
    /// let error = mock.run(http.get("https://h.example/").send()).unwrap_err();
    /// assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(Capability::Tls)));
    /// assert!(mock.requests().is_empty());
    /// ```
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// A clock to share with other mocks. Default: one of its own.
    pub fn timer(mut self, timer: MockTimer) -> Self {
        self.timer = timer;
        self
    }

    /// The mock.
    pub fn build(self) -> Mock {
        Mock(Arc::new(Shared {
            capabilities: self.capabilities,
            timer: self.timer,
            handler: self.handler,
            state: Mutex::default(),
        }))
    }
}

/// One line of the history, being written.
#[derive(Clone)]
pub(crate) struct Record {
    shared: Arc<Shared>,
    index: usize,
}

impl Record {
    pub(crate) fn add_body(&self, data: &[u8]) {
        self.write(|entry| entry.body.extend_from_slice(data));
    }

    pub(crate) fn set_trailers(&self, trailers: HeaderMap) {
        self.write(|entry| entry.recorded.trailers = Some(trailers));
    }

    /// The first end counts.
    pub(crate) fn end(&self, outcome: Outcome) {
        self.write(|entry| {
            if entry.recorded.outcome == Outcome::Active {
                entry.recorded.outcome = outcome;
            }
        });
    }

    fn write(&self, change: impl FnOnce(&mut Entry)) {
        change(&mut self.shared.lock().history[self.index]);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that a message lists: enough to see where a test went astray.
const SHOWN: usize = 8;

impl State {
    /// The requests, for messages.
    fn describe(&self) -> String {
        let one = |entry: &Entry| format!("{} {}", entry.recorded.method, entry.recorded.uri);
        let earlier = self.history.len().saturating_sub(SHOWN);
        let shown: Vec<_> = self.history[earlier..].iter().map(one).collect();
        match (shown.is_empty(), earlier) {
            (true, _) => "none".to_owned(),
            (false, 0) => shown.join(", "),
            (false, _) => format!("{earlier} earlier ones, {}", shown.join(", ")),
        }
    }
}

impl Entry {
    fn snapshot(&self) -> Recorded {
        Recorded {
            body: self.body.clone().freeze(),
            ..self.recorded.clone()
        }
    }
}
