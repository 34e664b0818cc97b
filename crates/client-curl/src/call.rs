//! What an exchange's task and the driver's thread know together: how far it is, what the bridges between them hold, how it ended.
//!
//! Both bridges are bounded: where there is no room, the task waits, and libcurl is paused.
//!
//! What must never enter this file: libcurl.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use client_core::{
    Bytes, ConnectionInfo, Error, ErrorKind, HeaderMap, Instant, Phase, Result, Sent, TimeoutKind, Trace, Version,
};

use crate::driver::Driver;
use crate::error;
use crate::head::Head;
use crate::progress::{MAX_REPETITIONS, Note, Progress, Terms, Via};

/// How many bytes of a response's body may wait in the bridge. The last piece may exceed it.
const ROOM: usize = 128 << 10;

/// The same of a request's body. Its producer goes on when half of it is gone: by then libcurl has sent a few of its buffers.
const ROOM_UP: usize = 512 << 10;

/// One exchange, seen from both sides.
pub(crate) struct Call {
    pub(crate) id: usize,
    pub(crate) terms: Terms,
    driver: Driver,
    state: Mutex<State>,
}

struct State {
    progress: Progress,
    /// What the task has not told its observers yet.
    notes: Vec<Note>,
    answer: Option<Answer>,
    down: Down,
    up: Up,
    /// What went wrong first, in a callback of libcurl's. What libcurl says afterwards is a consequence.
    failure: Option<Error>,
    /// The transfer is over.
    end: Option<Result<()>>,
    waker: Option<Waker>,
}

/// The response's body on its way to its reader.
#[derive(Default)]
struct Down {
    pieces: VecDeque<Bytes>,
    queued: usize,
    /// libcurl is told when there is room again.
    is_paused: bool,
    /// Nothing more comes, though the transfer may still be sending.
    has_ended: bool,
    trailers: Option<HeaderMap>,
}

/// The request's body on its way from its producer.
#[derive(Default)]
struct Up {
    pieces: VecDeque<Bytes>,
    queued: usize,
    trailers: Option<HeaderMap>,
    has_ended: bool,
    /// libcurl is told when there is more.
    is_paused: bool,
    has_pulled: bool,
}

/// A response's head, for the task.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) connection: ConnectionInfo,
}

/// What libcurl gets when it asks for more to send.
pub(crate) enum Pulled {
    Bytes(usize),
    End,
    Pause,
}

