//! The response's body on its way to whoever reads it.
//!
//! Whoever reads takes what is there from the socket, on the reader's own thread: no other one need be woken for that. Only where
//! nothing is there yet, a worker waits for it, hands over what comes, and leaves. So a response that nobody reads costs a connection, but
//! no thread.
//!
//! What must never enter this file: ureq's transports, sockets.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use client_core::{Bytes, Error, ErrorKind, Result};
use http_body::{Frame, SizeHint};
use ureq::BodyReader;

use crate::call::{self, Call};
use crate::error::of_read;
use crate::pieces::Pieces;
use crate::workers::{Lane, Ticket, Workers};

/// As soon as so many bytes wait to be read, no more are.
const MAX_BYTES: usize = 128 << 10;

/// How much a reader takes from the socket without a break. It might never find it empty, and its thread has other tasks.
const MAX_RUN: usize = 1 << 20;

/// Between the two.
pub(crate) struct Bridge {
    /// Dropped before the call: a connection is closed before its place is given back.
    state: Mutex<State>,
    call: Arc<Call>,
    workers: Workers,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Of all pieces together.
    bytes: usize,
    /// Where the rest comes from, while nobody reads.
    parked: Option<Source>,
    /// A worker is asked for, or reads.
    ticket: Option<Ticket>,
    /// Somebody waits.
    waker: Option<Waker>,
    end: Option<Result<()>>,
    /// What the reader has taken by itself since it last waited.
    run: usize,
    is_dropped: bool,
}

/// Where the body comes from.
pub(crate) struct Source {
    reader: BodyReader<'static>,
    pieces: Pieces,
}

impl Source {
    /// Of a body of so many bytes, where that is known.
    pub(crate) fn new(reader: BodyReader<'static>, length: Option<u64>) -> Self {
        Self {
            reader,
            pieces: Pieces::new(length),
        }
    }

