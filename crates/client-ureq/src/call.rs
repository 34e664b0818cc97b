//! What an exchange's task and the worker that performs it know together: how to interrupt, what happened so far, how it ended.
//!
//! ureq hands its connectors and transports no context, so a worker carries its call in a thread local: one thread, one call.
//!
//! What must never enter this file: I/O.

use std::cell::RefCell;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use client_core::{
    ConnectionInfo, Error, ErrorKind, Event, HeaderMap, Instant, Limits, Phase, Result, Sent, StatusCode, TimeoutKind, TlsInfo,
    Trace,
};
use socket2::Socket;

use crate::response::Answer;
use crate::socket;
use crate::workers::Place;

/// One exchange, seen from both sides.
pub(crate) struct Call {
    pub(crate) terms: Terms,
    state: Mutex<State>,
}

/// What an exchange asks of those who serve it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Terms {
    pub(crate) connect_limit: Option<Duration>,
    pub(crate) socket_limit: Option<Duration>,
    pub(crate) limits: Limits,
    /// The longest line of the request's head: ureq writes a line at once or not at all.
    pub(crate) longest_line: usize,
    /// How many bytes of the request's body are sent at a time.
    pub(crate) upload: usize,
    /// The response to a HEAD has no body, whatever its fields say.
    pub(crate) is_head: bool,
    /// Somebody observes the call: what happens is told as it happens, and not only when the task looks again.
    pub(crate) is_observed: bool,
}

#[derive(Default)]
struct State {
    is_cancelled: bool,
    /// What the worker may be blocked in.
    interrupt: Option<Arc<dyn Interrupt>>,
    /// What the task has not told its observers yet.
    notes: Vec<Note>,
    outcome: Option<Result<Answer>>,
    trailers: Option<HeaderMap>,
    /// What TLS agreed upon, on the connection in use.
    tls: Option<Arc<TlsInfo>>,
    /// The right to a connection, where they are limited; kept until the connection is in the pool or closed.
    place: Option<Place>,
    waker: Option<Waker>,
    progress: Progress,
}

/// How far the worker has come. Only it writes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) phase: Option<Phase>,
    /// Until when the connection has to be ready, while it is being made.
    pub(crate) dialing_since: Option<Instant>,
    pub(crate) has_sent: bool,
    /// Bytes of an answer have arrived.
    pub(crate) has_answer: bool,
    pub(crate) is_reused: bool,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) local_addr: Option<SocketAddr>,
    /// The head is sent, the body is on its way.
    pub(crate) is_uploading: bool,
    /// Nothing more is sent: the server has refused the request's body, or has stopped reading it.
    pub(crate) is_muted: bool,
    /// No connection of the pool will do.
    pub(crate) wants_fresh: bool,
    /// Only what is there already is read.
    pub(crate) is_eager: bool,
}

/// Wakes a thread that is blocked.
pub(crate) trait Interrupt: Send + Sync {
    fn interrupt(&self);

    /// Whether the server has refused the request, in clear text, while it is still being sent.
    fn is_refused(&self) -> bool {
        false
    }
}

impl Interrupt for TcpStream {
    fn interrupt(&self) {
        // Fails only where the connection is gone already.
        let _ = self.shutdown(Shutdown::Both);
    }

    fn is_refused(&self) -> bool {
        let mut start = [0; 10];
        let peeked = socket::without_waiting(self, |stream| stream.peek(&mut start));
        // `HTTP/1.1 4` or `HTTP/1.1 5`. Any other answer does not tell us to stop.
        peeked.is_ok_and(|n| n == 10 && start.starts_with(b"HTTP/1.") && matches!(start[9], b'4' | b'5'))
    }
}

