//! The request's body on its way from the task that drives the call to the worker that sends it.
//!
//! The task polls the body, since a body may need the runtime of its maker; the worker takes what was polled, and waits for more. What
//! lies between them is bounded.
//!
//! What must never enter this file: ureq, sockets.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use client_core::{Body, Bytes, ErrorKind, Result};
use http_body::Body as _;

use crate::call::{Call, cancelled};
use crate::error::carry_io;
use crate::socket::STANDSTILL;

/// How many pieces of a body, each as its maker made it, may wait to be sent.
const MAX_PIECES: usize = 4;

/// The content of a request.
#[derive(Clone)]
pub(crate) enum Content {
    /// In memory: sent, and sent again, without asking the task.
    Bytes(Bytes),
    Stream(Arc<Pipe>),
}

/// The task's end.
pub(crate) struct Feed {
    body: Body,
    pipe: Arc<Pipe>,
    is_done: bool,
}

/// Between the two.
#[derive(Default)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// No more will come: the end, or the failure of the body's maker.
    end: Option<Result<()>>,
    is_stopped: bool,
    /// The worker waits.
    is_awaited: bool,
    waker: Option<Waker>,
}

impl Feed {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            pipe: Arc::default(),
            is_done: false,
        }
    }

    pub(crate) fn pipe(&self) -> Arc<Pipe> {
        Arc::clone(&self.pipe)
    }

    /// Polls the body while there is room for what it makes. The worker hears of it afterwards: told of each piece, it would come for each.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        let mut is_news = false;
        while !self.is_done && self.pipe.has_room(cx) {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                break;
            };
            is_news = true;
            match frame {
                Some(Ok(frame)) => {
                    // Trailers are refused before they get here.
                    if let Ok(data) = frame.into_data() {
                        self.pipe.push(data);
                    }
                }
                Some(Err(error)) => {
                    self.is_done = true;
                    self.pipe.end(Err(error));
                }
                None => {
                    self.is_done = true;
                    self.pipe.end(Ok(()));
                }
            }
        }
        if is_news {
            self.pipe.tell(self.pipe.lock());
        }
    }
}

impl Drop for Feed {
    /// The worker must not wait for what nobody makes.
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.is_stopped = true;
        let pieces = std::mem::take(&mut state.pieces);
        self.pipe.tell(state);
        drop(pieces);
    }
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.lock();
        let has_room = state.pieces.len() < MAX_PIECES;
        if !has_room {
            state.waker = Some(cx.waker().clone());
        }
        has_room
    }

    fn push(&self, piece: Bytes) {
        if !piece.is_empty() {
            self.lock().pieces.push_back(piece);
        }
    }

    fn end(&self, end: Result<()>) {
        self.lock().end = Some(end);
    }

    /// Wakes the worker, if it waits: not for nothing, which would be a system call each time.
    fn tell(&self, state: MutexGuard<'_, State>) {
        let is_awaited = state.is_awaited;
        drop(state);
        if is_awaited {
            self.changed.notify_one();
        }
    }

    /// The next piece, if it is here.
    fn take(mut state: MutexGuard<'_, State>) -> Option<Bytes> {
        let piece = state.pieces.pop_front()?;
        // The task comes for several at a time.
        let waker = if state.pieces.is_empty() { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Some(piece)
    }

    /// The next piece; `None` at the end, or once the server has refused the body.
    fn pull(&self, call: &Call) -> Result<Option<Bytes>> {
        let mut state = self.lock();
        loop {
            if !state.pieces.is_empty() {
                return Ok(Self::take(state));
            }
            if state.is_stopped {
                return Err(cancelled());
            }
            if let Some(end) = state.end.take() {
                state.end = Some(Ok(()));
                return end.map(|()| None).map_err(|error| call.place(error));
            }
            state.is_awaited = true;
            let (woken, timeout) = self.changed.wait_timeout(state, STANDSTILL).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.is_awaited = false;
            if timeout.timed_out() {
                drop(state);
                if call.is_refused() {
                    return Ok(None);
                }
                state = self.lock();
            }
        }
    }
}

/// The worker's end: what ureq reads the body from.
pub(crate) struct Source {
    call: Arc<Call>,
    content: Content,
    piece: Bytes,
    /// What is still to come of a declared length.
    remaining: Option<u64>,
}

impl Source {
    pub(crate) fn new(call: Arc<Call>, content: Content, length: Option<u64>) -> Self {
        Self {
            call,
            content,
            piece: Bytes::new(),
            remaining: length,
        }
    }

