//! What is known of one exchange while reqwest performs it: how far it is, when it last moved, and what its body's producer said. Three
//! sides tell: the connector layer, the request's body as hyper takes it, and the response.
//!
//! reqwest hands nothing of a request down to its connector, so that a limit per request cannot be passed along. But hyper-util polls a
//! dial from within the task of the call that needs it: what is set around each poll of that call ([`Call::scope`]) is visible to
//! the connector ([`Call::current`]). It is the idea of tokio's `task_local!`, without its macro and its panics.
//!
//! What must never enter: I/O, and decisions about errors.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use client_core::{Error, Event, Exchange, Instant, Phase, Sleep, TimeoutKind, Timer, Trace};

use crate::runtime::Dispatcher;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Call>>> = const { RefCell::new(None) };
}

/// One exchange on its way.
pub(crate) struct Call {
    trace: Trace,
    clock: Dispatcher,
    connect_limit: Option<Duration>,
    socket_limit: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    /// Only ever moves on, whoever reports first: the sides that tell run on different tasks.
    phase: Phase,
    /// A dial of our own has ended well.
    has_dialed: bool,
    /// The connection was not dialed by this call.
    is_reused: bool,
    /// When bytes last went or came, as far as hyper lets us see it; of interest where there is a limit for silence.
    last: Option<Instant>,
    /// The producer of the request's body has nothing yet: the silence is our own.
    is_producing: bool,
    /// What the producer failed with.
    failure: Option<Error>,
    /// Nobody waits for the answer any more, so that the rest of the request is not sent.
    is_abandoned: bool,
    /// Whoever waits for the producer.
    uploader: Option<Waker>,
}

impl Call {
    /// A call that is about to look for a connection.
    pub(crate) fn new(exchange: &Exchange, clock: &Dispatcher) -> Arc<Self> {
        exchange.trace.enter(Phase::Pool);
        Arc::new(Self {
            trace: exchange.trace.clone(),
            connect_limit: exchange.timeouts.connect_limit(),
            socket_limit: exchange.timeouts.socket_limit(),
            state: Mutex::new(State {
                phase: Phase::Pool,
                has_dialed: false,
                is_reused: false,
                last: None,
                is_producing: false,
                failure: None,
                is_abandoned: false,
                uploader: None,
            }),
            clock: clock.clone(),
        })
    }

