//! A request's body as hyper takes it, and what the exchange knows and decides about that: whether it may begin, how it goes, whether it is wanted
//! any more.
//!
//! hyper polls it from within its connection, the exchange looks from outside. What they share is behind one lock, which is never held while
//! the body of the user's is polled.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use client_core::{Body, Error, ErrorKind, Phase, Trace};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

/// The exchange's side; `None` of a body that is empty, which has no state. Dropped, it ends the other: what is not sent by then is not wanted any
/// more.
pub(crate) struct Upload(Option<Arc<Mutex<State>>>);

/// hyper's side; `None` of a body that is empty. On the heap, because hyper moves requests about.
pub(crate) struct Outgoing(Option<Box<Flow>>);

struct Flow {
    state: Arc<Mutex<State>>,
    /// What has begun to be sent.
    body: Body,
    has_begun: bool,
    size: SizeHint,
    /// Of a body of known length: what is missing.
    remaining: Option<u64>,
    may_have_trailers: bool,
}

struct State {
    stage: Stage,
    /// hyper's, to be woken when the stage changes.
    waker: Option<Waker>,
    /// The silence is our own producer's.
    awaits_producer: bool,
    failure: Option<Error>,
    /// `None` once the response has its head: the phases of sending are over then.
    trace: Option<Trace>,
}

enum Stage {
    /// Not begun; may not begin yet.
    Held(Body),
    /// Not begun; may.
    Ready(Body),
    /// Begun.
    Sending,
    /// All of it was taken.
    Done,
    /// Nobody wants it any more.
    Abandoned,
}

impl Upload {
    /// No body.
    pub(crate) fn nothing() -> Self {
        Self(None)
    }

    /// A body, which waits for [`open`](Self::open) if it `is_held`.
    pub(crate) fn new(body: Body, is_held: bool, may_have_trailers: bool, trace: &Trace) -> (Self, Outgoing) {
        if body.is_end_stream() {
            return (Self(None), Outgoing(None));
        }
        let (size, remaining) = (body.size_hint(), body.len());
        let state = Arc::new(Mutex::new(State {
            stage: if is_held { Stage::Held(body) } else { Stage::Ready(body) },
            waker: None,
            awaits_producer: false,
            failure: None,
            trace: Some(trace.clone()),
        }));
        let flow = Flow {
            state: Arc::clone(&state),
            body: Body::empty(),
            has_begun: false,
            size,
            remaining,
            may_have_trailers,
        };
        (Self(Some(state)), Outgoing(Some(Box::new(flow))))
    }

    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.0.as_deref().map(lock)
    }

    /// Lets a held body begin.
    pub(crate) fn open(&self) {
        let Some(mut state) = self.lock() else {
            return;
        };
        state.stage = match std::mem::replace(&mut state.stage, Stage::Abandoned) {
            Stage::Held(body) => Stage::Ready(body),
            other => other,
        };
        state.wake();
    }

    /// Whether it waits to be opened.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().is_some_and(|state| matches!(state.stage, Stage::Held(_)))
    }

    /// Whether hyper has all of it.
    pub(crate) fn is_done(&self) -> bool {
        self.lock().is_none_or(|state| matches!(state.stage, Stage::Done))
    }

    /// The body, if nothing was taken of it. It will not be sent.
    pub(crate) fn reclaim(&self) -> Option<Body> {
        let mut state = self.lock()?;
        match std::mem::replace(&mut state.stage, Stage::Abandoned) {
            Stage::Held(body) | Stage::Ready(body) => Some(body),
            other => {
                state.stage = other;
                None
            }
        }
    }

    /// What the producer failed with.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.lock()?.failure.take()
    }

    /// The response has a head: no phase of sending is told from now on.
    pub(crate) fn is_answered(&self) {
        if let Some(mut state) = self.lock() {
            state.trace = None;
        }
    }

    /// Now, if the silence is our own; `None` if it is the peer's.
    pub(crate) fn own_silence(&self) -> Option<Instant> {
        let state = self.lock()?;
        (state.awaits_producer && matches!(state.stage, Stage::Sending)).then(Instant::now)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut state) = self.lock()
            && !matches!(state.stage, Stage::Done)
        {
            state.stage = Stage::Abandoned;
            state.wake();
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Under the lock, so that no phase of sending is told after those of the response.
    fn finish(&mut self) {
        let was_done = matches!(std::mem::replace(&mut self.stage, Stage::Done), Stage::Done);
        if let Some(trace) = self.trace.as_ref().filter(|_| !was_done) {
            trace.enter(Phase::Head);
        }
    }
}

/// What hyper is told when the body ends early; why, the exchange knows.
#[derive(Debug)]
pub(crate) struct Unfinished;

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request's body ended early")
    }
}

impl std::error::Error for Unfinished {}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Unfinished;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unfinished>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |flow| flow.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|flow| flow.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |flow| flow.size)
    }
}