    /// The next bytes, none at the end.
    fn fill(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            self.piece = match &mut self.content {
                Content::Bytes(bytes) => std::mem::take(bytes),
                Content::Stream(pipe) => pipe.pull(&self.call)?.unwrap_or_default(),
            };
        }
        self.check()
    }

    /// More, if it is here: what is sent at once is one system call. Where it goes in chunks, each piece is one.
    fn fill_on(&mut self) -> Result<()> {
        if let (true, Some(_), Content::Stream(pipe)) = (self.piece.is_empty(), self.remaining, &self.content) {
            self.piece = Pipe::take(pipe.lock()).unwrap_or_default();
        }
        if self.piece.is_empty() { Ok(()) } else { self.check() }
    }

    fn check(&self) -> Result<()> {
        // A body is held to the length that was announced: more would be the next request, less would leave the server waiting.
        let message = match self.remaining {
            Some(left) if self.piece.len() as u64 > left => "it is longer than it declared",
            Some(1..) if self.piece.is_empty() && !self.call.progress().is_muted => "it ended before its declared length",
            _ => return Ok(()),
        };
        Err(self.call.error(ErrorKind::Body, message))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call.update(|progress| progress.is_uploading = true);
        if !self.call.progress().is_muted {
            self.fill().map_err(carry_io)?;
        }
        if self.call.progress().is_muted {
            // Nothing of this is sent. ureq goes on to the response once it has had as many bytes as it announced.
            let n = self.remaining.map_or(0, |left| usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len()));
            self.remaining = self.remaining.map(|left| left - n as u64);
            return Ok(n);
        }
        let mut filled = 0;
        while filled < buffer.len() && !self.piece.is_empty() {
            let n = self.piece.len().min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&self.piece.split_to(n));
            self.remaining = self.remaining.map(|left| left - n as u64);
            filled += n;
            self.fill_on().map_err(carry_io)?;
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::call::Terms;

    fn call() -> Arc<Call> {
        Call::new(Terms::default())
    }

    fn pieces(count: usize) -> Body {
        Body::stream(stream::iter((0..count).map(|_| Ok::<_, io::Error>("abc"))))
    }

    #[test]
    fn no_more_is_polled_than_there_is_room_for() {
        let mut feed = Feed::new(pieces(100));
        feed.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(feed.pipe.lock().pieces.len(), MAX_PIECES);
        let pipe = feed.pipe();
        assert_eq!(pipe.pull(&call()).unwrap().unwrap(), "abc");
        feed.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(feed.pipe.lock().pieces.len(), MAX_PIECES);
    }

    /// One write takes all that is here, where nothing tells its pieces apart.
    #[test]
    fn pieces_are_sent_together_unless_each_is_a_chunk() {
        for (length, expected) in [(Some(9), &b"abcabcabc"[..]), (None, &b"abc"[..])] {
            let mut feed = Feed::new(pieces(3));
            feed.poll(&mut Context::from_waker(Waker::noop()));
            let mut source = Source::new(call(), Content::Stream(feed.pipe()), length);
            let mut buffer = [0; 32];
            let n = source.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], expected);
        }
    }

    #[test]
    fn a_declared_length_is_held() {
        for (length, expected) in [(3, Ok(3)), (2, Err("longer")), (4, Err("before"))] {
            let content = Content::Bytes(Bytes::from_static(b"abc"));
            let mut source = Source::new(call(), content, Some(length));
            let mut all = Vec::new();
            let read = source.read_to_end(&mut all).map_err(|error| error.to_string());
            match expected {
                Ok(n) => assert_eq!(read, Ok(n)),
                Err(part) => assert!(read.unwrap_err().contains(part)),
            }
        }
    }

    #[test]
    fn once_muted_the_announced_bytes_are_made_up_and_a_chunked_body_ends() {
        let call = call();
        call.update(|progress| progress.is_muted = true);
        let stopped = || Content::Stream(Feed::new(Body::empty()).pipe());
        let mut sized = Source::new(Arc::clone(&call), stopped(), Some(10));
        assert_eq!(sized.read(&mut [0; 8]).unwrap(), 8);
        assert_eq!(sized.read(&mut [0; 8]).unwrap(), 2);
        assert_eq!(Source::new(call, stopped(), None).read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_worker_does_not_wait_for_a_feed_that_is_gone() {
        let pipe = Feed::new(pieces(1)).pipe();
        assert_eq!(pipe.pull(&call()).unwrap_err().kind(), ErrorKind::Closed);
    }
}