    fn read(&mut self) -> io::Result<Bytes> {
        loop {
            match self.pieces.fill(|buffer| self.reader.read(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Bridge {
    pub(crate) fn new(call: Arc<Call>, workers: Workers) -> Arc<Self> {
        Arc::new(Self {
            call,
            workers,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole body, if it is here, and nothing follows it. One that did not announce its length keeps it to itself.
    pub(crate) fn take_whole(&self, is_announced: bool) -> Option<Bytes> {
        let mut state = self.lock();
        let most = usize::from(is_announced);
        let is_whole = matches!(state.end, Some(Ok(()))) && state.pieces.len() <= most && !self.call.has_trailers();
        is_whole.then(|| state.pieces.pop_front().unwrap_or_default())
    }

    /// Whether there is nothing to be read, and never will be.
    fn is_empty(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && matches!(state.end, Some(Ok(()))) && !self.call.has_trailers()
    }

    /// A worker's part: reads what is there; then it is done, if nobody waits for more. If somebody does, it waits along, and what comes
    /// after that is the reader's to take.
    pub(crate) fn fill(&self, mut source: Source) {
        let mut has_waited = false;
        loop {
            let mut state = self.lock();
            if state.is_dropped {
                // The source is dropped, and its connection with it.
                return;
            }
            let is_awaited = state.waker.is_some();
            if state.bytes >= MAX_BYTES || has_waited && !is_awaited {
                state.park(source);
                return;
            }
            has_waited |= is_awaited;
            drop(state);
            self.call.update(|progress| progress.is_eager = !is_awaited);
            let read = source.read();
            let mut state = self.lock();
            match read {
                Ok(piece) if piece.is_empty() => state.end = Some(Ok(())),
                Ok(piece) => state.push(piece),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Somebody may have come to wait in the meantime; then the worker stays.
                    if state.waker.is_some() {
                        continue;
                    }
                    state.park(source);
                    return;
                }
                Err(error) => state.end = Some(Err(of_read(error, &self.call))),
            }
            let is_over = state.end.is_some();
            let waker = state.waker.take();
            drop(state);
            if is_over {
                // After a failure it still has the connection.
                drop(source);
                self.call.leave();
                waker.into_iter().for_each(Waker::wake);
                return;
            }
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut state = self.lock();
        if let Some(piece) = state.pop() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(end) = state.end.take() {
            // Polled again, it has ended.
            state.end = Some(Ok(()));
            return Poll::Ready(end.err().map(Err));
        }
        if state.ticket.is_none()
            && let Some(source) = state.parked.take()
        {
            if state.run >= MAX_RUN {
                state.run = 0;
                state.parked = Some(source);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            drop(state);
            let read = self.read_now(source);
            if read.is_ready() {
                return read;
            }
            state = self.lock();
        }
        state.waker = Some(cx.waker().clone());
        if state.parked.is_none() || state.ticket.is_some() {
            return Poll::Pending;
        }
        let bridge = Arc::clone(self);
        let job = move |_: &mut crate::workers::Worker<'_>| {
            let parked = bridge.lock().parked.take();
            if let Some(source) = parked {
                let _current = call::enter(&bridge.call);
                let _failure = Failure(&bridge);
                bridge.fill(source);
            }
        };
        match self.workers.submit(Lane::Body, job) {
            Ok(ticket) => {
                state.ticket = Some(ticket);
                Poll::Pending
            }
            Err(error) => {
                state.end = Some(Ok(()));
                let error = self.call.error(ErrorKind::Engine, "no thread to read the response with").with_source(error);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// The reader's part: takes what is there; pending, if that is nothing.
    fn read_now(&self, mut source: Source) -> Poll<Option<Result<Bytes>>> {
        let read = {
            let _current = call::enter(&self.call);
            self.call.update(|progress| progress.is_eager = true);
            // A panic inside ureq is this body's failure, and not the reader's.
            catch_unwind(AssertUnwindSafe(|| source.read()))
        };
        let end = match read {
            Ok(Ok(piece)) if !piece.is_empty() => {
                let mut state = self.lock();
                state.run += piece.len();
                state.parked = Some(source);
                return Poll::Ready(Some(Ok(piece)));
            }
            Ok(Ok(_)) => None,
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut state = self.lock();
                state.run = 0;
                state.parked = Some(source);
                return Poll::Pending;
            }
            Ok(Err(error)) => Some(Err(of_read(error, &self.call))),
            Err(_) => Some(Err(self.panicked())),
        };
        drop(source);
        self.lock().end = Some(Ok(()));
        self.call.leave();
        Poll::Ready(end)
    }

    fn panicked(&self) -> Error {
        self.call.error(ErrorKind::Engine, "ureq panicked while it read the response")
    }
}

impl State {
    fn park(&mut self, source: Source) {
        self.parked = Some(source);
        self.ticket = None;
    }

    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        Some(piece)
    }
}

/// Should ureq panic, whoever waits is told.
struct Failure<'a>(&'a Bridge);

impl Drop for Failure<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut state = self.0.lock();
        state.end = Some(Err(self.0.panicked()));
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The reader's end: a response's body. Dropping it before its end closes the connection.
pub(crate) struct Download {
    bridge: Arc<Bridge>,
    /// What is still to come of an announced length.
    remaining: Option<u64>,
}

impl Download {
    pub(crate) fn new(bridge: Arc<Bridge>, length: Option<u64>) -> Self {
        Self {
            bridge,
            remaining: length,
        }
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        Poll::Ready(match std::task::ready!(self.bridge.poll(cx)) {
            Some(Ok(piece)) => {
                self.remaining = self.remaining.map(|left| left.saturating_sub(piece.len() as u64));
                Some(Ok(Frame::data(piece)))
            }
            Some(Err(error)) => Some(Err(error)),
            None => self.bridge.call.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bridge.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let mut state = self.bridge.lock();
        state.is_dropped = true;
        let (source, ticket) = (state.parked.take(), state.ticket.take());
        drop(state);
        if let Some(ticket) = ticket {
            ticket.withdraw();
        }
        // A worker that is reading is freed; a parked source closes its connection by being dropped.
        self.bridge.call.cancel();
        drop(source);
    }
}