    /// The call whose task is being polled on this thread, if any.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Performs `work` as this call's own.
    pub(crate) async fn scope<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _scope = Scope::enter(self);
            work.as_mut().poll(cx)
        })
        .await
    }

    pub(crate) fn clock(&self) -> &Dispatcher {
        &self.clock
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(crate) fn connect_limit(&self) -> Option<Duration> {
        self.connect_limit
    }

    pub(crate) fn socket_limit(&self) -> Option<Duration> {
        self.socket_limit
    }

    /// A dial of our own begins, or begins with TLS.
    pub(crate) fn dialing(&self, phase: Phase) {
        self.advance(&mut self.state(), phase);
    }

    /// A dial of our own has ended well. If a connection of the pool was faster, this one is the pool's.
    pub(crate) fn dialed(&self, remote_addr: Option<SocketAddr>) {
        let mut state = self.state();
        if state.phase < Phase::Send {
            state.has_dialed = true;
            let reused = false;
            self.trace.emit(&Event::Connected { reused, remote_addr });
        }
    }

    /// A connection has taken the request and begins to send it.
    pub(crate) fn taken(&self) {
        let mut state = self.state();
        if state.phase >= Phase::Send {
            return;
        }
        if !state.has_dialed {
            state.is_reused = true;
            let (reused, remote_addr) = (true, None);
            self.trace.emit(&Event::Connected { reused, remote_addr });
        }
        self.is_heard(&mut state);
        self.advance(&mut state, Phase::Send);
    }

    /// The connection wants more of the body, and its producer has none yet: ready if it is no longer wanted either.
    pub(crate) fn waits_for_producer(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_abandoned {
            return Poll::Ready(());
        }
        state.is_producing = true;
        state.uploader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The call is over, with or without an answer. hyper would go on with a request whose producer never ends, and keep the connection.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.is_abandoned = true;
        let uploader = state.uploader.take();
        drop(state);
        if let Some(uploader) = uploader {
            uploader.wake();
        }
    }

    /// Bytes went or came.
    pub(crate) fn moved(&self) {
        if self.socket_limit.is_some() {
            let mut state = self.state();
            state.is_producing = false;
            self.is_heard(&mut state);
        }
    }

    fn is_heard(&self, state: &mut State) {
        state.last = self.socket_limit.map(|_| self.clock.now());
    }

    /// The connection has the whole request, or gave it up.
    pub(crate) fn sent(&self) {
        let mut state = self.state();
        if state.phase == Phase::Send {
            state.is_producing = false;
            self.is_heard(&mut state);
            self.advance(&mut state, Phase::Head);
        }
    }

    /// The response's head is here.
    pub(crate) fn answered(&self) {
        self.advance(&mut self.state(), Phase::Body);
    }

    /// The producer of the request's body failed; hyper only gets to know that it did.
    pub(crate) fn failed(&self, failure: Error) {
        self.state().failure = Some(failure);
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.state().failure.take()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    pub(crate) fn is_reused(&self) -> bool {
        self.state().is_reused
    }

    /// Since when the peer has been silent, if it is its turn.
    fn silent_since(&self) -> Option<Instant> {
        let state = self.state();
        state.last.filter(|_| state.phase >= Phase::Send && !state.is_producing)
    }

    /// Phases are told under the lock: two sides that report at once must not be heard in the wrong order.
    fn advance(&self, state: &mut State, phase: Phase) {
        if phase > state.phase {
            state.phase = phase;
            self.trace.enter(phase);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, a call is the thread's current one. Calls nest: a request's body may itself make a call.
struct Scope(Option<Arc<Call>>);

impl Scope {
    fn enter(call: &Arc<Call>) -> Self {
        Self(CURRENT.replace(Some(Arc::clone(call))))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Held as long as somebody waits for the answer.
pub(crate) struct Wanted(pub(crate) Arc<Call>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The socket timeout: the longest silence of the peer. One timer per call, made when there is something to wait for; it is not moved
/// at every frame: when it fires, it looks whether the silence has really lasted, and otherwise sleeps on.
pub(crate) struct Silence {
    call: Arc<Call>,
    sleep: Option<Sleep>,
}

impl Silence {
    pub(crate) fn new(call: &Arc<Call>) -> Self {
        Self {
            call: Arc::clone(call),
            sleep: None,
        }
    }

    /// Nothing has come; ready when nothing has for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(limit) = self.call.socket_limit else {
            return Poll::Pending;
        };
        loop {
            let now = self.call.clock.now();
            // Before the request is sent, and while its producer is busy, nobody is silent yet: look again after the limit at the latest.
            let since = self.call.silent_since().unwrap_or(now);
            let elapsed = now.saturating_duration_since(since);
            if elapsed >= limit {
                let phase = self.call.phase();
                return Poll::Ready(Error::timeout(TimeoutKind::Socket, limit, elapsed, phase));
            }
            // A limit beyond the clock's range is none.
            let Some(deadline) = since.checked_add(limit) else {
                return Poll::Pending;
            };
            let sleep = self.sleep.get_or_insert_with(|| self.call.clock.sleep_until(deadline));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use client_core::{Body, Timeouts};
    use http::Request;

    use super::*;

    fn call(socket: Duration) -> Arc<Call> {
        let mut exchange = Exchange::new(Request::new(Body::empty()));
        exchange.timeouts = Timeouts::new().socket(socket);
        Call::new(&exchange, &Dispatcher::default())
    }

    #[tokio::test]
    async fn calls_nest_and_are_forgotten() {
        let (outer, inner) = (call(Duration::MAX), call(Duration::MAX));
        let is = |call: &Arc<Call>| Call::current().is_some_and(|current| Arc::ptr_eq(&current, call));
        outer
            .scope(async {
                assert!(is(&outer));
                inner.scope(async { assert!(is(&inner)) }).await;
                assert!(is(&outer));
            })
            .await;
        assert!(Call::current().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_sign_of_life() {
        let limit = Duration::from_secs(10);
        let call = call(limit);
        let clock = Dispatcher::default();
        let mut silence = Silence::new(&call);
        let started = clock.now();
        let watched = tokio::spawn(async move { poll_fn(|cx| silence.poll(cx)).await });
        // Longer than the limit passes without a connection: that is no silence.
        tokio::time::sleep(Duration::from_secs(25)).await;
        call.taken();
        tokio::time::sleep(Duration::from_secs(9)).await;
        let _ = poll_fn(|cx| Poll::Ready(call.waits_for_producer(cx))).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        call.moved();
        let error = watched.await.unwrap();
        assert_eq!(error.elapsed().unwrap().limit, limit);
        let passed = clock.now() - started;
        assert!(passed >= Duration::from_secs(74) && passed < Duration::from_secs(75), "{passed:?}");
    }

    #[test]
    fn phases_only_move_on() {
        let call = call(Duration::MAX);
        call.dialing(Phase::Connect);
        call.taken();
        call.dialed(None);
        assert!(call.is_reused(), "the pool was faster than our own dial");
        call.answered();
        call.sent();
        assert_eq!(call.phase(), Phase::Body);
    }
}