impl Flow {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unfinished>>> {
        let state = Arc::clone(&self.state);
        if let Err(unfinished) = ready!(self.begin(&state, cx)) {
            return Poll::Ready(Some(Err(unfinished)));
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                let mut state = lock(&state);
                state.awaits_producer = true;
                // The exchange must be able to end this.
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        let refused = |frame: &Frame<Bytes>| {
            let is_trailers = frame.trailers_ref().is_some_and(|fields| !fields.is_empty());
            is_trailers && !self.may_have_trailers
        };
        let frame = match frame {
            Some(Ok(frame)) if refused(&frame) => Err(Error::new(
                ErrorKind::Body,
                "it has trailers that were not announced; give them with Body::with_trailers, or name them in a Trailer header",
            )),
            Some(frame) => frame,
            None => {
                lock(&state).finish();
                return Poll::Ready(None);
            }
        };
        let frame = match frame.and_then(|frame| self.look_beyond(frame, cx)) {
            Ok(frame) => frame,
            Err(error) => {
                let mut state = lock(&state);
                state.stage = Stage::Abandoned;
                state.failure = Some(error);
                return Poll::Ready(Some(Err(Unfinished)));
            }
        };
        Poll::Ready(Some(Ok(self.taken(&state, frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_begun && (self.is_complete() || self.body.is_end_stream())
    }

    /// Takes the body, if it may be taken.
    fn begin(&mut self, state: &Mutex<State>, cx: &Context<'_>) -> Poll<Result<(), Unfinished>> {
        let mut state = lock(state);
        match std::mem::replace(&mut state.stage, Stage::Sending) {
            Stage::Ready(body) => {
                self.body = body;
                self.has_begun = true;
            }
            Stage::Held(body) => {
                state.stage = Stage::Held(body);
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Stage::Abandoned => {
                state.stage = Stage::Abandoned;
                return Poll::Ready(Err(Unfinished));
            }
            Stage::Sending => {}
            Stage::Done => state.stage = Stage::Done,
        }
        Poll::Ready(Ok(()))
    }

    /// A body of known length is not asked again once hyper has enough: that there is more has to be found out before.
    fn look_beyond(&mut self, frame: Frame<Bytes>, cx: &mut Context<'_>) -> Result<Frame<Bytes>, Error> {
        let (Some(remaining), Some(data)) = (&mut self.remaining, frame.data_ref()) else {
            return Ok(frame);
        };
        *remaining = remaining.saturating_sub(data.len() as u64);
        if *remaining == 0
            && !self.may_have_trailers
            && let Poll::Ready(Some(Err(error))) = Pin::new(&mut self.body).poll_frame(cx)
        {
            return Err(error);
        }
        Ok(frame)
    }

    fn is_complete(&self) -> bool {
        self.remaining == Some(0) && !self.may_have_trailers
    }

    /// hyper gets a frame.
    fn taken(&self, state: &Mutex<State>, frame: Frame<Bytes>) -> Frame<Bytes> {
        let mut state = lock(state);
        state.awaits_producer = false;
        if self.is_end_stream() || frame.is_trailers() {
            state.finish();
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use futures::executor::block_on;
    use futures::stream;

    use super::*;

    fn next(outgoing: &mut Outgoing) -> Option<Result<Frame<Bytes>, Unfinished>> {
        block_on(poll_fn(|cx| Pin::new(&mut *outgoing).poll_frame(cx)))
    }

    fn data(outgoing: &mut Outgoing) -> Bytes {
        next(outgoing).unwrap().unwrap().into_data().unwrap()
    }

    fn is_pending(outgoing: &mut Outgoing) -> bool {
        Pin::new(outgoing).poll_frame(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn chunks(parts: &[&'static str]) -> impl futures::Stream<Item = Result<&'static str, std::io::Error>> + Send + use<> {
        stream::iter(parts.iter().map(|part| Ok(*part)).collect::<Vec<_>>())
    }

    #[test]
    fn held_until_opened() {
        let (upload, mut outgoing) = Upload::new(Body::from("abc"), true, false, &Trace::default());
        assert!(is_pending(&mut outgoing) && upload.is_held() && !outgoing.is_end_stream());
        upload.open();
        assert_eq!(data(&mut outgoing), "abc");
        assert!(upload.is_done() && outgoing.is_end_stream());
        assert!(upload.reclaim().is_none());
    }

    #[test]
    fn reclaimed_while_nothing_was_taken() {
        let (upload, mut outgoing) = Upload::new(Body::stream(chunks(&["a", "b"])), false, false, &Trace::default());
        assert!(upload.reclaim().is_some());
        assert!(next(&mut outgoing).unwrap().is_err());
        let (upload, mut outgoing) = Upload::new(Body::stream(chunks(&["a", "b"])), false, false, &Trace::default());
        assert_eq!(data(&mut outgoing), "a");
        assert!(upload.reclaim().is_none());
        drop(upload);
        assert!(next(&mut outgoing).unwrap().is_err(), "nobody wants it any more");
    }

    #[test]
    fn more_than_declared_is_found_out() {
        let (upload, mut outgoing) = Upload::new(Body::sized_stream(3, chunks(&["abc", "d"])), false, false, &Trace::default());
        assert!(next(&mut outgoing).unwrap().is_err());
        assert_eq!(upload.take_failure().unwrap().kind(), ErrorKind::Body);
    }

    #[test]
    fn trailers_only_where_they_are_announced() {
        let mut fields = http::HeaderMap::new();
        fields.insert("x-sum", "1".parse().unwrap());
        let body = || Body::from("a").with_trailers(fields.clone());
        let (upload, mut outgoing) = Upload::new(body(), false, true, &Trace::default());
        assert_eq!(data(&mut outgoing), "a");
        assert!(!upload.is_done());
        assert_eq!(next(&mut outgoing).unwrap().unwrap().into_trailers().unwrap(), fields);
        assert!(upload.is_done());
    }
}
