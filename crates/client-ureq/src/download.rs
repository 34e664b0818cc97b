//! The response's body on its way from a worker to whoever reads it.
//!
//! A worker reads only while somebody waits: it leaves when the bridge is full, and, where nobody waits, as soon as reading would mean
//! waiting. The reader is then parked here, and a response that nobody reads costs a connection, but no thread.
//!
//! What must never enter this file: ureq's transports, sockets.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use client_core::{Bytes, Error, ErrorKind, Result};
use http_body::{Frame, SizeHint};
use ureq::BodyReader;

use crate::call::{self, Call};
use crate::error::of_read;
use crate::socket::BUFFER_SIZE;
use crate::workers::{Lane, Ticket, Workers};

/// How many pieces, of at most [`BUFFER_SIZE`] bytes each, may wait to be read.
const MAX_PIECES: usize = 8;

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
    /// Where the rest comes from, while no worker reads.
    parked: Option<BodyReader<'static>>,
    /// A worker is asked for, or reads.
    ticket: Option<Ticket>,
    /// Somebody waits.
    waker: Option<Waker>,
    end: Option<Result<()>>,
    is_dropped: bool,
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

    /// Whether there is nothing to be read, and never will be.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && matches!(state.end, Some(Ok(()))) && !self.call.has_trailers()
    }

    /// A worker's part: reads until the end, until the bridge is full, or until it would have to wait for bytes that nobody waits for.
    pub(crate) fn fill(&self, mut reader: BodyReader<'static>) {
        let mut buffer = [0; BUFFER_SIZE];
        loop {
            let mut state = self.lock();
            if state.is_dropped {
                // The reader is dropped, and its connection with it.
                return;
            }
            if state.pieces.len() >= MAX_PIECES {
                state.park(reader);
                return;
            }
            let is_awaited = state.waker.is_some();
            drop(state);
            self.call.update(|progress| progress.is_eager = !is_awaited);
            let read = reader.read(&mut buffer);
            let mut state = self.lock();
            match read {
                Ok(0) => state.end = Some(Ok(())),
                Ok(n) => state.pieces.push_back(Bytes::copy_from_slice(&buffer[..n])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Somebody may have come to wait in the meantime; then the worker stays.
                    if state.waker.is_some() {
                        continue;
                    }
                    state.park(reader);
                    return;
                }
                Err(error) => state.end = Some(Err(of_read(error, &self.call))),
            }
            let is_over = state.end.is_some();
            let waker = state.waker.take();
            drop(state);
            if is_over {
                // After a failure it still has the connection.
                drop(reader);
                self.call.leave();
                waker.into_iter().for_each(Waker::wake);
                return;
            }
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut state = self.lock();
        if let Some(piece) = state.pieces.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(end) = state.end.take() {
            // Polled again, it has ended.
            state.end = Some(Ok(()));
            return Poll::Ready(end.err().map(Err));
        }
        state.waker = Some(cx.waker().clone());
        if state.parked.is_none() || state.ticket.is_some() {
            return Poll::Pending;
        }
        let bridge = Arc::clone(self);
        let job = move |_: &mut crate::workers::Worker<'_>| {
            let parked = bridge.lock().parked.take();
            if let Some(reader) = parked {
                let _current = call::enter(&bridge.call);
                let _failure = Failure(&bridge);
                bridge.fill(reader);
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
}

impl State {
    fn park(&mut self, reader: BodyReader<'static>) {
        self.parked = Some(reader);
        self.ticket = None;
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
        state.end = Some(Err(self.0.call.error(ErrorKind::Engine, "ureq panicked while it read the response")));
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
        let (reader, ticket) = (state.parked.take(), state.ticket.take());
        drop(state);
        if let Some(ticket) = ticket {
            ticket.withdraw();
        }
        // A worker that is reading is freed; a parked reader closes its connection by being dropped.
        self.bridge.call.cancel();
        drop(reader);
    }
}