impl Interrupt for Socket {
    fn interrupt(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// Something for the observers. They are called on the task that drives the call, not on a worker.
pub(crate) enum Note {
    Phase(Phase),
    Connected { reused: bool, remote_addr: Option<SocketAddr> },
    Informational(StatusCode, HeaderMap),
    Retried(Error),
}

impl Call {
    pub(crate) fn new(terms: Terms) -> Arc<Self> {
        Arc::new(Self {
            terms,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task's side: tells what has happened, and returns the outcome once it is there.
    pub(crate) fn poll_outcome(&self, trace: &Trace, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let mut state = self.lock();
        let notes = std::mem::take(&mut state.notes);
        let outcome = state.outcome.take();
        if outcome.is_none() {
            match &mut state.waker {
                Some(known) => known.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        drop(state);
        for note in &notes {
            note.tell(trace);
        }
        outcome.map_or(Poll::Pending, Poll::Ready)
    }

    /// The task's side: nobody waits any more. The worker is freed from whatever it is blocked in.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        let (interrupt, unheard) = (state.interrupt.take(), state.outcome.take());
        drop(state);
        if let Some(blocked) = interrupt {
            blocked.interrupt();
        }
        drop(unheard);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// The worker's side: the end, or the head.
    pub(crate) fn finish(&self, outcome: Result<Answer>) {
        let mut state = self.lock();
        if state.is_cancelled {
            // An answer's body knows its call: kept here, neither would ever be freed.
            return;
        }
        state.outcome = Some(outcome);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The worker's side: what interrupts what it is about to be blocked in.
    ///
    /// # Errors
    /// If the call is cancelled already.
    pub(crate) fn hold(&self, interrupt: Arc<dyn Interrupt>) -> Result<()> {
        let mut state = self.lock();
        if state.is_cancelled {
            return Err(cancelled());
        }
        let before = state.interrupt.replace(interrupt);
        drop(state);
        drop(before);
        Ok(())
    }

    /// The worker's side: the connection is no longer this call's. `false` if it was interrupted before.
    pub(crate) fn let_go(&self) -> bool {
        let mut state = self.lock();
        let interrupt = state.interrupt.take();
        let is_whole = !state.is_cancelled;
        drop(state);
        drop(interrupt);
        is_whole
    }

    /// The worker's side: it has the right to a connection.
    pub(crate) fn keep(&self, place: Option<Place>) {
        if place.is_some() {
            self.lock().place = place;
        }
    }

    /// The worker's side: whatever became of the connection, it is in the pool or closed. The next exchange may begin.
    pub(crate) fn leave(&self) {
        let mut state = self.lock();
        let (interrupt, place) = (state.interrupt.take(), state.place.take());
        drop(state);
        drop((interrupt, place));
    }

    /// The worker's side: what followed the response's body.
    pub(crate) fn set_trailers(&self, trailers: HeaderMap) {
        self.lock().trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
    }

    pub(crate) fn has_trailers(&self) -> bool {
        self.lock().trailers.is_some()
    }

    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        self.lock().trailers.take()
    }

    /// Whether the server has said, before the request's body was sent, that it does not want it. Then nothing more is sent.
    pub(crate) fn is_refused(&self) -> bool {
        let connection = self.lock().interrupt.clone();
        let is_refused = connection.is_some_and(|connection| connection.is_refused());
        if is_refused {
            self.update(|progress| progress.is_muted = true);
        }
        is_refused
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().progress
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock().progress);
    }

    /// The worker's side: a phase begins.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if state.progress.phase.replace(phase) != Some(phase) {
            self.note(state, Note::Phase(phase));
        }
    }

    pub(crate) fn tell(&self, note: Note) {
        self.note(self.lock(), note);
    }

    fn note(&self, mut state: MutexGuard<'_, State>, note: Note) {
        state.notes.push(note);
        let waker = if self.terms.is_observed { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Begins anew, on a connection of its own.
    pub(crate) fn start_over(&self, reason: Error) {
        self.let_go();
        self.update(|progress| {
            *progress = Progress {
                wants_fresh: true,
                ..Progress::default()
            };
        });
        self.tell(Note::Retried(reason));
        self.enter(Phase::Pool);
    }

    /// The worker's side: what TLS has agreed upon, on a new connection or the one that serves this call.
    pub(crate) fn set_tls(&self, tls: Option<Arc<TlsInfo>>) {
        self.lock().tls = tls;
    }

    pub(crate) fn take_tls(&self) -> Option<Arc<TlsInfo>> {
        self.lock().tls.take()
    }

    pub(crate) fn connection(&self) -> ConnectionInfo {
        let progress = self.progress();
        let mut info = ConnectionInfo::new();
        info.remote_addr = progress.remote_addr;
        info.local_addr = progress.local_addr;
        info.reused = progress.is_reused;
        info.tls = self.lock().tls.clone();
        info
    }

    /// How long the worker may be silent now: until the connection has to be ready, or the socket's limit. Which limit, since when,
    /// and what is left of it.
    pub(crate) fn patience(&self, since: Instant) -> Option<Patience> {
        let (kind, limit, since) = match self.progress().dialing_since {
            Some(start) => (TimeoutKind::Connect, self.terms.connect_limit?, start),
            None => (TimeoutKind::Socket, self.terms.socket_limit?, since),
        };
        Some(Patience { kind, limit, since })
    }

    /// An error of this kind, here and now.
    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        self.place(Error::new(kind, message))
    }

    /// Says in which phase it happened, and what the server may have seen.
    pub(crate) fn place(&self, error: Error) -> Error {
        let progress = self.progress();
        let phase = progress.phase.unwrap_or(Phase::Pool);
        let sent = match (progress.has_sent, phase) {
            (false, _) => Sent::Nothing,
            (true, Phase::Body) => Sent::Answered,
            (true, _) => Sent::Maybe,
        };
        error.with_phase(phase).with_sent(sent)
    }
}

/// A limit that is running.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    kind: TimeoutKind,
    limit: Duration,
    since: Instant,
}

impl Patience {
    /// What is left; `None` if it has run out.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.limit.saturating_sub(now.saturating_duration_since(self.since));
        (!left.is_zero()).then_some(left)
    }

    /// It has run out.
    pub(crate) fn error(&self, call: &Call) -> Error {
        let phase = call.progress().phase.unwrap_or(Phase::Pool);
        call.place(Error::timeout(self.kind, self.limit, self.since.elapsed(), phase))
    }
}

impl Note {
    fn tell(&self, trace: &Trace) {
        match self {
            Self::Phase(phase) => trace.enter(*phase),
            Self::Connected { reused, remote_addr } => trace.emit(&Event::Connected {
                reused: *reused,
                remote_addr: *remote_addr,
            }),
            Self::Informational(status, headers) => trace.emit(&Event::Informational {
                status: *status,
                headers,
            }),
            Self::Retried(reason) => trace.emit(&Event::Retried { reason }),
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Call>>> = const { RefCell::new(None) };
}

/// The call that this thread works on.
///
/// # Errors
/// If ureq works on a thread that is none of ours: it would do so without limits.
pub(crate) fn current() -> Result<Arc<Call>> {
    let message = "ureq left the thread of its call";
    CURRENT.with_borrow(Clone::clone).ok_or_else(|| Error::new(ErrorKind::Engine, message))
}

/// This thread works on `call` until the guard is dropped.
pub(crate) fn enter(call: &Arc<Call>) -> Entered {
    Entered(CURRENT.replace(Some(Arc::clone(call))))
}

/// What the thread worked on before.
pub(crate) struct Entered(Option<Arc<Call>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Nobody will read this.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Closed, "the call was cancelled")
}