impl Call {
    pub(crate) fn new(terms: Terms, driver: &Driver) -> Arc<Self> {
        Arc::new(Self {
            id: driver.next_id(),
            terms,
            driver: driver.clone(),
            state: Mutex::new(State {
                progress: Progress::new(),
                notes: Vec::new(),
                answer: None,
                down: Down::default(),
                up: Up::default(),
                failure: None,
                end: None,
                waker: None,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's side.
impl Call {
    /// Tells what has happened, and returns the head once it is there.
    pub(crate) fn poll_answer(&self, trace: &Trace, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let mut state = self.lock();
        let notes = std::mem::take(&mut state.notes);
        let outcome = match (state.answer.take(), &mut state.end) {
            (Some(answer), _) => Poll::Ready(Ok(answer)),
            (None, Some(end)) => Poll::Ready(Err(match std::mem::replace(end, Ok(())) {
                Err(error) => error,
                Ok(()) => state
                    .progress
                    .error(ErrorKind::Closed, "the server closed the connection before its response was there"),
            })),
            (None, None) => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        };
        drop(state);
        for note in &notes {
            note.tell(trace);
        }
        outcome
    }

    /// The next piece of the response's body.
    pub(crate) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut state = self.lock();
        if let Some(piece) = state.down.pieces.pop_front() {
            state.down.queued -= piece.len();
            let has_room = state.down.queued <= ROOM / 2;
            if has_room && std::mem::take(&mut state.down.is_paused) {
                state.progress.moved = Some(Instant::now());
                drop(state);
                self.driver.resume(self.id);
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        if state.down.has_ended {
            return Poll::Ready(None);
        }
        match &mut state.end {
            Some(end) => Poll::Ready(std::mem::replace(end, Ok(())).err().map(Err)),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What followed the response's body.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        self.lock().down.trailers.take()
    }

    /// Whether the body is over, and was whole.
    pub(crate) fn is_spent(&self) -> bool {
        let state = self.lock();
        let has_ended = state.down.has_ended || matches!(state.end, Some(Ok(())));
        has_ended && state.down.pieces.is_empty() && state.down.trailers.is_none()
    }

    /// Whether there is room for more of the request's body; if not, the task is woken when there is.
    pub(crate) fn has_room(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.lock();
        let has_room = state.up.queued < ROOM_UP;
        if !has_room {
            state.waker = Some(cx.waker().clone());
        }
        has_room
    }

    pub(crate) fn push(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.up.queued += piece.len();
        state.up.pieces.push_back(piece);
        self.go_on_sending(state);
    }

    /// The request's body is over.
    pub(crate) fn end_upload(&self, outcome: Result<Option<HeaderMap>>) {
        let mut state = self.lock();
        match outcome {
            Ok(trailers) => state.up.trailers = trailers,
            Err(error) => {
                let error = state.progress.place(error);
                state.failure.get_or_insert(error);
            }
        }
        state.up.has_ended = true;
        self.go_on_sending(state);
    }

    fn go_on_sending(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.up.is_paused) {
            state.progress.moved = Some(Instant::now());
            drop(state);
            self.driver.resume(self.id);
        }
    }

    /// Nobody waits any more: the transfer is removed, and its connection closed if it was in use.
    pub(crate) fn cancel(&self) {
        self.driver.cancel(self.id);
    }
}

/// The driver's side.
impl Call {
    /// The transfer begins.
    pub(crate) fn begin(&self, answers: u64) {
        self.lock().progress.answers = answers;
    }

    /// A connection is being made: a name is looked up, or a socket opened.
    pub(crate) fn dial(&self, phase: Phase) {
        let mut state = self.lock();
        let progress = &mut state.progress;
        progress.dialing_since.get_or_insert_with(Instant::now);
        // Another attempt; connecting has its own limit again.
        if progress.moved.take().is_some() {
            progress.ended_in = Some(progress.phase);
            (progress.has_heard, progress.is_tunnelled) = (false, false);
        }
        self.enter(state, phase);
    }

    /// Whether another connection may be made: not after one that died under an answer, with which libcurl would begin again.
    pub(crate) fn may_dial(&self) -> bool {
        let mut state = self.lock();
        if state.progress.has_begun {
            let error = state
                .progress
                .error(ErrorKind::Closed, "the server closed the connection in the middle of its answer");
            state.failure.get_or_insert(error);
            return false;
        }
        true
    }

    /// Whether whatever comes next is the beginning of an answer on a kept connection. Over TLS, and in HTTP/2, it may be anything.
    pub(crate) fn awaits_answer(&self) -> bool {
        if self.terms.is_tls || self.terms.may_be_http2 || self.terms.via == Via::HttpsProxy {
            return false;
        }
        let progress = &self.lock().progress;
        progress.moved.is_some() && progress.is_reused && !progress.has_answer && !progress.has_begun
    }

    /// Whether it came to a connection that others had used, and has got nothing from it.
    pub(crate) fn is_bystander(&self) -> bool {
        let progress = &self.lock().progress;
        progress.is_reused && !progress.has_answer
    }

    pub(crate) fn begin_unseen_answer(&self) {
        self.lock().progress.has_begun = true;
    }

    /// TCP is there, and the connection not ready: what it is that is waited for.
    pub(crate) fn beyond_tcp(&self, has_heard: bool) {
        let mut state = self.lock();
        let is_tunnelled = state.progress.is_tunnelled;
        state.progress.has_heard |= has_heard;
        let phase = match self.terms.via {
            Via::HttpProxy if !self.terms.is_tls => return,
            // Nothing came from it yet: it is the proxy's TLS that is waited for.
            Via::HttpsProxy if !state.progress.has_heard => Phase::Tls,
            Via::HttpProxy | Via::HttpsProxy if !is_tunnelled => Phase::Proxy,
            Via::Socks => Phase::Proxy,
            _ if self.terms.is_tls => Phase::Tls,
            _ => return,
        };
        if state.progress.moved.is_none() {
            self.enter(state, phase);
        }
    }

    /// A connection is ready for the request. `false`: it must not be sent, and why is known.
    ///
    /// libcurl asks again when it is about to repeat a request: on a connection of the pool that turned out dead, or after a server said
    /// that it left a stream alone. It does so with any method; what is not idempotent may have been acted upon (RFC 9110 §9.2.2).
    pub(crate) fn ready(&self, remote_addr: Option<SocketAddr>, local_addr: Option<SocketAddr>) -> bool {
        let mut state = self.lock();
        if state.progress.is_forbidden {
            return false;
        }
        let progress = &mut state.progress;
        if progress.attempts > 0 {
            let phase = progress.ended_in.take().unwrap_or(progress.phase);
            let error = Error::new(ErrorKind::Closed, "the server closed the connection");
            let is_refused = std::mem::take(&mut progress.is_refused);
            let error = error.with_phase(phase).with_sent(if is_refused { Sent::Nothing } else { phase.sent() });
            let may_repeat = (self.terms.is_idempotent || is_refused) && !progress.has_answer && !progress.has_begun;
            if !may_repeat || state.up.has_pulled {
                state.failure.get_or_insert(error);
                return false;
            }
            state.notes.push(Note::Retried(error));
        }
        let progress = &mut state.progress;
        progress.attempts += 1;
        progress.is_reused = progress.dialing_since.take().is_none();
        progress.moved = Some(Instant::now());
        (progress.remote_addr, progress.local_addr) = (remote_addr, local_addr);
        let reused = progress.is_reused;
        state.notes.push(Note::Connected { reused, remote_addr });
        if self.terms.has_content {
            self.enter(state, Phase::Send);
        } else {
            state.notes.push(Note::Phase(Phase::Send));
            self.enter(state, Phase::Head);
        }
        true
    }

    /// A proxy has answered CONNECT.
    pub(crate) fn tunnelled(&self) {
        self.lock().progress.is_tunnelled = true;
    }

    /// Whether what TLS says now is the proxy's word, and not the server's.
    pub(crate) fn is_at_proxy(&self) -> bool {
        self.terms.via == Via::HttpsProxy && !self.lock().progress.is_tunnelled
    }

    /// Whether what failed is done once more, by us: libcurl repeats a request itself when a connection of HTTP/1.1 turns out dead, and
    /// up to five times when a server of HTTP/2 leaves a stream alone; on a connection of HTTP/2 that dies it gives up.
    pub(crate) fn begins_again(&self, error: Error, answers: u64) -> Result<(), Error> {
        let mut state = self.lock();
        let progress = &mut state.progress;
        // Whoever refuses all that it is asked is not asked for ever.
        let is_served = progress.is_refused && answers > progress.answers && progress.repetitions < MAX_REPETITIONS;
        let is_stale = error::ends_session(&error)
            && progress.is_reused
            && self.terms.is_idempotent
            && progress.repetitions == 0
            && !progress.is_refused;
        let may_repeat = (is_served || is_stale) && !progress.has_answer;
        if error.kind() != ErrorKind::Closed || !may_repeat || state.up.has_pulled {
            return Err(error);
        }
        let progress = &mut state.progress;
        progress.repetitions += 1;
        progress.answers = answers;
        progress.attempts = 0;
        (progress.is_refused, progress.moved, progress.dialing_since) = (false, None, None);
        progress.since = Instant::now();
        state.notes.push(Note::Retried(error));
        self.enter(state, Phase::Pool);
        Ok(())
    }

    /// Bytes of this exchange went over the socket.
    pub(crate) fn moved(&self) {
        let mut state = self.lock();
        if state.progress.moved.is_some() {
            state.progress.moved = Some(Instant::now());
        }
    }

    /// Whether the connection is ready, and the request on its way.
    pub(crate) fn is_ready(&self) -> bool {
        self.lock().progress.moved.is_some()
    }

    /// The connection that is being made must not carry the request.
    pub(crate) fn forbid(&self, error: Error) {
        let mut state = self.lock();
        state.progress.is_forbidden = true;
        state.failure.get_or_insert(error);
    }

    /// The server has left the stream alone.
    pub(crate) fn refuse(&self) {
        self.lock().progress.is_refused = true;
    }

    /// Whether the connection may carry other streams than this.
    pub(crate) fn may_be_multiplexed(&self) -> bool {
        self.terms.may_be_http2 && !self.lock().progress.is_http1
    }

    /// The first line of an answer.
    pub(crate) fn begin_answer(&self) {
        self.lock().progress.has_answer = true;
        self.enter_head();
    }

    pub(crate) fn enter_head(&self) {
        let state = self.lock();
        if state.progress.phase < Phase::Head {
            self.enter(state, Phase::Head);
        }
    }

    fn enter(&self, mut state: MutexGuard<'_, State>, phase: Phase) {
        if state.progress.phase != phase {
            state.progress.phase = phase;
            state.notes.push(Note::Phase(phase));
            if self.terms.is_observed {
                self.wake(state);
            }
        }
    }

    pub(crate) fn informational(&self, head: Head) {
        let mut state = self.lock();
        state.notes.push(Note::Informational(head.status, head.fields));
        self.wake(state);
    }

    pub(crate) fn answer(&self, head: Head) {
        let mut state = self.lock();
        let progress = &state.progress;
        let mut connection = ConnectionInfo::new();
        connection.remote_addr = progress.remote_addr;
        connection.local_addr = progress.local_addr;
        connection.reused = progress.is_reused;
        state.progress.is_http1 = head.version != Version::HTTP_2;
        state.progress.phase = Phase::Body;
        state.notes.push(Note::Phase(Phase::Body));
        state.answer = Some(Answer { head, connection });
        self.wake(state);
    }

    /// Whether there is room for another piece of the response's body; if not, libcurl has to keep it, and is told when there is.
    pub(crate) fn has_room_for_more(&self) -> bool {
        let mut state = self.lock();
        state.down.is_paused = state.down.queued >= ROOM;
        !state.down.is_paused
    }

    /// A piece of the response's body.
    pub(crate) fn deliver(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.down.queued += piece.len();
        state.down.pieces.push_back(piece);
        self.wake(state);
    }

    /// The response's body is over, and whole.
    pub(crate) fn end_body(&self, trailers: Option<HeaderMap>) {
        let mut state = self.lock();
        if !state.down.has_ended {
            state.down.has_ended = true;
            state.down.trailers = trailers;
            self.wake(state);
        }
    }

    /// More of the request's body.
    pub(crate) fn pull(&self, buffer: &mut [u8]) -> Pulled {
        let mut state = self.lock();
        state.up.has_pulled = true;
        let was_full = state.up.queued > ROOM_UP / 2;
        let mut n = 0;
        while n < buffer.len()
            && let Some(piece) = state.up.pieces.front_mut()
        {
            let part = piece.split_to(piece.len().min(buffer.len() - n));
            buffer[n..n + part.len()].copy_from_slice(&part);
            n += part.len();
            if piece.is_empty() {
                state.up.pieces.pop_front();
            }
        }
        state.up.queued -= n;
        if n > 0 {
            if was_full && state.up.queued <= ROOM_UP / 2 {
                self.wake(state);
            }
            return Pulled::Bytes(n);
        }
        if state.up.has_ended {
            return Pulled::End;
        }
        state.up.is_paused = true;
        Pulled::Pause
    }

    /// Whether nothing of a streamed body was taken yet, so that it can still be sent from its beginning.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.lock().up.has_pulled
    }

    pub(crate) fn take_upload_trailers(&self) -> HeaderMap {
        self.lock().up.trailers.take().unwrap_or_default()
    }

    /// What went wrong in a callback. Whatever libcurl makes of it, this is what is told.
    pub(crate) fn fail(&self, error: Error) {
        let mut state = self.lock();
        let error = state.progress.place(error);
        state.failure.get_or_insert(error);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.lock().failure.is_some()
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.lock().failure.take()
    }

    /// The transfer is over.
    pub(crate) fn finish(&self, outcome: Result<()>) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(outcome);
            self.wake(state);
        }
    }

    /// An error of this kind, here and now.
    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        self.lock().progress.error(kind, message)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().progress.phase
    }

    /// Until when this may go on as it does: a moment, or the error that it has come to. Never earlier than the shortest limit from now,
    /// whatever happens until then.
    pub(crate) fn patience(&self, now: Instant) -> Option<Result<Instant>> {
        let state = self.lock();
        let (timeouts, progress) = (&self.terms.timeouts, &state.progress);
        let (kind, limit, since) = match (progress.moved, progress.dialing_since) {
            (Some(moved), _) => {
                // Silence that the reader or the producer of a body is to blame for is not the server's.
                let is_ours = state.down.is_paused || state.up.is_paused;
                (TimeoutKind::Socket, timeouts.socket_limit(), if is_ours { now } else { moved })
            }
            (None, Some(dialing)) => (TimeoutKind::Connect, timeouts.connect_limit(), dialing),
            (None, None) => (TimeoutKind::ConnectionRequest, timeouts.connection_request_limit(), progress.since),
        };
        let shortest = self.shortest_limit()?;
        let Some(deadline) = limit.and_then(|limit| since.checked_add(limit)) else {
            return now.checked_add(shortest).map(Ok);
        };
        if deadline > now {
            return Some(Ok(deadline.min(now.checked_add(shortest)?)));
        }
        let limit = limit.unwrap_or_default();
        let error = Error::timeout(kind, limit, now.duration_since(since), progress.phase);
        Some(Err(progress.place(error)))
    }

    /// The task goes on when the driver's turn is over.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(|waker| self.driver.wake_later(waker));
    }

    /// The shortest limit that the driver keeps.
    fn shortest_limit(&self) -> Option<Duration> {
        let timeouts = &self.terms.timeouts;
        [
            timeouts.socket_limit(),
            timeouts.connect_limit(),
            timeouts.connection_request_limit(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
